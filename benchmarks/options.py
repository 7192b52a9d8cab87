"""What a run is told by environment variables, and how large it is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.table import Group

_ORDERS = 3_000  # of the intake and of the backlog; the other scales are in proportion to it


class OptionError(Exception):
    """A variable is wrong; the message says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many of each there are."""

    orders: int
    """Sent, and settled from a backlog."""
    limited_backlog: int
    """Settled within Stripe's limits."""
    other_apps: int
    """Sessions of the same account and time that are not ours."""
    steady_seconds: float
    waiting: int
    interval_seconds: float
    """Between two looks at an order that waits."""
    unfinished: int
    """Open orders beside finished ones."""
    few_finished: int
    many_finished: int
    listed: int
    shown: int
    events: int
    retried: int
    repeats: int
    """Of a command, of which the median counts."""
    is_reduced: bool
    """Whether all of it is smaller than the table says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    scale: Scale
    senders: int
    """Requests at once."""
    full: bool
    """Whether the scales that take more than ten minutes are played, too."""
    base: str | None
    """The commit of the build to compare with."""
    groups: tuple[Group, ...]


def read_options(environ: Mapping[str, str]) -> Options:
    """Read ORDERS, SENDERS, FULL, BASE and ROWS.

    Raises:
        OptionError: one of them is wrong.
    """
    full = environ.get("FULL", "") not in {"", "0"}
    return Options(
        scale=_scale(_count(environ, "ORDERS", _ORDERS), full=full),
        senders=_count(environ, "SENDERS", 64),
        full=full,
        base=environ.get("BASE") or None,
        groups=_groups(environ.get("ROWS", "")),
    )


def _scale(orders: int, *, full: bool) -> Scale:
    def part(count: int, least: int = 1) -> int:
        return max(least, round(count * orders / _ORDERS))

    return Scale(
        orders=orders,
        limited_backlog=part(5_000),
        other_apps=part(3_000),
        steady_seconds=min(60.0, max(2.0, 60.0 * orders / _ORDERS)),
        waiting=part(20_000, least=5),
        interval_seconds=min(40.0, max(10.0, 40.0 * orders / _ORDERS)),
        unfinished=part(1_000),
        few_finished=part(1_000),
        many_finished=part(100_000 if full else 10_000),
        listed=part(100),
        shown=part(200),
        events=part(2_500),
        retried=part(2_000),
        repeats=9 if orders >= _ORDERS else 3,
        is_reduced=orders < _ORDERS,
    )


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) == 0:
        raise OptionError(f"{name} is a number of at least 1, not {text}")
    return int(text)


def _groups(text: str) -> tuple[Group, ...]:
    asked = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := asked - {*Group}:
        raise OptionError(f"ROWS knows no {', '.join(sorted(unknown))}: it takes {', '.join(Group)}")
    return tuple(each for each in Group if not asked or each in asked)
