"""Whether Stripe sent an event: the signature of a webhook request.

The library's own check of the signature is all that is used of it. `construct_event` would turn the whole
event into the library's objects, which takes sixty times as long, and checks the age of a signature by the
machine's clock, and only backwards.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from stripe import SignatureVerificationError, WebhookSignature

from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason

_LONGEST_TIME = 12  # digits of a Unix time; more would not be a date


def verify(body: bytes, header: str | None, secrets: Iterable[str], *, now: datetime, tolerance: timedelta) -> str:
    """Make sure that Stripe signed the body, lately, with one of the secrets, and return the body as text.

    Several secrets are tried, so that one can be rolled. Source of the scheme: Stripe, "Resolve webhook
    signature verification errors".

    Args:
        body: the request's body, byte for byte.
        header: the request's `Stripe-Signature`: `t=<Unix time>,v1=<hex>[,v1=…]`.
        secrets: the signing secrets, `whsec_…`.
        now: the time.
        tolerance: how far the signature's time may be from `now`, either way.

    Raises:
        EventRejectedError: the signature is missing, malformed, wrong, stale or from the future, or the body is not
            UTF-8.
    """
    if not header:
        raise EventRejectedError(
            EventRejectReason.NO_SIGNATURE, "there is no Stripe-Signature header: only Stripe can post events here"
        )
    signed_at = _time_of(header)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise EventRejectedError(EventRejectReason.NOT_UTF8, "the body is not UTF-8") from None
    if not any(_matches(text, header, secret) for secret in secrets):
        raise EventRejectedError(
            EventRejectReason.WRONG_SIGNATURE,
            "the signature matches none of the signing secrets: either STRIPE_WEBHOOK_SECRETS lacks the secret of the "
            "endpoint that sent this (the Dashboard's and that of `stripe listen` differ), or something on the way "
            "altered the body, or Stripe did not send it",
        )
    age = now.timestamp() - signed_at
    if age > tolerance.total_seconds():
        raise EventRejectedError(
            EventRejectReason.STALE_SIGNATURE,
            f"the signature is {age:.0f} s old: it is replayed, or this machine's clock is wrong",
        )
    if -age > tolerance.total_seconds():
        raise EventRejectedError(
            EventRejectReason.FUTURE_SIGNATURE,
            f"the signature is from {-age:.0f} s ahead: this machine's clock is wrong",
        )
    return text


def _time_of(header: str) -> int:
    """Read the time that is signed: the header's first `t`, as the library does, but strictly."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    time = next((value for key, value in parts if key == "t"), "")
    if (
        not header.isascii()  # the library's comparison raises TypeError
        or not time.isdecimal()  # the library's int() would take "1_0"
        or len(time) > _LONGEST_TIME
        or not any(value for key, value in parts if key == WebhookSignature.EXPECTED_SCHEME)
    ):
        raise EventRejectedError(
            EventRejectReason.MALFORMED_SIGNATURE, "the Stripe-Signature header is not of the form t=…,v1=…"
        )
    return int(time)


def _matches(text: str, header: str, secret: str) -> bool:
    try:
        # The age is checked above, both ways and by a clock that tests can set.
        return bool(WebhookSignature.verify_header(text, header, secret, tolerance=None))
    except SignatureVerificationError:
        return False
