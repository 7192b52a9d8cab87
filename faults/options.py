"""What a run is told by environment variables. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from faults.case import Case, Scale

_ORDERS = 2_000
_MOST_SECONDS, _LEAST_SECONDS, _SLOW_RATE = 50.0, 3.0, 12.0


class OptionError(Exception):
    """A variable is wrong; the message says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to play."""

    cases: tuple[Case, ...]
    scale: Scale
    together: int
    """How many cases at once."""


def read_options(environ: Mapping[str, str], cases: tuple[Case, ...]) -> Options:
    """Read ORDERS, CASES and TOGETHER.

    Raises:
        OptionError: one of them is wrong.
    """
    orders = _count(environ, "ORDERS", _ORDERS)
    # 2,000 come as 40 a second, in 50 seconds; fewer come slower, so that they are there while something fails.
    seconds = max(_LEAST_SECONDS, min(_MOST_SECONDS, orders / _SLOW_RATE))
    return Options(
        cases=_chosen(environ.get("CASES", ""), cases),
        scale=Scale(orders=orders, seconds=seconds),
        together=_count(environ, "TOGETHER", 1),
    )


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) == 0:
        raise OptionError(f"{name} is a number of at least 1, not {text}")
    return int(text)


def _chosen(text: str, cases: tuple[Case, ...]) -> tuple[Case, ...]:
    asked = {name.strip() for name in text.split(",") if name.strip()}
    if unknown := asked - {case.name for case in cases}:
        known = ", ".join(case.name for case in cases)
        raise OptionError(f"CASES knows no {', '.join(sorted(unknown))}: it takes {known}")
    return tuple(case for case in cases if not asked or case.name in asked)
