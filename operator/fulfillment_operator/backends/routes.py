"""Which backend an order goes to: the first route whose every condition holds. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import yaml
from msgspec import Meta, Struct, field

from fulfillment_api.spec import Metadata, Mode, PaymentLinkId, Session
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_runtime.chart_values import with_chart_values

NO_BACKEND = "none"
"""Stands for a backend in `FULFILLMENT_BACKEND`: what no route takes fails."""

BackendName = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,62}$")]


class When(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The conditions of a route. All must hold, and those that are absent do."""

    payment_link: PaymentLinkId | None = None
    """The Payment Link that was used, plink_…."""
    mode: Mode | None = None
    """What was sold."""
    price: str | None = None
    """A Price that some line item has, price_…."""
    metadata: Metadata = field(default_factory=dict)
    """Keys and values that the Session's metadata has, among others."""
    livemode: bool | None = None
    """Whether real money moved."""


class Route(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One line of the routes."""

    backend: BackendName
    name: str = ""
    """For people."""
    when: When = When()


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What routes are chosen by."""

    livemode: bool
    mode: str | None
    payment_link: str | None
    metadata: Mapping[str, str]
    prices: frozenset[str]


def facts_of(reference: Session, session: CheckoutSession) -> OrderFacts:
    """Return what routes are chosen by: as Stripe has it, which knows more than a thin event."""
    return OrderFacts(
        livemode=reference.livemode,
        mode=session.mode,
        payment_link=session.payment_link,
        metadata=session.metadata,
        prices=frozenset(item.price for item in session.line_items if item.price),
    )


@dataclass(frozen=True, slots=True)
class RouteCheck:
    """Whether a route takes an order."""

    label: str
    """Such as `route 2 (gifts)`."""
    backend: str
    mismatch: str | None
    """Why it does not take the order; None: it does."""


@dataclass(frozen=True, slots=True)
class RouteChoice:
    """Where an order goes, and why."""

    backend: str | None
    """None: no route takes it, and there is no default."""
    reason: str
    checks: tuple[RouteCheck, ...]
    """The routes that were checked, in their order: the last one may be the one that takes it."""


@dataclass(frozen=True, slots=True)
class Routing:
    """All routes, and what comes after them."""

    routes: tuple[Route, ...]
    default: str | None
    """The backend of what no route takes; None: such an order fails."""

    @property
    def backends(self) -> frozenset[str]:
        """Every backend that an order may go to."""
        return frozenset(each.backend for each in self.routes) | ({self.default} if self.default else frozenset())

    def choose(self, facts: OrderFacts) -> RouteChoice:
        """Choose the backend of an order."""
        checks: list[RouteCheck] = []
        for number, route in enumerate(self.routes, start=1):
            mismatch = next(mismatches(route.when, facts), None)
            checks.append(RouteCheck(label(number, route), route.backend, mismatch))
            if mismatch is None:
                return RouteChoice(route.backend, f"{label(number, route)} takes it", tuple(checks))
        if self.default is None:
            return RouteChoice(
                None, with_chart_values("no route takes it, and FULFILLMENT_BACKEND is none"), tuple(checks)
            )
        return RouteChoice(
            self.default, with_chart_values("no route takes it, so FULFILLMENT_BACKEND does"), tuple(checks)
        )


def label(number: int, route: Route) -> str:
    """Call a route by its number, from 1, and its name."""
    return f"route {number}" + (f" ({route.name})" if route.name else "")


def mismatches(when: When, facts: OrderFacts) -> Iterator[str]:
    """Yield each condition that does not hold, in words."""
    if when.livemode is not None and when.livemode is not facts.livemode:
        yield f"livemode is {str(facts.livemode).lower()}"
    if when.mode is not None and when.mode != facts.mode:
        yield f"mode is {facts.mode or 'not known'}, not {when.mode}"
    if when.payment_link is not None and when.payment_link != facts.payment_link:
        yield f"the payment link is {facts.payment_link or 'none'}, not {when.payment_link}"
    for key, value in when.metadata.items():
        if facts.metadata.get(key) != value:
            yield f"metadata {key} is {facts.metadata.get(key, 'not set')}, not {value}"
    if when.price is not None and when.price not in facts.prices:
        yield f"no line item has the price {when.price}"


def unreachable(routes: Sequence[Route]) -> Iterator[str]:
    """Yield each route that takes no order at all, in words: one before it takes whatever it would."""
    for number, route in enumerate(routes, start=1):
        for earlier, other in enumerate(routes[: number - 1], start=1):
            if _covers(other.when, route.when):
                yield (
                    f"{label(number, route)} takes no order: {label(earlier, other)} takes each before it; "
                    "put it first, or take it out"
                )
                break


def _covers(when: When, other: When) -> bool:
    """Tell whether one holds whenever the other does."""
    alone = (
        (when.payment_link, other.payment_link),
        (when.mode, other.mode),
        (when.price, other.price),
        (when.livemode, other.livemode),
    )
    return all(mine in {None, theirs} for mine, theirs in alone) and when.metadata.items() <= other.metadata.items()


def parse_routing(text: str | None, default: str) -> Routing:
    """Read the routes.

    Args:
        text: a YAML list of routes; None: there are none.
        default: the backend of what no route takes, or `none`.

    Raises:
        ValueError: the text is no list of routes, a route takes no order, or no order could go anywhere; the message
            names the place.
    """
    routes: list[Route] = []
    if text is not None:
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"FULFILLMENT_ROUTES is no YAML: {' '.join(str(error).split())}") from error
        try:
            routes = msgspec.convert(found, list[Route])
        except msgspec.ValidationError as error:
            raise ValueError(f"FULFILLMENT_ROUTES: {error} (the first route is $[0])") from error
    for mistake in unreachable(routes):
        raise ValueError(f"FULFILLMENT_ROUTES: {mistake}")
    if default == NO_BACKEND and not routes:
        raise ValueError("FULFILLMENT_BACKEND is none, and FULFILLMENT_ROUTES has no route: no order could go anywhere")
    return Routing(tuple(routes), None if default == NO_BACKEND else default)
