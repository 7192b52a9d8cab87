"""Decides what a buyer is told of an order: its state in the buyer's terms, its items and amounts. Pure.

Reasons and messages of the status are for the people who run the shop: none of them is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount, ReversalKind
from fulfillment_api.status import ConditionType, Order, Phase, Reason, Status


@unique
class BuyerState(StrEnum):
    """How an order stands, as far as that is the buyer's business."""

    RECEIVED = "received"
    """It is there, and nothing more is known yet; or an event says that it is paid, and Stripe is yet to confirm it."""
    PAYMENT_PROCESSING = "payment-processing"
    PAYMENT_REQUIRES_ACTION = "payment-requires-action"
    """The buyer has something left to do, such as a bank transfer."""
    PAYMENT_AUTHORIZED = "payment-authorized"
    """The seller has to capture it."""
    PREPARING = "preparing"
    """It is paid, and being fulfilled, or about to be."""
    UPDATING = "updating"
    """It was about to be fulfilled when an event said that the payment was refunded or disputed."""
    FULFILLED = "fulfilled"
    SAVED = "saved"
    """A payment method was saved, and nothing sold."""
    PAYMENT_FAILED = "payment-failed"
    PAYMENT_CANCELED = "payment-canceled"
    REFUNDED = "refunded"
    """All of the payment was given back."""
    CLOSED = "closed"
    """The shop says that it will not be fulfilled."""
    NEEDS_ATTENTION = "needs-attention"
    """The shop has to do something about it, whatever that is."""

    @property
    def is_final(self) -> bool:
        """Whether a page that is open need not wait for more: a failed payment may still be paid after all."""
        return self in {BuyerState.FULFILLED, BuyerState.SAVED, BuyerState.REFUNDED}

    @property
    def is_brief(self) -> bool:
        """Whether an order mostly leaves it soon, so that a browser without JavaScript looks again by itself."""
        return self in {BuyerState.RECEIVED, BuyerState.PREPARING, BuyerState.UPDATING}


_AWAITING: Mapping[str, BuyerState] = MappingProxyType(
    {
        Reason.PAYMENT_PROCESSING: BuyerState.PAYMENT_PROCESSING,
        Reason.PAYMENT_REQUIRES_ACTION: BuyerState.PAYMENT_REQUIRES_ACTION,
        Reason.PAYMENT_REQUIRES_CAPTURE: BuyerState.PAYMENT_AUTHORIZED,
    }
)
_FAILED: Mapping[str, BuyerState] = MappingProxyType(
    {
        Reason.PAYMENT_FAILED: BuyerState.PAYMENT_FAILED,
        Reason.PAYMENT_CANCELED: BuyerState.PAYMENT_CANCELED,
        Reason.REFUNDED: BuyerState.REFUNDED,
    }
)
_STOPPING = frozenset((ReversalKind.REFUNDED, ReversalKind.DISPUTED, ReversalKind.DISPUTE_LOST))
"""What an event may say that stops an order, once Stripe confirms it and its backend knows."""
_PAYABLE = frozenset((Reason.PAYMENT_FAILED, Reason.PAYMENT_CANCELED))
"""Of a failed request: it may be paid after all."""
_NO_ORDER = frozenset(
    (Reason.SESSION_EXPIRED, Reason.SESSION_NOT_FOUND, Reason.LIVEMODE_MISMATCH, Reason.NAME_MISMATCH)
)
"""Of a failed request: nothing was bought, or not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of the order."""

    description: str | None
    quantity: int | None
    amount: Amount | None
    """None: Stripe does not tell, or tells it in another currency than the buyer paid in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """What a buyer sees of an order."""

    state: BuyerState
    reference: str
    """What the buyer can tell the shop: the request's name."""
    items: tuple[Item, ...]
    """Empty until Stripe was asked, and once retention took them away."""
    shipping: Amount | None
    """What the total holds beside the items; None: nothing, or it cannot be told."""
    total: Amount | None
    """As the buyer saw it."""
    refunded: Amount | None
    """What was given back, in the total's currency."""
    is_refunded_in_part: bool = False
    """Whether a part was given back of which Stripe tells in another currency alone."""


