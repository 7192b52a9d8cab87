"""What a callback may say, and when it changes an order: tables."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook

from fulfillment_api.bounds import LONGEST_MESSAGE
from fulfillment_api.names import request_name
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RejectedCallback
from fulfillment_api.status import Fulfillment, LastHandled, Phase, Reason, Status
from fulfillment_runtime.settings import Secret
from fulfillment_service.http.callback_payload import (
    CallbackPayload,
    CallbackRejectedError,
    CallbackRejectReason,
    new_callback,
    new_rejection,
    parse_callback,
)
from fulfillment_service.http.request_body import BodyRejectReason
from support.builders import SESSION_ID, make_request

SECRET = Secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
NAME = request_name(SESSION_ID)
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DONE = b'{"result": "done", "reference": "order-7"}'


def signed(body: bytes, *, key: str = NAME, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    signature = Webhook(secret).sign(key, at, body.decode(errors="replace"))
    return {"webhook-id": key, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def read(body: bytes, headers: dict[str, str]) -> CallbackPayload:
    return parse_callback(body, NAME, headers, SECRET, now=NOW, tolerance=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (DONE, CallbackPayload(result=CallbackResult.DONE, reference="order-7")),
        (
            b'{"result": "rejected", "message": "sold out"}',
            CallbackPayload(result=CallbackResult.REJECTED, message="sold out"),
        ),
        (b'{"result": "done", "more": [1]}', CallbackPayload(result=CallbackResult.DONE)),
    ],
)
def test_what_a_callback_says(body: bytes, expected: CallbackPayload) -> None:
    """A result, and what one may add to it."""
    assert expected == read(body, signed(body))


def test_one_of_several_signatures_will_do() -> None:
    """As while a secret is rolled (Standard Webhooks)."""
    headers = signed(DONE)
    headers["webhook-signature"] = f"v1,AAAA v1a,x {headers['webhook-signature']}"
    assert read(DONE, headers).result is CallbackResult.DONE


NO_CALLBACKS: list[tuple[bytes, dict[str, str], str]] = [
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
]


@pytest.mark.parametrize(("body", "headers", "expected"), NO_CALLBACKS)
def test_what_is_no_callback(body: bytes, headers: dict[str, str], expected: str) -> None:
    """Each has its reason; what a body says is not repeated."""
    with pytest.raises(CallbackRejectedError) as rejected:
        read(body, headers)
    assert expected == rejected.value.reason


DISPATCHED = NOW - timedelta(hours=1)
BEFORE = DISPATCHED - timedelta(hours=1)


def order(
    phase: Phase | None,
    *,
    accepted: bool = True,
    callback: Callback | None = None,
    rejected: RejectedCallback | None = None,
    retry: str = "",
    handled: str | None = None,
) -> FulfillmentRequest:
    status = None
    if phase:
        status = Status(
            phase=phase,
            reason=Reason.DISPATCHED,
            message="",
            observed_generation=1,
            conditions=[],
            fulfillment=Fulfillment(
                backend="http", attempts=1, started_at=DISPATCHED, accepted_at=DISPATCHED if accepted else None
            ),
            last_handled=LastHandled(retry=handled),
        )
    made = make_request(status=status, callback=callback, annotations=Annotations(retry=retry))
    return replace(made, spec=replace(made.spec, rejected_callback=rejected))


def said(result: str, at: datetime = NOW, reference: str | None = None) -> Callback:
    return Callback(result=CallbackResult(result), observed_at=at, reference=reference)


NEW = {"done": said("done"), "rejected": said("rejected")}


@pytest.mark.parametrize(
    ("request_", "done", "rejected"),
    [
        (order(Phase.FULFILLING), "new", "new"),
        (order(Phase.FAILED), "new", "new"),  # the deadline passed, and then it calls back
        (order(None), "not-dispatched", "not-dispatched"),
        (order(Phase.FULFILLING, accepted=False), "not-dispatched", "not-dispatched"),
        (order(Phase.FULFILLED), "known", "ended"),
        (order(Phase.FULFILLED, accepted=False), "known", "ended"),  # completed by hand
        (order(Phase.FULFILLING, callback=said("done")), "known", "ended"),
        (order(Phase.FULFILLING, callback=said("done", reference="order-7")), "known", "ended"),
        (order(Phase.FAILED, callback=said("rejected")), "new", "known"),
        (order(Phase.FULFILLING, callback=said("rejected", BEFORE)), "new", "new"),  # a person asked for another try
        (order(Phase.FULFILLING, callback=said("done", BEFORE)), "new", "new"),
        # A person asks for another try, which the operator has not noted: it may be posted just now.
        (order(Phase.FAILED, retry="2"), "not-dispatched", "not-dispatched"),
        (order(Phase.FULFILLING, retry="2", handled="1"), "not-dispatched", "not-dispatched"),
        (order(Phase.FAILED, callback=said("rejected"), retry="2", handled="1"), "not-dispatched", "not-dispatched"),
        (order(Phase.FULFILLED, retry="2"), "known", "ended"),
        (order(Phase.FULFILLING, retry=" 2 ", handled="2"), "new", "new"),
        (order(Phase.FULFILLING, retry="2" * 2000, handled="2" * LONGEST_MESSAGE), "new", "new"),  # as status keeps it
        (order(Phase.FULFILLING, retry=" "), "new", "new"),
    ],
)
def test_what_is_new(request_: FulfillmentRequest, done: str, rejected: str) -> None:
    """A repeated callback is known; done is the final result of a try, and fulfilled on an order."""

    def outcome(result: str) -> str:
        try:
            found = new_callback(CallbackPayload(result=CallbackResult(result)), request_, NOW)
        except CallbackRejectedError as error:
            return error.reason
        assert found in {None, NEW[result]}
        return "new" if found else "known"

    assert (done, rejected) == (outcome("done"), outcome("rejected"))


WRONG = CallbackRejectedError(CallbackRejectReason.WRONG_SIGNATURE, "not by our secret")


def wrong(at: datetime) -> RejectedCallback:
    return RejectedCallback(message="not by our secret", observed_at=at)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (order(Phase.FULFILLING), wrong(NOW)),
        (order(Phase.FAILED), wrong(NOW)),
        (order(None), None),
        (order(Phase.FULFILLING, accepted=False), None),
        (order(Phase.FULFILLED), None),
        (order(Phase.FULFILLING, rejected=wrong(NOW)), None),
        (order(Phase.FULFILLING, rejected=wrong(BEFORE)), wrong(NOW)),  # a person asked for another try
        (order(Phase.FULFILLING, callback=said("rejected")), None),
        (order(Phase.FULFILLING, callback=said("rejected", BEFORE)), wrong(NOW)),
    ],
)
def test_which_rejected_callback_an_order_shows(
    request_: FulfillmentRequest, expected: RejectedCallback | None
) -> None:
    """The first one while it waits for a callback: anybody could send more of them."""
    assert expected == new_rejection(WRONG, request_, NOW)


def test_which_rejections_orders_show() -> None:
    """Those that their backend's author must mend, which are those that parsing finds."""
    assert {reason for _, _, reason in NO_CALLBACKS} == {
        "no-signature",
        "wrong-signature",
        "stale-signature",
        "another-order",
        "malformed",
    }


def test_a_callback_comes_after_the_dispatch_whatever_the_clock_says() -> None:
    """Else the operator would take it for one about an earlier try."""
    found = new_callback(
        CallbackPayload(result=CallbackResult.DONE), order(Phase.FULFILLING), DISPATCHED - timedelta(seconds=3)
    )
    assert found == said("done", DISPATCHED)


def test_what_is_too_long_for_status_is_cut() -> None:
    """The bounds are the CustomResourceDefinition's."""
    payload = CallbackPayload(result=CallbackResult.REJECTED, reference="x" * 300, message="y" * 2000)
    found = new_callback(payload, order(Phase.FULFILLING), NOW)
    assert found == Callback(result=CallbackResult.REJECTED, reference="x" * 255, message="y" * 1024, observed_at=NOW)


def test_every_rejection_has_its_status() -> None:
    """None is forgotten."""
    assert {400, 401, 404, 409} == {each.status for each in CallbackRejectReason}
    assert {400, 408, 413} == {each.status for each in BodyRejectReason}
