"""The table: which figures there are, what is asked of each, and how what was measured is shown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, unique
from typing import Any

_TIMES = "\u00d7"


@unique
class Group(StrEnum):
    """Rows that are measured together; the names that `ROWS` takes, in the order of the table."""

    INTAKE = "intake"
    FLOOD = "flood"
    SETTLE = "settle"
    STRIPE = "stripe"
    STEADY = "steady"
    WAITING = "waiting"
    MEMORY = "memory"
    AT_REST = "at-rest"
    ETCD = "etcd"
    COMMAND_LINE = "command-line"
    PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class Goal:
    """The bound that a figure must keep."""

    bound: float
    is_least: bool
    """Whether the figure is to be at least the bound, not at most."""
    unit: str = ""

    def met_by(self, value: float) -> bool:
        """Tell whether a figure keeps the bound."""
        return value >= self.bound if self.is_least else value <= self.bound

    def __str__(self) -> str:
        """Show it as the table does."""
        return f"{'≥' if self.is_least else '≤'} {_number(self.bound)}{_suffix(self.unit)}"


def at_most(bound: float, unit: str = "") -> Goal:
    """Make a goal of an upper bound."""
    return Goal(bound, is_least=False, unit=unit)


def at_least(bound: float, unit: str = "") -> Goal:
    """Make a goal of a lower bound."""
    return Goal(bound, is_least=True, unit=unit)


@dataclass(frozen=True, slots=True)
class _Asked:
    group: Group
    name: str
    goal: Goal
    needs_base: bool = False


@unique
class Row(Enum):
    """A figure of the table; the value says what is asked of it."""

    INTAKE_CPU = _Asked(Group.INTAKE, "intake: service CPU an event ÷ API server CPU a raw create", at_most(0.28))
    INTAKE_RATE = _Asked(Group.INTAKE, "intake: events/s ÷ raw creates/s", at_least(0.75))
    INTAKE_P99 = _Asked(Group.INTAKE, "intake: p99 of an event ÷ p99 of a raw create", at_most(1.4))
    FLOOD_RATIO = _Asked(Group.FLOOD, "a flood of unsigned requests: p99 of an event ÷ without it", at_most(50))
    FLOOD_P99 = _Asked(Group.FLOOD, "a flood of unsigned requests: p99 of an event", at_most(1, "s"))
    FLOOD_MEMORY = _Asked(Group.FLOOD, "a flood of unsigned requests: the service grows by", at_most(48, "MiB"))
    SETTLE_CPU = _Asked(Group.SETTLE, "settle: operator CPU ÷ API server CPU, an order", at_most(0.40))
    SETTLE_RATE = _Asked(Group.SETTLE, "settle: orders/s ÷ those of BASE", at_least(2.2, _TIMES), needs_base=True)
    CREATES = _Asked(Group.SETTLE, "API writes an order: creates", at_most(1))
    STATUS_PATCHES = _Asked(Group.SETTLE, "API writes an order: status patches", at_most(1))
    EVENTS = _Asked(Group.SETTLE, "API writes an order: Events", at_most(0.1))
    STRIPE_REQUESTS = _Asked(Group.STRIPE, "Stripe's limits: requests an order of a backlog", at_most(0.1))
    STRIPE_SOONER = _Asked(
        Group.STRIPE, "Stripe's limits: a backlog is settled sooner than by BASE", at_least(5, _TIMES), needs_base=True
    )
    STEADY_SETTLED = _Asked(Group.STEADY, "steady rate: share of the orders settled as they come", at_least(1))
    STEADY_P99 = _Asked(Group.STEADY, "steady rate: p99 from event to fulfilled", at_most(3, "s"))
    WAITING_REQUESTS = _Asked(Group.WAITING, "orders that wait: requests to Stripe in an interval", at_most(400))
    WAITING_SEEN = _Asked(Group.WAITING, "orders that wait: share of lost events seen within the interval", at_least(1))
    WAITING_MEMORY = _Asked(Group.WAITING, "memory: operator with 20,000 orders that wait", at_most(160, "MiB"))
    FINISHED_MEMORY = _Asked(Group.MEMORY, "memory: beside many finished orders ÷ beside few", at_most(1.1))
    SERVICE_AT_REST = _Asked(Group.AT_REST, "at rest: service", at_most(85, "MiB"))
    OPERATOR_AT_REST = _Asked(Group.AT_REST, "at rest: operator", at_most(115, "MiB"))
    ETCD_ORDINARY = _Asked(Group.ETCD, "etcd: an ordinary order, finished for a week", at_most(2_200, "bytes"))
    ETCD_MANY_ITEMS = _Asked(Group.ETCD, "etcd: one of 137 line items, finished for a week", at_most(2_200, "bytes"))
    LIST = _Asked(Group.COMMAND_LINE, "`kubectl fulfillment list` ÷ `kubectl get`, of 100 orders", at_most(3))
    HELP = _Asked(Group.COMMAND_LINE, '`fulfillment --help` ÷ `python -c "import click"`', at_most(2))
    SHOW = _Asked(
        Group.PLUGIN,
        "plugin: `show` of 200 orders beside 2,500 Events, against BASE",
        at_least(8, _TIMES),
        needs_base=True,
    )
    RETRY = _Asked(Group.PLUGIN, "plugin: `retry --all` of 2,000, against BASE", at_least(3, _TIMES), needs_base=True)

    @property
    def key(self) -> str:
        """What the JSON and docs/performance.md call it."""
        return self.name.lower().replace("_", "-")

    @property
    def group(self) -> Group:
        """With which others it is measured."""
        return self.value.group

    @property
    def title(self) -> str:
        """What is measured, for people."""
        return self.value.name

    @property
    def goal(self) -> Goal:
        """What is asked of it, at the full scale."""
        return self.value.goal

    @property
    def needs_base(self) -> bool:
        """Whether it compares with another build."""
        return self.value.needs_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What came of one row."""

    row: Row
    value: float | None
    """None: it was not measured; the note says why."""
    goal: Goal
    """That of the row, or what is left of it at a smaller scale."""
    note: str = ""
    """What a reader must know: the scale, where it is not the table's; what is missing."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the figure was computed from, by a name that ends in its unit."""

    @property
    def verdict(self) -> str:
        """Say in a word or two whether the goal is met."""
        if self.value is None:
            return "not measured"
        return "met" if self.goal.met_by(self.value) else "not met"


