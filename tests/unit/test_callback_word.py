"""What a callback may say, and when it is news: tables."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from builders import SESSION_ID, make_request
from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RefusedCallback
from fulfillment_api.status import Fulfillment, Phase, Reason, Status
from fulfillment_runtime.settings import Secret
from fulfillment_service.callback_word import (
    CallbackError,
    CallbackOutcome,
    Word,
    is_shown,
    news_in,
    read_word,
    refusal_in,
)

SECRET = Secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
NAME = request_name(SESSION_ID)
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DONE = b'{"result": "done", "reference": "order-7"}'


def signed(body: bytes, *, key: str = NAME, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    signature = Webhook(secret).sign(key, at, body.decode(errors="replace"))
    return {"webhook-id": key, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def read(body: bytes, headers: dict[str, str]) -> Word:
    return read_word(body, NAME, headers, SECRET, now=NOW, tolerance=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (DONE, Word(result=CallbackResult.DONE, reference="order-7")),
        (b'{"result": "refused", "message": "sold out"}', Word(result=CallbackResult.REFUSED, message="sold out")),
        (b'{"result": "done", "more": [1]}', Word(result=CallbackResult.DONE)),
    ],
)
def test_what_a_callback_says(body: bytes, expected: Word) -> None:
    """A result, and what one may add to it."""
    assert expected == read(body, signed(body))


def test_one_of_several_signatures_will_do() -> None:
    """As while a secret is rolled (Standard Webhooks)."""
    headers = signed(DONE)
    headers["webhook-signature"] = f"v1,AAAA v1a,x {headers['webhook-signature']}"
    assert read(DONE, headers).result is CallbackResult.DONE


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (DONE, {}, "no-signature"),
        (DONE, signed(DONE) | {"webhook-timestamp": "now"}, "no-signature"),
        (DONE, signed(DONE) | {"webhook-timestamp": "9" * 12}, "no-signature"),
        (DONE, signed(DONE) | {"webhook-signature": "v1,ü"}, "wrong-signature"),
        (DONE, signed(DONE, secret="whsec_AAAA"), "wrong-signature"),
        (DONE + b" ", signed(DONE), "wrong-signature"),
        (DONE, signed(DONE, key="cs-other") | {"webhook-id": NAME}, "wrong-signature"),
        (DONE, signed(DONE, key="cs-other"), "another-order"),
        (DONE, signed(DONE, at=NOW - timedelta(minutes=6)), "stale-signature"),
        (DONE, signed(DONE, at=NOW + timedelta(minutes=6)), "stale-signature"),
        (b"\xff", signed(b"\xff"), "malformed"),
        *((body, signed(body), "malformed") for body in (b"", b"[]", b"{}", b'{"result": "soon"}', b"[" * 9999)),
        (b'{"result": "done", "reference": 7}', signed(b'{"result": "done", "reference": 7}'), "malformed"),
    ],
)
def test_what_is_no_callback(body: bytes, headers: dict[str, str], expected: str) -> None:
    """Each has its reason; what a body says is not repeated."""
    with pytest.raises(CallbackError) as refused:
        read(body, headers)
    assert expected == refused.value.outcome


HANDED_OVER = NOW - timedelta(hours=1)
BEFORE = HANDED_OVER - timedelta(hours=1)


def order(
    phase: Phase | None,
    *,
    accepted: bool = True,
    callback: Callback | None = None,
    refused: RefusedCallback | None = None,
) -> FulfillmentRequest:
    status = None
    if phase:
        status = Status(
            phase=phase,
            reason=Reason.HANDED_OVER,
            message="",
            observed_generation=1,
            conditions=[],
            fulfillment=Fulfillment(
                backend="http", attempts=1, started_at=HANDED_OVER, accepted_at=HANDED_OVER if accepted else None
            ),
        )
    made = make_request(status=status, callback=callback)
    return replace(made, spec=replace(made.spec, refused_callback=refused))


def said(result: str, at: datetime = NOW, reference: str | None = None) -> Callback:
    return Callback(result=CallbackResult(result), observed_at=at, reference=reference)


NEWS = {"done": said("done"), "refused": said("refused")}


@pytest.mark.parametrize(
    ("request_", "done", "refused"),
    [
        (order(Phase.FULFILLING), "news", "news"),
        (order(Phase.FAILED), "news", "news"),  # the deadline passed, and then it calls back
        (order(None), "not-handed-over", "not-handed-over"),
        (order(Phase.FULFILLING, accepted=False), "not-handed-over", "not-handed-over"),
        (order(Phase.FULFILLED), "known", "ended"),
        (order(Phase.FULFILLED, accepted=False), "known", "ended"),  # completed by hand
        (order(Phase.FULFILLING, callback=said("done")), "known", "ended"),
        (order(Phase.FULFILLING, callback=said("done", reference="order-7")), "known", "ended"),
        (order(Phase.FAILED, callback=said("refused")), "news", "known"),
        (order(Phase.FULFILLING, callback=said("refused", BEFORE)), "news", "news"),  # a person asked for another try
        (order(Phase.FULFILLING, callback=said("done", BEFORE)), "news", "news"),
    ],
)
def test_what_is_news(request_: FulfillmentRequest, done: str, refused: str) -> None:
    """A repeated callback is known; done is the last word on a try, and fulfilled on an order."""

    def outcome(result: str) -> str:
        try:
            found = news_in(Word(result=CallbackResult(result)), request_, NOW)
        except CallbackError as error:
            return error.outcome
        assert found in {None, NEWS[result]}
        return "news" if found else "known"

    assert (done, refused) == (outcome("done"), outcome("refused"))


WRONG = CallbackError(CallbackOutcome.WRONG_SIGNATURE, "not by our secret")


def wrong(at: datetime) -> RefusedCallback:
    return RefusedCallback(message="not by our secret", observed_at=at)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (order(Phase.FULFILLING), wrong(NOW)),
        (order(Phase.FAILED), wrong(NOW)),
        (order(None), None),
        (order(Phase.FULFILLING, accepted=False), None),
        (order(Phase.FULFILLED), None),
        (order(Phase.FULFILLING, refused=wrong(NOW)), None),
        (order(Phase.FULFILLING, refused=wrong(BEFORE)), wrong(NOW)),  # a person asked for another try
        (order(Phase.FULFILLING, callback=said("refused")), None),
        (order(Phase.FULFILLING, callback=said("refused", BEFORE)), wrong(NOW)),
    ],
)
def test_which_refused_callback_an_order_shows(request_: FulfillmentRequest, expected: RefusedCallback | None) -> None:
    """The first one while it waits for a callback: anybody could send more of them."""
    assert expected == refusal_in(WRONG, request_, NOW)


@pytest.mark.parametrize("outcome", CallbackOutcome)
def test_which_refusals_orders_show(outcome: CallbackOutcome) -> None:
    """Those that their backend's author must mend."""
    shown = {"no-signature", "wrong-signature", "stale-signature", "another-order", "malformed"}
    assert (outcome in shown) == is_shown(outcome)


def test_a_callback_comes_after_the_hand_over_whatever_the_clock_says() -> None:
    """Else the operator would take it for one about an earlier try."""
    found = news_in(Word(result=CallbackResult.DONE), order(Phase.FULFILLING), HANDED_OVER - timedelta(seconds=3))
    assert found == said("done", HANDED_OVER)


def test_what_is_too_long_for_status_is_cut() -> None:
    """The bounds are the CustomResourceDefinition's."""
    word = Word(result=CallbackResult.REFUSED, reference="x" * 300, message="y" * 2000)
    found = news_in(word, order(Phase.FULFILLING), NOW)
    assert found == Callback(result=CallbackResult.REFUSED, reference="x" * 255, message="y" * 1024, observed_at=NOW)


def test_every_outcome_has_its_status() -> None:
    """None is forgotten."""
    assert {200, 400, 401, 404, 408, 409, 413, 500, 503} == {each.status for each in CallbackOutcome}
