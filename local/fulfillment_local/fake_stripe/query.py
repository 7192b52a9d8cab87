"""Stripe's query parameters, and its pages.

Source: https://docs.stripe.com/api/pagination, /api/expanding_objects and /api/events/list.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from fulfillment_local.fake_stripe.errors import invalid
from fulfillment_local.fake_stripe.model import DeliveryState, Event

DEFAULT_LIMIT = 10
GREATEST_LIMIT = 100
GREATEST_TYPES = 20

_NAME = re.compile(r"(?P<name>\w+)(\[(?P<key>\w*)\])?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    limit: int = DEFAULT_LIMIT
    starting_after: str | None = None
    ending_before: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A stretch of time: when what is wanted was created."""

    after: int | None = None
    """The earliest second."""
    before: int | None = None
    """The last second."""

    def holds(self, second: int) -> bool:
        """Tell whether a second is in it."""
        return (self.after is None or second >= self.after) and (self.before is None or second <= self.before)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted."""

    types: tuple[str, ...] = ()
    """Names, in which `*` stands for anything; empty: every type."""
    delivery_success: bool | None = None
    """False wants those that are pending, too."""
    created: Created = Created()

    def __call__(self, event: Event) -> bool:
        """Tell whether the event is wanted."""
        return (
            (not self.types or any(fnmatchcase(event.type, each) for each in self.types))
            and self.delivery_success in (None, event.delivery is DeliveryState.SUCCEEDED)
            and self.created.holds(int(event.created))
        )


class Parameters:
    """The query parameters of one request; each is taken once, and what is left over is refused.

    Args:
        pairs: names and values as they came: `expand[]` or `expand[0]` in a list, `created[gte]` in a hash.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[tuple[str | None, str]]] = {}
        for raw, value in pairs:
            match = _NAME.fullmatch(raw)
            name, key = (match["name"], match["key"]) if match else (raw, None)
            self._values.setdefault(name, []).append((key, value))

    def text(self, name: str) -> str | None:
        """Take a single value."""
        values = self._values.pop(name, [])
        if any(key is not None for key, _ in values):
            raise invalid(name, f"Invalid {name}: must be a single value")
        return values[-1][1] if values else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Take a list."""
        values = self._values.pop(name, [])
        if any(key is None for key, _ in values):
            raise invalid(name, "Invalid array")
        return tuple(value for _, value in values)

    def flag(self, name: str) -> bool | None:
        """Take a boolean."""
        match self.text(name):
            case None:
                return None
            case "true":
                return True
            case "false":
                return False
            case other:
                raise invalid(name, f"Invalid boolean: {other}")

    def expand(self, known: Sequence[str]) -> frozenset[str]:
        """Take what is to be expanded.

        Raises:
            ApiError: 400, for what the stand-in does not expand.
        """
        wanted = frozenset(self.texts("expand"))
        for name in sorted(wanted - set(known)):
            raise invalid("expand", f"This property cannot be expanded ({name}).")
        return wanted

    def page(self) -> Page:
        """Take the parameters of a list.

        Raises:
            ApiError: 400, for a limit outside of 1 to 100, or for both cursors at once.
        """
        text = self.text("limit")
        limit = DEFAULT_LIMIT if text is None else _integer("limit", text)
        if limit < 1:
            raise invalid("limit", "This value must be greater than or equal to 1.", code=_BAD_INTEGER)
        if limit > GREATEST_LIMIT:
            raise invalid("limit", "This value must be less than or equal to 100.", code=_BAD_INTEGER)
        page = Page(limit, self.text("starting_after"), self.text("ending_before"))
        if page.starting_after is not None and page.ending_before is not None:
            raise invalid(
                "ending_before",
                "Received both starting_after and ending_before parameters. Please pass in only one.",
            )
        return page

    def created(self) -> Created:
        """Take the filter of the time of creation.

        Raises:
            ApiError: 400, for a time that is no integer, or another comparison.
        """
        bounds = {key: _integer("created", value) for key, value in self._values.pop("created", [])}
        for key in bounds.keys() - {None, "gt", "gte", "lt", "lte"}:
            raise invalid(f"created[{key}]", f"Received unknown parameter: created[{key}]", code=_UNKNOWN)
        exact = [bounds[None]] if None in bounds else []
        after = [*exact, *(bounds[k] + d for k, d in (("gte", 0), ("gt", 1)) if k in bounds)]
        before = [*exact, *(bounds[k] - d for k, d in (("lte", 0), ("lt", 1)) if k in bounds)]
        return Created(max(after, default=None), min(before, default=None))

    def event_filter(self) -> EventFilter:
        """Take the filters of the events list.

        Raises:
            ApiError: 400, for a time that is no integer, more than 20 types, or `type` and `types` at once.
        """
        one, several = self.text("type"), self.texts("types")
        if one is not None and several:
            raise invalid("types", "You may only specify one of these parameters: type, types.")
        if len(several) > GREATEST_TYPES:
            raise invalid("types", f"Array has too many elements: at most {GREATEST_TYPES} are allowed.")
        return EventFilter(
            types=several if one is None else (one,),
            delivery_success=self.flag("delivery_success"),
            created=self.created(),
        )

    def finish(self) -> None:
        """Refuse what no one took.

        Raises:
            ApiError: 400, naming the parameter.
        """
        for name in self._values:
            raise invalid(name, f"Received unknown parameter: {name}", code=_UNKNOWN)


_BAD_INTEGER = "parameter_invalid_integer"
_UNKNOWN = "parameter_unknown"


def list_object(  # noqa: PLR0913 - the parts of Stripe's list
    url: str,
    items: Sequence[T],
    page: Page,
    *,
    kind: str,
    id_of: Callable[[T], str],
    render: Callable[[T], dict[str, Any]],
    wanted: Callable[[T], bool] = lambda _: True,
) -> dict[str, Any]:
    """Cut a page out of a list.

    A cursor names any item of the list, wanted or not: so the pages stay whole while items change.

    Args:
        url: the path of the list.
        items: the whole list in its order.
        page: which part.
        kind: what an item is called in messages.
        id_of: an item's id.
        render: makes an item's JSON object.
        wanted: the filter.

    Raises:
        ApiError: 400, for a cursor that is not in the list.
    """
    places = {id_of(item): place for place, item in enumerate(items)}

    def place_of(param: str, cursor: str) -> int:
        if cursor not in places:
            raise invalid(param, f"No such {kind}: '{cursor}'", code="resource_missing")
        return places[cursor]

    if page.ending_before is not None:
        earlier = [item for item in items[: place_of("ending_before", page.ending_before)] if wanted(item)]
        chosen, more = earlier[-page.limit :], len(earlier) > page.limit
    else:
        start = 0
        if page.starting_after is not None:
            start = place_of("starting_after", page.starting_after) + 1
        later = [item for item in items[start:] if wanted(item)]
        chosen, more = later[: page.limit], len(later) > page.limit
    return {"object": "list", "data": [render(item) for item in chosen], "has_more": more, "url": url}


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise invalid(name, f"Invalid integer: {text}", code=_BAD_INTEGER) from None
