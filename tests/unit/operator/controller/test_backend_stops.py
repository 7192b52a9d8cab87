"""What follows when the backend of an order that a person ended cannot be stopped."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from fulfillment_api.status import Reason
from fulfillment_operator.backends.interface import Done, InProgress, TryAgain
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.metrics import OperatorMetrics
from support.any_request import Outside
from support.builders import make_request


@pytest.mark.parametrize(
    ("answer", "again", "counted"),
    [
        (None, False, 0),
        (InProgress("the Job is being stopped"), False, 0),
        (TryAgain("RBAC forbids it"), True, 1),
    ],
)
async def test_a_backend_that_cannot_be_stopped_is_counted(
    answer: TryAgain | InProgress | None, again: bool, counted: int
) -> None:
    """CheckoutBackendNotStopped fires by it, and it is tried again within a minute; one that is ending is no news."""
    registry = CollectorRegistry()
    outside = Outside(None, Done(), MailOutcome(Reason.MAIL_SENT, ""), answer, api_server=True)
    executor = outside.executor(OperatorMetrics(registry, "shop", "manual"))
    after = await executor.stop(make_request(), failures=0)
    assert (after is not None) is again
    assert after is None or after <= timedelta(minutes=1)
    labels = {"error": "backend-not-stopped"}
    assert registry.get_sample_value("fulfillment_reconcile_errors_total", labels) == counted
