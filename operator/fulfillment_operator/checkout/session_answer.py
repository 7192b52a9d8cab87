"""Parses what Stripe answers about a Session, field by field, within the contract's bounds. Pure.

A field may be null, absent, or of another type than this version knows: it is left out, as if Stripe did not tell.
Without what an order is judged by, it is a `SessionUnreadableError`, which concerns this one order.
Source: https://docs.stripe.com/api/checkout/sessions/object and its siblings, and the types of the library.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fulfillment_api.spec import Amount, Currency, PaymentLinkId, ReversalKind, StripeId
from fulfillment_api.status import LineItem, Order
from fulfillment_api.stripe_values import Int64, fits
from fulfillment_operator.checkout.answer_fields import (
    Natural,
    amount_of,
    id_of,
    list_of,
    object_of,
    text_of,
    time_of,
    within_bounds,
)
from fulfillment_operator.checkout.collected import Invoice
from fulfillment_operator.checkout.collected_answer import (
    parse_collected,
    parse_customer,
    parse_invoice,
    parse_shipping,
)
from fulfillment_operator.checkout.session import (
    CheckoutSession,
    PaymentIntent,
    PaymentIntentStatus,
    SessionPayment,
    SessionStatus,
)

_BROWSERS_LOCALE = "auto"
_ItemId = Annotated[str, Meta(min_length=1, max_length=255)]
_Description = Annotated[str, Meta(max_length=5000)]


class SessionUnreadableError(Exception):
    """What Stripe answered about a Session is of a form that cannot be judged. The message holds nothing of it."""


class Payment(Struct, frozen=True, kw_only=True):
    """What pays a Session, and what became of its charge."""

    intent: PaymentIntent
    refunded: bool = False
    """Whether all of it was given back."""
    amount_refunded: Amount | None = None
    """What was given back; None: nothing."""
    disputed: bool = False
    """Whether there ever was a dispute about it."""


class InvoicePayment(Struct, frozen=True, kw_only=True):
    """What pays an invoice, and the invoice, as far as Stripe tells."""

    payment: Payment | None = None
    invoice: Invoice | None = None


class LineItemPage(Struct, frozen=True, kw_only=True):
    """A page of a Session's line items."""

    items: tuple[LineItem, ...]
    has_more: bool


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """What Stripe answered about a Session: all but what takes another request."""

    session: CheckoutSession
    """Without line items and payment."""
    line_items: LineItemPage | None
    """The first of them; None: they are not there, and must be asked for."""
    payment: Payment | None
    """None: nothing is to be paid, or its invoice is."""
    invoice: str | None
    """The invoice that Checkout made, in_…: of a subscription, its first."""

    def complete(
        self,
        *,
        items: tuple[LineItem, ...] = (),
        payment: Payment | None,
        dispute: ReversalKind | None = None,
        invoice: Invoice | None = None,
    ) -> CheckoutSession:
        """Return the Session with its line items, its payment, what the disputes about that mean, and its invoice.

        Args:
            items: all line items.
            payment: what pays it.
            dispute: as `CheckoutSession.dispute`.
            invoice: with its links, where it was asked for.

        Raises:
            SessionUnreadableError: there are more line items than an order can have.
        """
        if not fits({"lineItems": msgspec.to_builtins(items)}, Order):
            raise SessionUnreadableError("the Session has more line items than an order can have")
        intent = payment.intent if payment else None
        amount = _taken(self.session, intent)
        collected = self.session.collected
        return msgspec.structs.replace(
            self.session,
            line_items=items,
            amount=amount,
            presentment=self.session.presentment if amount == self.session.amount else None,  # it is of the whole
            collected=msgspec.structs.replace(collected, invoice=invoice or collected.invoice),
            payment_intent=intent,
            refunded=payment is not None and payment.refunded,
            amount_refunded=payment.amount_refunded if payment else None,
            dispute=dispute,
        )


