"""What a callback says, whether its backend sent it, and whether it is news of the order. Pure.

A callback is signed after Standard Webhooks with the secret that signs the http backend's posts. Its `webhook-id` is
the order's key, as in the post: so the signature tells which order it is about, and none can be sent for another.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from http import HTTPStatus

import msgspec
from msgspec import Struct
from standardwebhooks import Webhook as StandardWebhook

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RefusedCallback
from fulfillment_api.status import Phase
from fulfillment_runtime.settings import Secret

_LONGEST_TIME = 11  # digits of a Unix time; more would be no date that Python knows
_LONGEST_REFERENCE, _LONGEST_MESSAGE = 255, 1024  # characters, as the CustomResourceDefinition has them


@unique
class CallbackOutcome(StrEnum):
    """What became of a callback: a metric's label, and a word for programs in the answer."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    """The cluster knew it already."""
    NO_SIGNATURE = "no-signature"
    WRONG_SIGNATURE = "wrong-signature"
    STALE_SIGNATURE = "stale-signature"
    ANOTHER_ORDER = "another-order"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    CUT_OFF = "cut-off"
    UNKNOWN_ORDER = "unknown-order"
    NOT_HANDED_OVER = "not-handed-over"
    ENDED = "ended"
    UNAVAILABLE = "unavailable"
    BLOCKED = "blocked"
    INTERNAL = "internal"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status that says so."""
        return _STATUSES[self]


_STATUSES = {
    CallbackOutcome.RECORDED: HTTPStatus.OK,
    CallbackOutcome.UNCHANGED: HTTPStatus.OK,
    CallbackOutcome.NO_SIGNATURE: HTTPStatus.UNAUTHORIZED,
    CallbackOutcome.WRONG_SIGNATURE: HTTPStatus.UNAUTHORIZED,
    CallbackOutcome.STALE_SIGNATURE: HTTPStatus.UNAUTHORIZED,
    CallbackOutcome.ANOTHER_ORDER: HTTPStatus.UNAUTHORIZED,
    CallbackOutcome.MALFORMED: HTTPStatus.BAD_REQUEST,
    CallbackOutcome.CUT_OFF: HTTPStatus.BAD_REQUEST,
    CallbackOutcome.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CallbackOutcome.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    CallbackOutcome.UNKNOWN_ORDER: HTTPStatus.NOT_FOUND,
    CallbackOutcome.NOT_HANDED_OVER: HTTPStatus.CONFLICT,
    CallbackOutcome.ENDED: HTTPStatus.CONFLICT,
    CallbackOutcome.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    CallbackOutcome.BLOCKED: HTTPStatus.SERVICE_UNAVAILABLE,
    CallbackOutcome.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class CallbackError(Exception):
    """The callback is not recorded. The message is one sentence for a person, and shows nothing of the body."""

    def __init__(self, outcome: CallbackOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Word(Struct, frozen=True, kw_only=True):
    """The body of a callback."""

    result: CallbackResult
    reference: str | None = None
    message: str | None = None


def read_word(  # noqa: PLR0913 - all that makes a callback
    body: bytes, name: str, headers: Mapping[str, str], secret: Secret, *, now: datetime, tolerance: timedelta
) -> Word:
    """Make sure that the order's backend sent a callback, lately, and read it.

    Args:
        body: the request's body, byte for byte.
        name: the request's name in the path.
        headers: the request's headers, by their names in lower case.
        secret: the Standard Webhooks secret.
        now: the time.
        tolerance: how far the signature's time may be from `now`, either way.

    Raises:
        CallbackError: it is not signed, or not with this secret, not now, not for this order; or it makes no sense.
    """
    key, time, signatures = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (key and signatures and time.isascii() and time.isdecimal() and len(time) <= _LONGEST_TIME):
        raise CallbackError(
            CallbackOutcome.NO_SIGNATURE, "the headers webhook-id, webhook-timestamp and webhook-signature are needed"
        )
    signed_at = datetime.fromtimestamp(int(time), UTC)
    try:
        expected = StandardWebhook(secret).sign(key, signed_at, body.decode())
    except UnicodeDecodeError:
        raise CallbackError(CallbackOutcome.MALFORMED, "the body is not UTF-8") from None
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in signatures.split(" ")):
        raise CallbackError(
            CallbackOutcome.WRONG_SIGNATURE,
            "the signature is not by FULFILLMENT_HTTP_SECRET: the same secret signs orders and callbacks",
        )
    if abs(now - signed_at) > tolerance:
        raise CallbackError(
            CallbackOutcome.STALE_SIGNATURE,
            f"the signature's time is {abs(now - signed_at).total_seconds():.0f} s away from this machine's: "
            "it is replayed, or a clock is wrong",
        )
    if key != name:
        raise CallbackError(
            CallbackOutcome.ANOTHER_ORDER, "webhook-id must be the order's key, which is the end of the path, too"
        )
    try:
        return msgspec.json.decode(body, type=Word)
    except (msgspec.DecodeError, RecursionError):
        raise CallbackError(
            CallbackOutcome.MALFORMED,
            'the body must be a JSON object such as {"result": "done", "reference": "order-7"}: result is "done" or '
            '"refused", reference and message are strings',
        ) from None


def news_in(word: Word, request: FulfillmentRequest, now: datetime) -> Callback | None:
    """Tell what a callback says newly of an order; None when the cluster knows it already.

    Of the try that it is about, `done` is the last word, and `refused` may still become `done`. A person's wish for
    another try makes room for any word, as soon as the backend has the order again.

    Args:
        word: the callback.
        request: the order as it stands in the cluster.
        now: the time.

    Raises:
        CallbackError: the order was not handed over, or ended otherwise.
    """
    status = request.status
    if status is not None and status.phase is Phase.FULFILLED:
        # The operator watches it no more, so nothing is written onto it.
        if word.result is CallbackResult.DONE:
            return None
        raise CallbackError(CallbackOutcome.ENDED, "the order is fulfilled, which nothing undoes")
    fulfillment = status.fulfillment if status else None
    if fulfillment is None or fulfillment.accepted_at is None:
        raise CallbackError(
            CallbackOutcome.NOT_HANDED_OVER,
            "the operator has no note yet that the order was answered 202: send this again in a few seconds",
        )
    # Whatever this machine's clock says, it came after the hand-over that it is about.
    callback = Callback(
        result=word.result,
        reference=word.reference[:_LONGEST_REFERENCE] if word.reference else None,
        message=word.message[:_LONGEST_MESSAGE] if word.message else None,
        observed_at=max(now, fulfillment.accepted_at),
    )
    before = request.spec.callback
    if before is None or before.observed_at is None or before.observed_at < fulfillment.started_at:
        return callback
    if (before.result, before.reference, before.message) == (callback.result, callback.reference, callback.message):
        return None
    if before.result is CallbackResult.DONE:
        if word.result is CallbackResult.DONE:
            return None
        raise CallbackError(CallbackOutcome.ENDED, "an earlier callback said that the order is done")
    return callback


_SHOWN = {
    CallbackOutcome.NO_SIGNATURE,
    CallbackOutcome.WRONG_SIGNATURE,
    CallbackOutcome.STALE_SIGNATURE,
    CallbackOutcome.ANOTHER_ORDER,
    CallbackOutcome.MALFORMED,
}


def is_shown(outcome: CallbackOutcome) -> bool:
    """Tell whether the order shall show that a callback about it was refused for this."""
    return outcome in _SHOWN


def refusal_in(error: CallbackError, request: FulfillmentRequest, now: datetime) -> RefusedCallback | None:
    """Tell what an order that waits for a callback shall show of one that was refused; None: it shows one already.

    Anybody can send such a callback, so one for each time that the order was handed over is enough.

    Args:
        error: why it was refused.
        request: the order as it stands in the cluster.
        now: the time.
    """
    status, known, believed = request.status, request.spec.refused_callback, request.spec.callback
    fulfillment = status.fulfillment if status and status.phase is not Phase.FULFILLED else None
    if fulfillment is None or fulfillment.accepted_at is None:
        return None
    if known is not None and known.observed_at >= fulfillment.started_at:
        return None
    if believed is not None and believed.observed_at is not None and believed.observed_at >= fulfillment.started_at:
        return None
    return RefusedCallback(message=str(error)[:_LONGEST_MESSAGE], observed_at=max(now, fulfillment.accepted_at))