def measured(
    row: Row, value: float, note: str = "", *, goal: Goal | None = None, parts: Mapping[str, float] | None = None
) -> Figure:
    """Make the figure of a row, at the row's own goal unless another one is given."""
    return Figure(row=row, value=value, goal=goal or row.goal, note=note, parts=parts or {})


def unmeasured(row: Row, why: str) -> Figure:
    """Make what stands for a figure that there is not."""
    return Figure(row=row, value=None, goal=row.goal, note=why)


def rows_of(group: Group) -> list[Row]:
    """List the rows of a group."""
    return [row for row in Row if row.group is group]


def text_table(figures: Sequence[Figure]) -> str:
    """Show the table in columns, and below each row, indented, its note."""
    cells = [("what", "measured", "goal", ""), *(_cells(each) for each in figures)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = []
    for row, figure in zip(cells, [None, *figures], strict=True):
        padded = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2]), row[3]]
        lines.append("  ".join(padded).rstrip())
        if figure is not None and figure.note:
            lines.append(f"    {figure.note}")
    return "\n".join(lines)


def markdown_table(figures: Sequence[Figure]) -> str:
    """Show the table as Markdown."""
    lines = ["| what | measured | goal | | |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {' | '.join((*_cells(each), each.note))} |" for each in figures]
    return "\n".join(lines) + "\n"


def json_rows(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Give the figures as plain data, unrounded."""
    return [
        {
            "row": each.row.key,
            "group": each.row.group.value,
            "what": each.row.title,
            "measured": each.value,
            "unit": each.goal.unit,
            "goal": str(each.goal),
            "met": None if each.value is None else each.goal.met_by(each.value),
            "note": each.note,
            "parts": dict(each.parts),
        }
        for each in figures
    ]


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    value = "—" if figure.value is None else _number(figure.value) + _suffix(figure.goal.unit)
    return figure.row.title, value, str(figure.goal), figure.verdict


def _number(value: float) -> str:
    """Show three significant digits, and all of a large number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits before the point


def _suffix(unit: str) -> str:
    return f" {unit}" if unit else ""
