"""The signature check: several secrets, both ends of time, and every malformed header."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from stripe import WebhookSignature

from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from fulfillment_service.http.signature import verify
from support.stripe_events import NOW

BODY = '{"id": "evt_1", "name": "Åse"}'
SECRET, OLD_SECRET = "whsec_new", "whsec_old"

Check = Callable[..., str]


@pytest.fixture
def sign() -> Callable[..., str]:
    """The library's own way to sign."""

    def header(body: str = BODY, secret: str = SECRET, at: int = NOW) -> str:
        return str(WebhookSignature.generate_signature_header(body, secret, at))

    return header


def check(header: str | None, body: bytes = BODY.encode()) -> str:
    now = datetime.fromtimestamp(NOW, UTC)
    return verify(body, header, (SECRET, OLD_SECRET), now=now, tolerance=timedelta(seconds=300))


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
@pytest.mark.parametrize("at", [NOW - 300, NOW, NOW + 300])
def test_a_signature_of_any_secret_within_the_tolerance_is_taken(sign: Check, secret: str, at: int) -> None:
    """So a secret can be rolled, and clocks may differ a little either way."""
    assert check(sign(secret=secret, at=at)) == BODY


def test_one_right_signature_among_several_is_enough(sign: Check) -> None:
    """Stripe signs with the old and the new secret while one is being rolled, and may add schemes."""
    signed = sign().partition(",")[2]
    assert check(f"t={NOW},v1={'0' * 64},{signed},v0={'1' * 64}") == BODY


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, EventRejectReason.NO_SIGNATURE),
        ("", EventRejectReason.NO_SIGNATURE),
        ("gibberish", EventRejectReason.MALFORMED_SIGNATURE),
        ("t=,v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        ("v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={NOW}", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={NOW},v0=00", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={NOW},v1", EventRejectReason.MALFORMED_SIGNATURE),
        ("t=1_0,v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        ("t=-1,v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={'9' * 5000},v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={NOW},v1=é", EventRejectReason.MALFORMED_SIGNATURE),
        ("t=\N{ARABIC-INDIC DIGIT ONE},v1=00", EventRejectReason.MALFORMED_SIGNATURE),
        (f"t={NOW},v1={'0' * 64}", EventRejectReason.WRONG_SIGNATURE),
        (f"t={NOW},v1=", EventRejectReason.MALFORMED_SIGNATURE),
    ],
)
def test_a_header_that_proves_nothing_is_rejected(header: str | None, reason: EventRejectReason) -> None:
    """Each with its reason; none makes the library raise anything else."""
    with pytest.raises(EventRejectedError) as caught:
        check(header)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("at", "reason", "message"),
    [
        (NOW - 301, EventRejectReason.STALE_SIGNATURE, "the signature is 301 s old"),
        (NOW + 301, EventRejectReason.FUTURE_SIGNATURE, "the signature is from 301 s ahead"),
        (0, EventRejectReason.STALE_SIGNATURE, "the signature is 1793600000 s old"),
        (10**12 - 1, EventRejectReason.FUTURE_SIGNATURE, "the signature is from 998206399999 s ahead"),
    ],
)
def test_a_signature_from_another_time_is_rejected(
    sign: Check, at: int, reason: EventRejectReason, message: str
) -> None:
    """A recorded request cannot be replayed, nor one be signed ahead."""
    with pytest.raises(EventRejectedError, match=message) as caught:
        check(sign(at=at))
    assert caught.value.reason is reason


def test_the_first_time_counts(sign: Check) -> None:
    """The time that is checked is the one that is signed: a second one in the header is nothing."""
    old = sign(at=NOW - 1000)
    with pytest.raises(EventRejectedError) as caught:
        check(f"{old},t={NOW}")
    assert caught.value.reason is EventRejectReason.STALE_SIGNATURE
    with pytest.raises(EventRejectedError) as caught:
        check(f"t={NOW},{old}")
    assert caught.value.reason is EventRejectReason.WRONG_SIGNATURE


@pytest.mark.parametrize("body", [BODY.encode() + b" ", b"{}", b""])
def test_a_body_that_was_altered_is_rejected(sign: Check, body: bytes) -> None:
    """Even by a space; the message says where to look, and shows nothing of the body or the secrets."""
    with pytest.raises(EventRejectedError) as caught:
        check(sign(), body)
    assert caught.value.reason is EventRejectReason.WRONG_SIGNATURE
    assert "STRIPE_WEBHOOK_SECRETS" in str(caught.value)
    assert "whsec_" not in str(caught.value)
    assert "evt_1" not in str(caught.value)


def test_a_signature_of_another_secret_is_rejected(sign: Check) -> None:
    """The commonest mistake: the CLI's secret where the Dashboard's is needed."""
    with pytest.raises(EventRejectedError) as caught:
        check(sign(secret="whsec_other"))
    assert caught.value.reason is EventRejectReason.WRONG_SIGNATURE


def test_a_body_that_is_not_utf8_is_rejected(sign: Check) -> None:
    """Before it is compared: the scheme signs text."""
    with pytest.raises(EventRejectedError) as caught:
        check(sign(), b"\xff\xfe")
    assert caught.value.reason is EventRejectReason.NOT_UTF8
