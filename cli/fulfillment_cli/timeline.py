"""What happened to an order, in its order, from what the request and its Events tell. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from msgspec import Struct

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, Sale
from fulfillment_api.status import Condition, ConditionType, Fulfillment
from fulfillment_cli.wishes import EVENT_REASONS, Verb
from fulfillment_runtime.kubernetes_events import PostedEvent

# Ready and Stalled say the same as Fulfilled, for other readers.
_MIRRORS = (ConditionType.READY, ConditionType.STALLED)
_ASKED_AT = re.compile(r"\(?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z(?: by [^)]*)?\)?$")


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
    conditions = [each for each in (status.conditions if status else []) if each.type not in _MIRRORS]
    told = {(each.reason, each.message) for each in conditions}
    said = [Entry(each.at, each.reason, each.message) for each in events]
    posted = [each for each in said if (each.what, each.detail) not in told]
    asked = [each for each in posted if each.what in EVENT_REASONS.values()]
    known = {(each.what, each.at) for each in asked}
    entries = [  # in this order of what has the same second: what is asked for comes before what comes of it
        *_origin(request),
        *asked,
        *(each for each in _asked_for(request) if (each.what, each.at) not in known),
        *(_changed(each, said) for each in conditions if each.type == ConditionType.PAID),
        *_tries(status.fulfillment if status else None),
        *_callback(request.spec.callback),
        *_after(request.spec.sale),
        *_end(status.fulfillment if status else None),
        *(_changed(each, said) for each in conditions if each.type != ConditionType.PAID),
        *(each for each in posted if each not in asked),
    ]
    return sorted(entries, key=lambda entry: entry.at.replace(microsecond=0))  # most times are told in seconds


def _origin(request: FulfillmentRequest) -> Iterator[Entry]:
    session, payment = request.spec.session, request.spec.payment
    if session.created_at is not None:
        yield Entry(session.created_at, "SessionCreated", f"the buyer began Checkout: {session.id}")
    yield Entry(request.metadata.creation_timestamp, "RequestCreated", "the order was recorded")
    if payment.observed_at is not None:
        said = f", says {payment.event}" if payment.event else ""
        yield Entry(payment.observed_at, "PaymentEvent", f"the payment is {payment.status}{said}")


def _asked_for(request: FulfillmentRequest) -> Iterator[Entry]:
    """Find what a person asked for by `kubectl fulfillment`, which writes the time into the value."""
    asked = request.annotations
    for verb, value in (
        (Verb.PAUSE, asked.paused),
        (Verb.RETRY, asked.retry),
        (Verb.COMPLETE, asked.complete),
        (Verb.FAIL, asked.fail),
        (Verb.ACKNOWLEDGE, asked.acknowledged),
    ):
        found = _ASKED_AT.search(value)
        if found is not None:
            at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
            yield Entry(at, EVENT_REASONS[verb], value)


def _tries(fulfillment: Fulfillment | None) -> Iterator[Entry]:
    if fulfillment is None:
        return
    backend = f"the backend {fulfillment.backend}"
    if fulfillment.attempts:
        times = "once" if fulfillment.attempts == 1 else f"{fulfillment.attempts} times so far"
        yield Entry(fulfillment.started_at, "HandedOver", f"first handed to {backend}; {times}")
    if fulfillment.accepted_at is not None:
        yield Entry(fulfillment.accepted_at, "Accepted", f"{backend} took it, and works on it")
    if fulfillment.next_attempt_at is not None:
        yield Entry(fulfillment.next_attempt_at, "NextAttempt", f"handed to {backend} again")


def _end(fulfillment: Fulfillment | None) -> Iterator[Entry]:
    if fulfillment is not None and fulfillment.completed_at is not None and fulfillment.reference is not None:
        yield Entry(fulfillment.completed_at, "Completed", f"as {fulfillment.reference}")


def _callback(callback: Callback | None) -> Iterator[Entry]:
    if callback is not None and callback.observed_at is not None:
        said = callback.reference or callback.message
        yield Entry(
            callback.observed_at, "Callback", f"the backend said {callback.result}" + (f": {said}" if said else "")
        )


def _after(sale: Sale | None) -> Iterator[Entry]:
    if sale is not None and sale.observed_at is not None:
        said = f", says {sale.event}" if sale.event else ""
        yield Entry(sale.observed_at, "SaleEvent", f"the order is {sale.kind}{said}")


def _changed(condition: Condition, said: Iterable[Entry]) -> Entry:
    # Its own time is that of its status. What it says may be newer: the Event of the same words tells when it was said.
    times = [each.at for each in said if (each.what, each.detail) == (condition.reason, condition.message)]
    at = max([condition.last_transition_time, *times])
    return Entry(at, f"{condition.type}={condition.status}", f"{condition.reason}: {condition.message}")
