"""Whether Stripe sends to some webhook endpoint all that this product needs. Pure: the endpoints go in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import get_args

from fulfillment_api.event_types import CheckoutType, PaymentType, ReversalType, StripeEventType

REQUIRED = frozenset(get_args(CheckoutType))
"""Event types without which orders are lost, or stay unfulfilled until they are asked about again."""
OPTIONAL = frozenset({StripeEventType.PAYMENT_SUCCEEDED})
"""Event types that are understood, and say what the others say."""
RECOMMENDED = frozenset({StripeEventType.EXPIRED, *get_args(PaymentType), *get_args(ReversalType)}) - OPTIONAL
"""Event types that tell of expiries, of what became of payments that wait, of refunds and of disputes."""
_ALL_EVENTS = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A webhook endpoint that is registered at Stripe."""

    id: str
    enabled: bool
    livemode: bool
    events: frozenset[str]
    """The event types that it is sent, or `*`."""
    api_version: str | None
    """The version that its events have; None: the account's default."""

    def missing(self, events: Iterable[str]) -> list[str]:
        """Name those of these event types that it is not sent."""
        return [] if _ALL_EVENTS in self.events else sorted(set(events) - self.events)


@unique
class EndpointProblem(StrEnum):
    """What is wrong with the endpoint: a metric's label."""

    NOT_REGISTERED = "not-registered"
    DISABLED = "disabled"
    MISSING_EVENTS = "missing-events"
    API_VERSION = "api-version"


@dataclass(frozen=True, slots=True)
class EndpointFinding:
    """Something that a person should mend, or may want to know."""

    problem: EndpointProblem | None
    """None for what is only worth knowing."""
    message: str


def find_problems(endpoints: Sequence[Endpoint], *, livemode: bool, api_version: str) -> list[EndpointFinding]:
    """Say what is wrong with the best of the endpoints.

    An account may have endpoints of several apps. None of them says that it is this product's, so the one that serves
    it best is taken for it.

    Args:
        endpoints: those that are registered.
        livemode: the mode of the API key.
        api_version: the version that this product was made for.
    """
    mode = "live" if livemode else "test"
    registered = [
        each for each in endpoints if each.livemode is livemode and len(each.missing(REQUIRED)) < len(REQUIRED)
    ]
    ours = [each for each in registered if each.enabled]
    if registered and not ours:
        disabled = min(registered, key=lambda each: len(each.missing(REQUIRED)))
        return [
            EndpointFinding(
                EndpointProblem.DISABLED,
                f"the webhook endpoint {disabled.id} is disabled, so Stripe sends no event to it: mend what its failed "
                "deliveries in Stripe's Dashboard show, enable it there, and bring in what was missed by "
                "`fulfillment recover --all`; if it is no longer needed, delete it",
            )
        ]
    if not ours:
        return [
            EndpointFinding(
                EndpointProblem.NOT_REGISTERED,
                f"Stripe has no enabled webhook endpoint in {mode} mode that is sent events of Checkout (destinations "
                f"of thin events are not looked at): register one for {', '.join(sorted(REQUIRED))}",
            )
        ]
    best = min(
        ours,
        key=lambda each: (len(each.missing(REQUIRED)), each.api_version != api_version, len(each.missing(RECOMMENDED))),
    )
    found = []
    if required := best.missing(REQUIRED):
        found.append(
            EndpointFinding(
                EndpointProblem.MISSING_EVENTS,
                f"no webhook endpoint is sent {', '.join(required)}: add what is missing to {best.id} in Stripe's "
                "Dashboard, or orders are found late or not at all",
            )
        )
    if best.api_version != api_version:
        version = best.api_version or "the account's default version"
        found.append(
            EndpointFinding(
                EndpointProblem.API_VERSION,
                f"the events of the webhook endpoint {best.id} have {version}, and this product is made for "
                f"{api_version}: it reads any, but make an endpoint with that version to be sure",
            )
        )
    if recommended := best.missing(RECOMMENDED):
        found.append(
            EndpointFinding(
                None,
                f"the webhook endpoint {best.id} is not sent {', '.join(recommended)}: "
                "what becomes of authorized payments, and what comes after the sale, is known only with them",
            )
        )
    return found