def parse_session(answer: object, session_id: str) -> SessionAnswer:
    """Parse a Session, as it is answered when its line items and its payment are expanded.

    Args:
        answer: the JSON of the answer.
        session_id: the Session that was asked for.

    Raises:
        SessionUnreadableError: it does not say whether the Session is paid.
    """
    if not isinstance(answer, dict):
        raise SessionUnreadableError("Stripe's answer is no Checkout Session")
    presentment = object_of(answer.get("presentment_details"))
    return SessionAnswer(
        session=CheckoutSession(
            id=session_id,
            mode=text_of(answer.get("mode")) or "payment",
            status=_session_status(answer.get("status")),
            payment=_session_payment(answer.get("payment_status")),
            line_items=(),
            amount=amount_of(answer.get("amount_total"), answer.get("currency")),
            customer=parse_customer(answer),
            shipping=parse_shipping(answer),
            payment_link=id_of(answer.get("payment_link"), PaymentLinkId),
            metadata={key: value for key, value in object_of(answer.get("metadata")).items() if isinstance(value, str)},
            created_at=time_of(answer.get("created")),
            subscription=id_of(answer.get("subscription"), StripeId),
            customer_id=id_of(answer.get("customer"), StripeId),
            client_reference_id=text_of(answer.get("client_reference_id")) or None,
            locale=_locale(answer.get("locale")),
            recovered_from=id_of(answer.get("recovered_from"), StripeId),
            presentment=amount_of(
                presentment.get("presentment_amount"), text_of(presentment.get("presentment_currency"))
            ),
            collected=parse_collected(answer),
            payment_methods=tuple(
                each for each in list_of(answer.get("payment_method_types")) if isinstance(each, str)
            ),
        ),
        line_items=parse_line_items(answer.get("line_items")),
        payment=parse_payment(answer.get("payment_intent")),
        invoice=id_of(answer.get("invoice"), StripeId),
    )


def parse_line_items(answer: object) -> LineItemPage | None:
    """Parse a page of line items; None when it is none, or shows an item without its id, by which the next is found."""
    page = object_of(answer)
    if not isinstance(page.get("data"), list):
        return None
    items = tuple(item for each in page["data"] if (item := _line_item(object_of(each))) is not None)
    if len(items) < len(page["data"]):
        return None
    return LineItemPage(items=items, has_more=page.get("has_more") is True)


def parse_payment(answer: object) -> Payment | None:
    """Parse a PaymentIntent whose charge is expanded; None when it is none."""
    if isinstance(answer, str):
        found = id_of(answer, StripeId)
        return Payment(intent=PaymentIntent(id=found, status=PaymentIntentStatus.UNKNOWN)) if found else None
    if not isinstance(answer, dict):
        return None
    charge = object_of(answer.get("latest_charge"))
    return Payment(
        intent=_payment_intent(answer, charge),
        refunded=_is_all_given_back(charge),
        amount_refunded=_given_back(charge),
        disputed=charge.get("disputed") is True,
    )


def parse_invoice_payment(answer: object) -> InvoicePayment:
    """Parse a list of an invoice's payments, the first of them expanded, if there is one."""
    first = object_of(next(iter(list_of(object_of(answer).get("data"))), None))
    return InvoicePayment(
        payment=parse_payment(object_of(first.get("payment")).get("payment_intent")),
        invoice=parse_invoice(first.get("invoice")),
    )


def parse_disputes(answer: object) -> tuple[str | None, ...]:
    """Parse how each of a list of disputes stands; None of one that does not tell."""
    return tuple(text_of(object_of(each).get("status")) for each in list_of(object_of(answer).get("data")))


def _session_status(value: object) -> SessionStatus:
    """Read the status, which Stripe leaves out of old Sessions: an event said that they are complete."""
    if value is None:
        return SessionStatus.COMPLETE
    found = within_bounds(value, SessionStatus)
    if found is None:
        raise SessionUnreadableError("the Session's status is none that this version knows")
    return SessionStatus(found)


def _session_payment(value: object) -> SessionPayment:
    found = within_bounds(value, SessionPayment)
    if found is None:
        raise SessionUnreadableError("the Session's payment_status is none that this version knows")
    return SessionPayment(found)


