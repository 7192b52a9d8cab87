"""What came after a sale, and what follows from it for the order. Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import SaleKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.checkout import CheckoutSession
from fulfillment_operator.conditions import Aspect, merged

CONDITIONS: Mapping[SaleKind, ConditionType] = MappingProxyType(
    {SaleKind.REFUNDED: ConditionType.REFUNDED, SaleKind.DISPUTED: ConditionType.DISPUTED}
)
"""The condition that shows it; that a Session expired needs none."""

_ASPECTS: dict[SaleKind, Aspect] = {
    SaleKind.REFUNDED: (ConditionStatus.TRUE, Reason.REFUNDED, "all of the payment was given back"),
    SaleKind.DISPUTED: (ConditionStatus.TRUE, Reason.DISPUTED, "the buyer disputes the payment"),
}


def happened(session: CheckoutSession) -> tuple[SaleKind, ...]:
    """Tell what Stripe says came after the sale."""
    facts = {SaleKind.REFUNDED: session.refunded, SaleKind.DISPUTED: session.disputed}
    return tuple(kind for kind, is_so in facts.items() if is_so)


def news(request: FulfillmentRequest, session: CheckoutSession) -> tuple[SaleKind, ...]:
    """Tell what of it the status does not show yet."""
    return tuple(kind for kind in happened(session) if kind not in shown(request.status))


def is_due(request: FulfillmentRequest) -> bool:
    """Tell whether there is a hint about a fulfilled order that nobody has looked at."""
    status = request.status
    return (
        status is not None
        and status.phase is Phase.FULFILLED
        and request.has_news
        and request.metadata.deletion_timestamp is None
        and request.spec.sale is not None
        and request.spec.sale.kind in CONDITIONS
    )


def aspects_of(session: CheckoutSession) -> dict[ConditionType, Aspect]:
    """Return the conditions that say what came after the sale."""
    return {CONDITIONS[kind]: _ASPECTS[kind] for kind in happened(session)}


def noted(
    request: FulfillmentRequest, status: Status, kinds: Collection[SaleKind], untold: str | None, now: datetime
) -> Status:
    """Return the status of a fulfilled order once what came after the sale was seen to. It stays fulfilled.

    Args:
        request: the object as it stands in the cluster.
        status: its status.
        kinds: what is news.
        untold: why the backend does not know it, for a person; None: it was told, or need not be.
        now: the time, with its zone.
    """
    aspects: dict[ConditionType, Aspect] = {}
    for kind in kinds:
        truth, reason, message = _ASPECTS[kind]
        aspects[CONDITIONS[kind]] = (
            truth,
            reason,
            f"{message}; the backend does not know: {untold}" if untold else message,
        )
    generation = request.metadata.generation
    return replace(
        status,
        observed_generation=generation,
        conditions=merged(status, aspects, generation, now),
    )


def shown(status: Status | None) -> tuple[SaleKind, ...]:
    """Tell what came after the sale, as the status shows it."""
    conditions = {kind: status and status.condition(condition) for kind, condition in CONDITIONS.items()}
    return tuple(kind for kind, found in conditions.items() if found and found.status is ConditionStatus.TRUE)