def view_of(request: FulfillmentRequest) -> OrderView | None:
    """Decide what a buyer sees of a request; None: there is no order to show."""
    state = _state_of(request)
    if state is None:
        return None
    order = request.status.order if request.status else None
    seen = order.presentment if order else None
    total = seen or (order.amount if order else None) or request.spec.amount
    items = _items_of(order, None if seen else total)
    refunded, is_in_part = _given_back(request.status, total)
    return OrderView(
        state=state,
        reference=request.metadata.name,
        items=items,
        shipping=_shipping(items, total) if order and order.amount == request.spec.amount else None,
        total=total,
        refunded=refunded,
        is_refunded_in_part=is_in_part,
    )


def _state_of(request: FulfillmentRequest) -> BuyerState | None:
    status = request.status
    if status is None:
        return BuyerState.RECEIVED
    match status.phase:
        case Phase.AWAITING_PAYMENT:
            return BuyerState.RECEIVED if request.spec.payment.status.is_settled else _awaiting(status)
        case Phase.FULFILLING:
            return BuyerState.UPDATING if _hint_of(request) in _STOPPING else BuyerState.PREPARING
        case Phase.FULFILLED:
            return _fulfilled(status)
        case Phase.FAILED if status.reason == Reason.MANUALLY_FAILED:
            return _closed(status, _hint_of(request))
        case Phase.FAILED if status.reason in _PAYABLE and _is_paid_since(request):
            return BuyerState.RECEIVED
        case Phase.FAILED:
            return None if status.reason in _NO_ORDER else _FAILED.get(status.reason, BuyerState.NEEDS_ATTENTION)


def _is_paid_since(request: FulfillmentRequest) -> bool:
    """Tell whether an event says that the order is paid, which its status does not know yet."""
    return request.has_unobserved_spec and request.spec.payment.status.is_settled


def _awaiting(status: Status) -> BuyerState | None:
    """Tell how a payment stands, as Stripe said last: the reason may be why the operator does not get on."""
    if status.reason == Reason.SESSION_OPEN:
        return None
    paid = status.condition(ConditionType.PAID)
    return _AWAITING.get(paid.reason if paid else status.reason, BuyerState.RECEIVED)


def _fulfilled(status: Status) -> BuyerState:
    if status.reason == Reason.NOTHING_TO_FULFILL:
        return BuyerState.SAVED
    return BuyerState.REFUNDED if _is_refunded(status) else BuyerState.FULFILLED


def _closed(status: Status, hint: ReversalKind | None) -> BuyerState:
    """Tell of an order that a person failed whether it was refunded: of what comes later, its events alone tell."""
    is_refunded = hint is ReversalKind.REFUNDED or (_is_refunded(status) and hint is not ReversalKind.REFUND_FAILED)
    return BuyerState.REFUNDED if is_refunded else BuyerState.CLOSED


def _is_refunded(status: Status) -> bool:
    refunded = status.condition(ConditionType.REFUNDED)
    return refunded is not None and refunded.reason == Reason.REFUNDED


def _hint_of(request: FulfillmentRequest) -> ReversalKind | None:
    return request.spec.reversal.kind if request.spec.reversal else None


def _items_of(order: Order | None, total: Amount | None) -> tuple[Item, ...]:
    currency = total.currency if total else None
    return tuple(
        Item(
            description=each.description,
            quantity=each.quantity,
            amount=Amount(total=each.amount_total, currency=currency, display="")
            if each.amount_total is not None and currency is not None and each.currency == currency
            else None,
        )
        for each in (order.line_items if order else ())
    )


def _given_back(status: Status | None, total: Amount | None) -> tuple[Amount | None, bool]:
    """Tell what was given back as the buyer paid it, and whether it is a part that only the merchant's amount is of.

    Stripe tells a refund in the merchant's currency; of all of it, the buyer gets back what they saw and paid.
    """
    refunded = status.reversals.amount_refunded if status and status.reversals else None
    if status is None or refunded is None or total is None or refunded.currency == total.currency:
        return refunded, False
    return (total, False) if _is_refunded(status) else (None, True)


def _shipping(items: tuple[Item, ...], total: Amount | None) -> Amount | None:
    """Tell what is shipped for: a Session's total is that of its items, after discounts and taxes, and shipping.

    Source: https://docs.stripe.com/api/checkout/sessions/object, amount_total and total_details.
    """
    known = [each.amount.total for each in items if each.amount is not None]
    if total is None or not items or len(known) < len(items):
        return None
    rest = total.total - sum(known)
    return Amount(total=rest, currency=total.currency, display="") if rest > 0 else None
