"""How requests look to a person at a terminal. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Literal, TypeAlias

from fulfillment_api.resource import FulfillmentRequest, ObjectMeta
from fulfillment_api.status import INPUT_CONDITIONS, ConditionStatus, Fulfillment, Order, Status
from fulfillment_cli.state import UNSEEN, state_of
from fulfillment_cli.timeline import Entry

_ITEMS_SHOWN = 10
_UNDECODABLE_SHOWN = 5
_GAP = "   "
_LEAST_DETAIL = 30
"""Characters that a last column must have at least; else it stands below the others."""

Paint: TypeAlias = Callable[[str], str]
"""Colours a phase, where the terminal shows colours."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of requests."""

    title: str
    value: Callable[[FulfillmentRequest, datetime], str]
    left_out: int = 0
    """How early it is left out where the terminal is narrow: the greatest goes first; 0: never."""


_PHASE = "PHASE"
_NAMESPACE = _Column("NAMESPACE", lambda request, _: request.metadata.namespace)
_COLUMNS = (
    _Column("NAME", lambda request, _: request.metadata.name),
    _Column(_PHASE, lambda request, _: request.status.phase if request.status else UNSEEN),
    _Column("REASON", lambda request, _: request.status.reason if request.status else "", left_out=1),
    _Column("AMOUNT", lambda request, _: _amount(request), left_out=2),
    _Column("ATTEMPTS", lambda request, _: _attempts(request), left_out=4),
    _Column("AGE", lambda request, now: age(now - request.metadata.creation_timestamp)),
    _Column("MANUAL", lambda request, _: _manual(request), left_out=3),
)
_WIDE = (
    _Column("BACKEND", lambda request, _: _fulfillment(request, "backend")),
    _Column("REFERENCE", lambda request, _: _fulfillment(request, "reference")),
    _Column("SESSION", lambda request, _: request.spec.session.id),
    _Column("MESSAGE", lambda request, _: request.status.message if request.status else ""),
)


def requests_table(  # noqa: PLR0913 - what is shown, and on what
    requests: Sequence[FulfillmentRequest],
    now: datetime,
    *,
    wide: bool = False,
    namespaces: bool = False,
    width: int | None = None,
    paint: Paint = str,
    head: bool = True,
    beside: Sequence[FulfillmentRequest] = (),
) -> str:
    """Show requests, one a line.

    Args:
        requests: they, in the order in which they are shown.
        now: the time.
        wide: also what the others leave to `show`, however wide the terminal is.
        namespaces: each with its namespace.
        width: of the terminal; None: there is none. On a narrow one columns are left out, and on one that is narrower
            still a request has two lines.
        paint: colours a phase.
        head: with the names of the columns.
        beside: what was shown before them, with which they are aligned.
    """
    columns = [*([_NAMESPACE] if namespaces else []), *_COLUMNS, *(_WIDE if wide else ())]
    table = [[_printable(column.value(each, now)) for column in columns] for each in (*beside, *requests)]
    table = [[column.title for column in columns], *table]
    shown_before = 1 + len(beside)
    if width is None or wide:
        return _aligned(table, columns, paint, shown_before, head=head)
    for leaving in sorted({each.left_out for each in columns}, reverse=True):
        kept = [place for place, column in enumerate(columns) if column.left_out <= leaving]
        shown = [[row[place] for place in kept] for row in table]
        if _width_of(shown) <= width:
            return _aligned(shown, [columns[place] for place in kept], paint, shown_before, head=head)
    return "\n".join(_stacked(row, columns, width, paint) for row in table[shown_before:])


def undecodable_line(undecodable: Sequence[ObjectMeta]) -> str:
    """Say which orders do not decode, some of them by their names, and how to look at one."""
    first, count = undecodable[0], counted(len(undecodable), "order does not decode", "orders do not decode")
    shown = ", ".join(each.name for each in undecodable[:_UNDECODABLE_SHOWN])
    more = ", …" if len(undecodable) > _UNDECODABLE_SHOWN else ""
    return f"{count}: {shown}{more} (kubectl get fulfillmentrequests -n {first.namespace} {first.name} -o yaml)"


