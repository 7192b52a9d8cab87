"""An order that is gone when Stripe has answered: a person is told, unless a self-test made it."""

import pytest
from structlog.testing import capture_logs

from fulfillment_api.self_test import self_test_session
from fulfillment_api.status import Reason
from fulfillment_operator.backends.outcome import Done
from fulfillment_operator.controller.reconciler import Result, Standing
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.next_step import RequeueState, RetrieveSession
from support.any_request import NOW, Outside
from support.builders import SESSION_ID, make_request, make_session


class Gone(Outside):
    """The order is deleted while Stripe is asked."""

    async def stands(self) -> Standing:
        return Standing.GONE


@pytest.mark.parametrize(
    ("session_id", "told"),
    [(SESSION_ID, ["controller.deleted_unfinished"]), (self_test_session("0" * 24, livemode=False), [])],
)
async def test_what_is_gone_when_stripe_has_answered_is_told(session_id: str, told: list[str]) -> None:
    """Nobody fulfills it any more; of a self-test's order that is meant to be so."""
    outside = Gone(make_session(), Done(), MailOutcome(Reason.MAIL_SENT, "sent"), None, api_server=True)
    with capture_logs() as logs:
        result = await outside.reconciler().reconcile(
            make_request(session_id=session_id), RetrieveSession(), RequeueState(NOW), outside.stands
        )
    assert result == Result(None)
    assert [line["event"] for line in logs] == told
