"""A refund that an order's backend cannot be told when the time to hand the order over is up."""

from dataclasses import replace as replace_fields
from datetime import timedelta

from msgspec.structs import replace

from fulfillment_api.spec import Reversal, ReversalKind
from fulfillment_api.status import Phase, Reason
from fulfillment_operator.backends.outcome import Done, InProgress, TryAgain
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.next_step import RetrieveSession, next_step
from fulfillment_operator.policy.reversals import shown_reversals
from fulfillment_operator.policy.transition import Retries, dispatched
from support.any_request import NOW, POLICY, RECHECK, RETRY_MAX, Outside
from support.builders import make_request, make_session

SENT = MailOutcome(Reason.MAIL_SENT, "sent")


async def test_it_is_refunded_and_the_notice_is_tried_until_its_own_deadline() -> None:
    """The order failed for the refund, not for its backend: nobody is asked to hand it over once more."""
    began = NOW - POLICY.backend_deadline
    retries = Retries(delay=timedelta(seconds=2), deadline=POLICY.backend_deadline)
    taken = dispatched(make_request(), make_session(), InProgress("taken"), "shop", retries, began)
    request = make_request(status=taken, generation=2)
    hint = Reversal(kind=ReversalKind.REFUNDED, observed_at=NOW - timedelta(minutes=10))
    request = replace(request, spec=replace(request.spec, reversal=hint))
    outside = Outside(make_session(refunded=True), TryAgain("the endpoint answered 503"), SENT, None, api_server=True)

    result = await outside.reconciler().reconcile(request, RetrieveSession(), 0, outside.stands)

    assert result.request is not None
    assert result.request.status is not None
    assert (result.request.status.phase, result.request.status.reason) == (Phase.FAILED, Reason.REFUNDED)
    assert shown_reversals(result.request.status) == ()
    assert result.retry_after is not None
    state = result.requeue_state(0, NOW)
    later = NOW + timedelta(hours=1)
    again = next_step(result.request, later, state, livemode=False, recheck=RECHECK, retry_max=RETRY_MAX)
    assert again == RetrieveSession()

    told = replace_fields(outside, outcome=Done())
    result = await told.reconciler().reconcile(result.request, RetrieveSession(), 1, told.stands)

    assert result.request is not None
    assert result.request.status is not None
    assert shown_reversals(result.request.status) == (ReversalKind.REFUNDED,)
    assert result.retry_after is None