def request_page(
    request: FulfillmentRequest,
    entries: Sequence[Entry],
    now: datetime,
    *,
    width: int | None = None,
    paint: Paint = str,
) -> str:
    """Show one request, and what happened to it.

    Args:
        request: it.
        entries: what happened.
        now: the time.
        width: of the terminal; None: there is none.
        paint: colours a phase.
    """
    facts = [(name, _printable(value)) for name, value in _facts(request)]
    phase = request.status.phase if request.status else ""
    happened: list[tuple[str, ...]] = [("TIME", "AGO", "WHAT", "DETAIL"), *(_line(each, now) for each in entries)]
    if width is not None and width - _indent(happened) < _LEAST_DETAIL:
        happened = [row[1:] for row in happened]  # how long ago it was says enough
    page = f"{_hanging(facts, width)}\n\n{_hanging(happened, width)}"
    return (
        re.sub(rf"^(Phase: +){phase}\b", lambda found: found[1] + paint(phase), page, flags=re.MULTILINE)
        if phase
        else page
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align columns as kubectl does. What is not printable, such as a terminal's escape, becomes a space."""
    return _hanging(rows, None)


def hanging(head: str, text: str, indent: int, width: int | None) -> str:
    """Write a text beside a head, in as many lines as the terminal needs; or below it, where beside it is no room.

    Args:
        head: what stands before it.
        text: the text; what is not printable becomes a space.
        indent: how many characters the head, and all lines after the first, take.
        width: of the terminal; None: there is none, and it is one line.
    """
    text = _printable(text)
    if width is None or indent + len(text) <= width:
        return f"{head}{text}".rstrip()
    if width - indent < _LEAST_DETAIL:
        lines = wrap(text, max(width - 2, 10), break_long_words=False, break_on_hyphens=False)
        return "\n  ".join([head.rstrip(), *lines])
    lines = wrap(text, width - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join([f"{head}{lines[0]}", *lines[1:]])


def _hanging(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Align columns, of which the last takes as many lines as it needs."""
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = _widths(cells)[:-1]
    indent = _indent(cells)
    heads = ("".join(f"{cell:<{size}}{_GAP}" for cell, size in zip(row[:-1], widths, strict=True)) for row in cells)
    return "\n".join(hanging(head, row[-1], indent, width) for head, row in zip(heads, cells, strict=True))


def _aligned(
    table: Sequence[Sequence[str]], columns: Sequence[_Column], paint: Paint, start: int, *, head: bool
) -> str:
    """Align a table, and give its head and the rows from one on."""
    widths, lines = _widths(table), []
    for number, row in enumerate(table):
        cells = [
            (paint(cell) if number and column.title == _PHASE else cell) + " " * (size - len(cell))
            for cell, column, size in zip(row, columns, widths, strict=True)
        ]
        lines.append(_GAP.join(cells).rstrip())
    return "\n".join([*(lines[:1] if head else []), *lines[start:]])


def _stacked(row: Sequence[str], columns: Sequence[_Column], width: int, paint: Paint) -> str:
    """Show a request in two lines: its name, and all else that there is to say."""
    of = {column.title: cell for column, cell in zip(columns, row, strict=True)}
    name = "/".join(filter(None, [of.pop(_NAMESPACE.title, ""), of.pop("NAME")]))
    attempts = of.pop("ATTEMPTS")
    told = [*filter(None, of.values()), *([f"attempts: {attempts}"] if attempts else [])]
    lines = wrap(", ".join(told), width - 2, break_long_words=False, break_on_hyphens=False)
    phase = of[_PHASE]
    if phase and lines:
        lines[0] = paint(phase) + lines[0].removeprefix(phase)
    return "\n  ".join([name, *lines])


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _indent(rows: Sequence[Sequence[str]]) -> int:
    """Count the characters before the last column."""
    before = _widths(rows)[:-1]
    return sum(before) + len(_GAP) * len(before)


def _width_of(rows: Sequence[Sequence[str]]) -> int:
    widths = _widths(rows)
    return max(
        len(_GAP.join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()) for row in rows
    )


def _printable(cell: str) -> str:
    return "".join(char if char.isprintable() else " " for char in cell)


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


def counted(count: int, one: str, several: str) -> str:
    """Say how many there are, and what they are or do: `1 is paid`, `2 are paid`."""
    return f"{count} {one if count == 1 else several}"


def _attempts(request: FulfillmentRequest) -> str:
    tries = request.status.fulfillment if request.status else None
    return str(tries.attempts) if tries else ""


def _manual(request: FulfillmentRequest) -> str:
    return "paused" if request.annotations.paused else "acknowledged" if request.is_acknowledged else ""


def _fulfillment(request: FulfillmentRequest, field: Literal["backend", "reference"]) -> str:
    tries = request.status.fulfillment if request.status else None
    return (getattr(tries, field) if tries else None) or ""


def _amount(request: FulfillmentRequest) -> str:
    order = request.status.order if request.status else None
    amount = (order.amount if order else None) or request.spec.amount  # as the column of kubectl has it
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
        ("Phase:", state_of(request)),
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
    them = counted(removed or 0, "line item", "line items")
    gone = [f"{them}, removed since the order ended long ago: Stripe has them"] if removed else []
    return [*shown, *([f"and {more} more"] if more else []), *gone]


def _line(entry: Entry, now: datetime) -> tuple[str, ...]:
    return (entry.at.strftime("%Y-%m-%dT%H:%M:%SZ"), age(now - entry.at), entry.what, entry.detail)
