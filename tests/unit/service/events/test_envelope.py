"""The envelope: what every event shows, whatever it is about."""

import json

import pytest

from fulfillment_service.events.envelope import decode_envelope
from fulfillment_service.events.event import CheckoutEvent, OtherEvent, parse_event
from fulfillment_service.events.rejections import EventRejectedError, EventRejectReason
from support.stripe_events import snapshot


def test_a_bare_envelope_is_an_event() -> None:
    """Every part may be absent."""
    envelope = decode_envelope("{}")
    assert (envelope.id, envelope.type, envelope.is_thin) == (None, None, False)
    assert (envelope.created_at, envelope.livemode, envelope.account) == (None, None, None)
    assert parse_event(envelope) == OtherEvent(id=None, type=None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", EventRejectReason.NOT_JSON),
        ("hello", EventRejectReason.NOT_JSON),
        ('{"id": "evt_1"', EventRejectReason.NOT_JSON),
        ('{"id": NaN}', EventRejectReason.NOT_JSON),
        ("{} {}", EventRejectReason.NOT_JSON),
        pytest.param(
            '{"data": ' + "[" * 500_000 + "]" * 500_000 + "}", EventRejectReason.NOT_JSON, id="nested too deeply"
        ),
        ("[]", EventRejectReason.NOT_AN_OBJECT),
        ("null", EventRejectReason.NOT_AN_OBJECT),
        ('"evt_1"', EventRejectReason.NOT_AN_OBJECT),
        ("7", EventRejectReason.NOT_AN_OBJECT),
    ],
)
def test_what_is_no_event_is_rejected(text: str, reason: EventRejectReason) -> None:
    """With the reason, and nothing of the body in the message."""
    with pytest.raises(EventRejectedError) as caught:
        decode_envelope(text)
    assert caught.value.reason is reason
    assert str(caught.value) in {"the body is not JSON", "the body is not a JSON object"}


def test_half_of_a_surrogate_pair_spoils_no_event() -> None:
    """A name that was cut within an emoji stands beside what matters, and nothing could store it."""
    shown = snapshot(session={"metadata": {"name": "Jenny \ud83d"}})
    event = parse_event(decode_envelope(json.dumps(shown)))
    assert isinstance(event, CheckoutEvent)
    assert event.session.metadata == {"name": "Jenny \ufffd"}