def _payment_intent(answer: dict[str, Any], charge: dict[str, Any]) -> PaymentIntent:
    amount = amount_of(answer.get("amount"), answer.get("currency"))
    received = amount_of(answer.get("amount_received"), answer.get("currency"))
    if received is None or received.total <= 0:
        received = _transferred(answer, amount)
    return PaymentIntent(
        id=id_of(answer.get("id"), StripeId),
        status=PaymentIntentStatus(
            within_bounds(answer.get("status"), PaymentIntentStatus) or PaymentIntentStatus.UNKNOWN
        ),
        has_error=answer.get("last_payment_error") is not None,
        cancellation_reason=text_of(answer.get("cancellation_reason")),
        amount=amount,
        received=received,
        capture_before=time_of(_capture_before(charge)),
    )


def _transferred(answer: dict[str, Any], amount: Amount | None) -> Amount | None:
    """Return what bank transfers brought so far of what is awaited (Stripe, "Accept a bank transfer")."""
    instructions = object_of(object_of(answer.get("next_action")).get("display_bank_transfer_instructions"))
    remaining = within_bounds(instructions.get("amount_remaining"), Natural)
    if amount is None or remaining is None or not 0 < remaining < amount.total:
        return None
    return amount_of(amount.total - remaining, amount.currency)


def _given_back(charge: dict[str, Any]) -> Amount | None:
    """Return what was given back of what was taken: what is released of an authorization shows as refunded, too.

    So of one that is released whole, which was never captured, and of the rest of one that is captured in part.
    """
    refunded, captured = within_bounds(charge.get("amount_refunded"), Natural), _captured(charge)
    released = (within_bounds(charge.get("amount"), Natural) or 0) - captured if captured is not None else 0
    found = amount_of((refunded or 0) - max(released, 0), charge.get("currency"))
    return found if found and found.total > 0 else None


def _is_all_given_back(charge: dict[str, Any]) -> bool:
    """Tell whether nothing is left of what was taken, which may be less than the charge's own amount."""
    given_back, captured = _given_back(charge), _captured(charge)
    if charge.get("refunded") is True and captured != 0:
        return True
    return given_back is not None and bool(captured) and given_back.total >= (captured or 0)


def _captured(charge: dict[str, Any]) -> int | None:
    """Return what was captured; None when Stripe does not tell."""
    found: int | None = within_bounds(charge.get("amount_captured"), Natural)
    return 0 if charge.get("captured") is False else found


def _capture_before(charge: dict[str, Any]) -> object:
    """Find when an authorization lapses: the details of a charge are named by the payment method's type."""
    details = object_of(charge.get("payment_method_details"))
    return object_of(details.get(text_of(details.get("type")) or "card")).get("capture_before")


def _line_item(item: dict[str, Any]) -> LineItem | None:
    item_id = within_bounds(item.get("id"), _ItemId)
    if item_id is None:
        return None
    price = object_of(item.get("price"))
    return LineItem(
        id=item_id,
        description=within_bounds(item.get("description"), _Description),
        quantity=within_bounds(item.get("quantity"), Natural),
        price=id_of(item.get("price"), _ItemId),
        product=id_of(price.get("product"), _ItemId),
        amount_total=within_bounds(item.get("amount_total"), Int64),
        currency=within_bounds(item.get("currency"), Currency),
    )


def _locale(value: object) -> str | None:
    locale = text_of(value)
    return None if locale in {"", _BROWSERS_LOCALE} else locale


def _taken(session: CheckoutSession, intent: PaymentIntent | None) -> Amount | None:
    """Return what was taken of a paid order: a seller who captures later may capture less than was authorized."""
    total, taken = session.amount, intent.received if intent else None
    if intent is None or intent.status is not PaymentIntentStatus.SUCCEEDED or taken is None or intent.amount is None:
        return total
    is_partial = taken.total < intent.amount.total and (total is None or taken.currency == total.currency)
    return taken if is_partial else total
