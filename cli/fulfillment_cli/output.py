"""How requests look to a person at a terminal. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import INPUT_CONDITIONS, ConditionStatus, Fulfillment, Order, Status
from fulfillment_cli.timeline import Entry

_HEAD = ("NAME", "PHASE", "REASON", "AMOUNT", "ATTEMPTS", "AGE", "MANUAL")
_WIDE = ("BACKEND", "REFERENCE", "SESSION", "MESSAGE")
_ITEMS_SHOWN = 10


def requests_table(requests: Iterable[FulfillmentRequest], now: datetime, *, wide: bool = False) -> str:
    """Show requests, one a line; a wide one tells all that the others leave to `show`."""
    rows = [(_HEAD, _WIDE), *((_row(each, now), _wide(each)) for each in requests)]
    return aligned([(*row, *more) if wide else row for row, more in rows])


def request_page(request: FulfillmentRequest, entries: Sequence[Entry], now: datetime) -> str:
    """Show one request, and what happened to it."""
    happened = [("TIME", "AGO", "WHAT", "DETAIL"), *(_line(each, now) for each in entries)]
    return f"{aligned(_facts(request))}\n\n{aligned(happened)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align columns as kubectl does. What is not printable, such as a terminal's escape, becomes a space."""
    cells = [["".join(char if char.isprintable() else " " for char in cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def age(span: timedelta) -> str:
    """Say how long ago something was, or in how long it will be, as short as kubectl does."""
    seconds = abs(int(span.total_seconds()))
    for limit, size, unit in ((120, 1, "s"), (3 * 3600, 60, "m"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            shown = f"{seconds // size}{unit}"
            break
    else:
        shown = f"{seconds // 86400}d"
    return shown if span >= timedelta(0) else f"in {shown}"


def _row(request: FulfillmentRequest, now: datetime) -> tuple[str, ...]:
    meta, status = request.metadata, request.status
    tries = status.fulfillment if status else None
    return (
        meta.name,
        status.phase if status else "",
        status.reason if status else "",
        _amount(request),
        str(tries.attempts) if tries else "",
        age(now - meta.creation_timestamp),
        "paused" if request.annotations.paused else "acknowledged" if request.is_acknowledged else "",
    )


def _wide(request: FulfillmentRequest) -> tuple[str, ...]:
    status = request.status
    tries = status.fulfillment if status else None
    return (
        tries.backend if tries else "",
        (tries.reference if tries else None) or "",
        request.spec.session.id,
        status.message if status else "",
    )


def _amount(request: FulfillmentRequest) -> str:
    order = request.status.order if request.status else None
    amount = request.spec.amount or (order.amount if order else None)
    return amount.display if amount else ""


def _given_back(status: Status | None) -> str | None:
    refunded = status.reversals.amount_refunded if status and status.reversals else None
    return refunded.display if refunded else None


def _presentment(order: Order | None) -> str | None:
    return order.presentment.display if order and order.presentment else None


def _facts(request: FulfillmentRequest) -> list[tuple[str, str]]:
    meta, session, status = request.metadata, request.spec.session, request.status
    facts = [
        ("Name:", meta.name),
        ("Namespace:", meta.namespace),
        ("Session:", session.id),
        ("Mode:", ", ".join(filter(None, [session.mode, "live" if session.livemode else "test"]))),
        ("Account:", session.account),
        ("Payment:", request.payment_intent),
        ("Subscription:", session.subscription),
        ("Payment link:", session.payment_link),
        ("Your reference:", session.client_reference_id),
        *(("Metadata:", f"{key}={value}") for key, value in session.metadata.items()),
        ("Amount:", _amount(request)),
        ("The buyer saw:", _presentment(status.order if status else None)),
        ("Given back:", _given_back(status)),
        ("Phase:", f"{status.phase} ({status.reason})" if status else "not reconciled yet"),
        ("Message:", status.message if status else None),
        *(("Invalid input:", message) for message in _input_messages(status)),
        ("Paused:", request.annotations.paused),
        ("Acknowledged:", request.annotations.acknowledged if request.is_acknowledged else None),
        *_backend(status.fulfillment if status else None),
        *(("Item:", item) for item in _items(status.order if status else None)),
    ]
    return [(name, value) for name, value in facts if value]


def _input_messages(status: Status | None) -> list[str]:
    """Return what is wrong with what others wrote onto the request."""
    found = [status.condition(kind) for kind in INPUT_CONDITIONS] if status else []
    return [each.message for each in found if each and each.status is ConditionStatus.FALSE]


def _backend(fulfillment: Fulfillment | None) -> list[tuple[str, str | None]]:
    if fulfillment is None:
        return []
    return [
        ("Backend:", f"{fulfillment.backend}, attempts: {fulfillment.attempts}"),
        ("Reference:", fulfillment.reference),
        ("Last error:", fulfillment.last_error),
    ]


def _items(order: Order | None) -> list[str]:
    items = order.line_items if order else []
    shown = [f"{each.quantity or 1} x {each.description or each.price or each.id}" for each in items[:_ITEMS_SHOWN]]
    more = len(items) - len(shown)
    removed = order.removed_line_items if order else None
    gone = [f"{removed} line items, removed since the order ended long ago: Stripe has them"] if removed else []
    return [*shown, *([f"and {more} more"] if more else []), *gone]


def _line(entry: Entry, now: datetime) -> tuple[str, ...]:
    return (entry.at.strftime("%Y-%m-%dT%H:%M:%SZ"), age(now - entry.at), entry.what, entry.detail)
