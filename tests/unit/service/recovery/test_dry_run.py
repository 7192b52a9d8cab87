"""What a dry run says that recording would change."""

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_service.events.ignored import Ignored
from fulfillment_service.events.translate import DesiredRequest, SpecChange
from fulfillment_service.recovery.dry_run import DryRun
from fulfillment_service.request_store import OperationResult


async def test_a_dry_run_knows_what_came_before() -> None:
    """Two events about one Session: the second changes what the first would have made, if it says more."""
    asked: list[str] = []

    async def preview(change: SpecChange) -> OperationResult | Ignored:
        assert isinstance(change, DesiredRequest)
        asked.append(change.name)
        return OperationResult.CREATED

    dry_run = DryRun(preview)
    outcomes = [
        await dry_run.record(_desired(status))
        for status in (
            PaymentStatus.UNPAID,
            PaymentStatus.UNPAID,
            PaymentStatus.FAILED,
            PaymentStatus.PAID,
            PaymentStatus.FAILED,
        )
    ]
    assert outcomes == ["created", "unchanged", "updated", "updated", "unchanged"]
    assert asked == [request_name("cs_test_1")]


def _desired(status: PaymentStatus) -> DesiredRequest:
    session = Session(id="cs_test_1", livemode=False)
    return DesiredRequest(request_name("cs_test_1"), Spec(session=session, payment=Payment(status=status)))
