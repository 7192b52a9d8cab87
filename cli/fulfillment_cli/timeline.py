"""What happened to an order, in its order, from what the request and its Events tell. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, Spec
from fulfillment_api.status import Condition, ConditionType, Fulfillment, Status
from fulfillment_cli.actions import EVENT_REASONS, Action, Actor, Verb, event_note
from fulfillment_runtime.kubernetes.events import PostedEvent

# Ready and Stalled say the same as Fulfilled, for other readers.
_MIRRORS = (ConditionType.READY, ConditionType.STALLED)
_REQUESTED = re.compile(
    r"(?:(?P<text>.*)(?:: | (?P<bracket>\()))?"
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z(?: by (?P<user>.+))?(?(bracket)\))",
    re.DOTALL,
)
"""As `actions.annotations` writes a value: the text, if any, and last when it was requested, and by whom."""


class Entry(Struct, frozen=True):
    """Something that happened."""

    at: datetime
    what: str
    detail: str


def timeline(request: FulfillmentRequest, events: Iterable[PostedEvent]) -> list[Entry]:
    """Tell what happened, oldest first; what is to come stands last.

    Args:
        request: the order.
        events: the Events about it, as far as the cluster still has them.
    """
    status = request.status
    conditions = _told(status) if status else []
    shown = {(each.reason, each.message) for each in conditions}
    recorded = [Entry(each.at, each.reason, each.message) for each in events]
    posted = [each for each in recorded if (each.what, each.detail) not in shown]
    requested = [each for each in posted if each.what in EVENT_REASONS.values()]
    known = {(each.what, each.at) for each in requested}
    entries = [  # in this order of what has the same second: what is requested comes before what comes of it
        *_origin(request),
        *requested,
        *(each for each in _requested_actions(request) if (each.what, each.at) not in known),
        *(_changed(each, recorded) for each in conditions if each.type == ConditionType.PAID),
        *_tries(status.fulfillment if status else None),
        *_callback(request.spec.callback),
        *_reversal(request.spec),
        *_end(status.fulfillment if status else None),
        *(_changed(each, recorded) for each in conditions if each.type != ConditionType.PAID),
        *(each for each in posted if each not in requested),
    ]
    return sorted(entries, key=lambda entry: entry.at.replace(microsecond=0))  # most times are in whole seconds


def _origin(request: FulfillmentRequest) -> Iterator[Entry]:
    session, payment = request.spec.session, request.spec.payment
    if session.created_at is not None:
        yield Entry(session.created_at, "SessionCreated", f"the buyer began Checkout: {session.id}")
    yield Entry(request.metadata.creation_timestamp, "RequestCreated", "the order was recorded")
    if payment.observed_at is not None:
        source = f", says {payment.event}" if payment.event else ""
        yield Entry(payment.observed_at, "PaymentEvent", f"the payment is {payment.status}{source}")


def _requested_actions(request: FulfillmentRequest) -> Iterator[Entry]:
    """Find what a person requested by `kubectl fulfillment`, which writes the time into the value."""
    annotations = request.annotations
    for verb, value in (
        (Verb.PAUSE, annotations.paused),
        (Verb.RETRY, annotations.retry),
        (Verb.COMPLETE, annotations.complete),
        (Verb.FAIL, annotations.fail),
        (Verb.ACKNOWLEDGE, annotations.acknowledged),
    ):
        found = _REQUESTED.fullmatch(value)
        at = _time_of(found["at"]) if found is not None else None
        if found is not None and at is not None:
            note = event_note(Action(verb, found["text"] or ""), Actor(at, found["user"]))
            yield Entry(at, EVENT_REASONS[verb], note)


def _time_of(text: str) -> datetime | None:
    """Read a time; None when there is no such: anybody may write an annotation."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _tries(fulfillment: Fulfillment | None) -> Iterator[Entry]:
    if fulfillment is None:
        return
    backend = f"the backend {fulfillment.backend}"
    if fulfillment.attempts:
        times = "once" if fulfillment.attempts == 1 else f"{fulfillment.attempts} times so far"
        yield Entry(fulfillment.started_at, "Dispatched", f"first dispatched to {backend}; {times}")
    if fulfillment.accepted_at is not None:
        yield Entry(fulfillment.accepted_at, "Accepted", f"{backend} took it, and works on it")
    if fulfillment.next_attempt_at is not None:
        yield Entry(fulfillment.next_attempt_at, "NextAttempt", f"dispatched to {backend} again")


def _end(fulfillment: Fulfillment | None) -> Iterator[Entry]:
    if fulfillment is not None and fulfillment.completed_at is not None and fulfillment.reference is not None:
        yield Entry(fulfillment.completed_at, "Completed", f"as {fulfillment.reference}")


def _callback(callback: Callback | None) -> Iterator[Entry]:
    if callback is not None and callback.observed_at is not None:
        detail = callback.reference or callback.message
        yield Entry(
            callback.observed_at, "Callback", f"the backend said {callback.result}" + (f": {detail}" if detail else "")
        )


def _reversal(spec: Spec) -> Iterator[Entry]:
    if spec.reversal is not None and spec.reversal.observed_at is not None:
        source = f", says {spec.reversal.event}" if spec.reversal.event else ""
        yield Entry(spec.reversal.observed_at, "ReversalEvent", f"{spec.reversal.kind}{source}")
    if spec.expiry is not None and spec.expiry.observed_at is not None:
        source = f", says {spec.expiry.event}" if spec.expiry.event else ""
        yield Entry(spec.expiry.observed_at, "ExpiryEvent", f"the order is expired{source}")


def _told(status: Status) -> list[Condition]:
    """Return the conditions, without those that say what another does; of an old order, with the status' message."""
    return [
        replace(each, message=each.message or status.message) for each in status.conditions if each.type not in _MIRRORS
    ]


def _changed(condition: Condition, recorded: Iterable[Entry]) -> Entry:
    # Its own time is that of its status. Its message may be newer: the Event with the same one has the time.
    times = [each.at for each in recorded if (each.what, each.detail) == (condition.reason, condition.message)]
    at = max([condition.last_transition_time, *times])
    return Entry(at, f"{condition.type}={condition.status}", f"{condition.reason}: {condition.message}")
