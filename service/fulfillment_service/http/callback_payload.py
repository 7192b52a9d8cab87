"""Whether the backend sent a callback, what it holds, and what it changes in an order's spec. Pure.

A callback is signed after Standard Webhooks with the secret that signs the http backend's posts. Its `webhook-id` is
the order's key, as in the post: so the signature covers which order it is about, and none can be sent for another.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from http import HTTPStatus

import msgspec
from msgspec import Struct
from standardwebhooks import Webhook as StandardWebhook

from fulfillment_api.bounds import LONGEST_MESSAGE, LONGEST_REFERENCE
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, RejectedCallback
from fulfillment_api.status import Phase
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.settings import Secret

_LONGEST_TIME = 11  # digits of a Unix time; more would be no date that Python knows


@unique
class CallbackRejectReason(StrEnum):
    """What is wrong with a callback: a metric's label, and the error code in the answer."""

    NO_SIGNATURE = "no-signature"
    WRONG_SIGNATURE = "wrong-signature"
    STALE_SIGNATURE = "stale-signature"
    ANOTHER_ORDER = "another-order"
    MALFORMED = "malformed"
    UNKNOWN_ORDER = "unknown-order"
    NOT_DISPATCHED = "not-dispatched"
    ENDED = "ended"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status of the answer."""
        match self:
            case (
                CallbackRejectReason.NO_SIGNATURE
                | CallbackRejectReason.WRONG_SIGNATURE
                | CallbackRejectReason.STALE_SIGNATURE
                | CallbackRejectReason.ANOTHER_ORDER
            ):
                return HTTPStatus.UNAUTHORIZED
            case CallbackRejectReason.MALFORMED:
                return HTTPStatus.BAD_REQUEST
            case CallbackRejectReason.UNKNOWN_ORDER:
                return HTTPStatus.NOT_FOUND
            case CallbackRejectReason.NOT_DISPATCHED | CallbackRejectReason.ENDED:
                return HTTPStatus.CONFLICT


class CallbackRejectedError(Exception):
    """The callback is rejected. The message is one sentence for a person, and shows nothing of the body."""

    def __init__(self, reason: CallbackRejectReason, message: str) -> None:
        super().__init__(with_chart_values(message))
        self.reason = reason


class CallbackPayload(Struct, frozen=True, kw_only=True):
    """The body of a callback."""

    result: CallbackResult
    reference: str | None = None
    message: str | None = None


def parse_callback(  # noqa: PLR0913 - all that makes a callback
    body: bytes, name: str, headers: Mapping[str, str], secret: Secret, *, now: datetime, tolerance: timedelta
) -> CallbackPayload:
    """Make sure that the order's backend sent a callback, lately, and read it.

    Args:
        body: the request's body, byte for byte.
        name: the request's name in the path.
        headers: the request's headers, by their names in lower case.
        secret: the Standard Webhooks secret.
        now: the time.
        tolerance: how far the signature's time may be from `now`, either way.

    Raises:
        CallbackRejectedError: it is not signed, or not with this secret, not now, not for this order; or it makes no
            sense.
    """
    key, time, signatures = (headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (key and signatures and time.isascii() and time.isdecimal() and len(time) <= _LONGEST_TIME):
        raise CallbackRejectedError(
            CallbackRejectReason.NO_SIGNATURE,
            "the headers webhook-id, webhook-timestamp and webhook-signature are needed",
        )
    signed_at = datetime.fromtimestamp(int(time), UTC)
    try:
        expected = StandardWebhook(secret).sign(key, signed_at, body.decode())
    except UnicodeDecodeError:
        raise CallbackRejectedError(CallbackRejectReason.MALFORMED, "the body is not UTF-8") from None
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in signatures.split(" ")):
        raise CallbackRejectedError(
            CallbackRejectReason.WRONG_SIGNATURE,
            "the signature is not by FULFILLMENT_HTTP_SECRET: the same secret signs orders and callbacks",
        )
    if abs(now - signed_at) > tolerance:
        raise CallbackRejectedError(
            CallbackRejectReason.STALE_SIGNATURE,
            f"the signature's time is {abs(now - signed_at).total_seconds():.0f} s away from this machine's: "
            "it is replayed, or a clock is wrong",
        )
    if key != name:
        raise CallbackRejectedError(
            CallbackRejectReason.ANOTHER_ORDER, "webhook-id must be the order's key, which is the end of the path, too"
        )
    try:
        return msgspec.json.decode(body, type=CallbackPayload)
    except (msgspec.DecodeError, RecursionError):
        raise CallbackRejectedError(
            CallbackRejectReason.MALFORMED,
            'the body must be a JSON object such as {"result": "done", "reference": "order-7"}: result is "done" or '
            '"rejected", reference and message are strings',
        ) from None


def new_callback(payload: CallbackPayload, request: FulfillmentRequest, now: datetime) -> Callback | None:
    """Return what a callback writes into an order's spec; None when it is there already.

    Of the try that it is about, `done` is final, and `rejected` may still become `done`. When a person asked for
    another try, any result counts as soon as the backend has the order again, and none before: until the operator has
    noted that try, it would count a callback as one about the try before, and drop it.

    Args:
        payload: the callback.
        request: the order as it stands in the cluster.
        now: the time.

    Raises:
        CallbackRejectedError: the order was not dispatched, or ended otherwise.
    """
    status = request.status
    if status is not None and status.phase is Phase.FULFILLED:
        # The operator watches it no more, so nothing is written onto it.
        if payload.result is CallbackResult.DONE:
            return None
        raise CallbackRejectedError(CallbackRejectReason.ENDED, "the order is fulfilled, which nothing undoes")
    fulfillment = status.fulfillment if status else None
    if fulfillment is None or fulfillment.accepted_at is None or request.is_retry_requested:
        raise CallbackRejectedError(
            CallbackRejectReason.NOT_DISPATCHED,
            "the operator has no note yet that the order was answered 202: send this again in a few seconds",
        )
    # Whatever this machine's clock says, it came after the dispatch that it is about.
    callback = Callback(
        result=payload.result,
        reference=payload.reference[:LONGEST_REFERENCE] if payload.reference else None,
        message=payload.message[:LONGEST_MESSAGE] if payload.message else None,
        observed_at=max(now, fulfillment.accepted_at),
    )
    before = request.spec.callback
    if before is None or before.observed_at is None or before.observed_at < fulfillment.started_at:
        return callback
    if (before.result, before.reference, before.message) == (callback.result, callback.reference, callback.message):
        return None
    if before.result is CallbackResult.DONE:
        if payload.result is CallbackResult.DONE:
            return None
        raise CallbackRejectedError(CallbackRejectReason.ENDED, "an earlier callback said that the order is done")
    return callback


def new_rejection(error: CallbackRejectedError, request: FulfillmentRequest, now: datetime) -> RejectedCallback | None:
    """Return what an order that waits for a callback shall show of one that was rejected; None: it shows one already.

    Anybody can send such a callback, so one for each time that the order was dispatched is enough.

    Args:
        error: why it was rejected.
        request: the order as it stands in the cluster.
        now: the time.
    """
    status, rejected, accepted = request.status, request.spec.rejected_callback, request.spec.callback
    fulfillment = status.fulfillment if status and status.phase is not Phase.FULFILLED else None
    if fulfillment is None or fulfillment.accepted_at is None:
        return None
    if rejected is not None and rejected.observed_at >= fulfillment.started_at:
        return None
    if accepted is not None and accepted.observed_at is not None and accepted.observed_at >= fulfillment.started_at:
        return None
    return RejectedCallback(message=str(error)[:LONGEST_MESSAGE], observed_at=max(now, fulfillment.accepted_at))
