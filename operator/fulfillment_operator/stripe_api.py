"""The one place that meets Stripe's API: Checkout Sessions with all their line items.

Its failures become ours: `StripeUnavailableError` passes, `StripeMisconfiguredError` waits for a person.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgspec
import stripe

from fulfillment_api.money import display_amount
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount
from fulfillment_api.status import LineItem
from fulfillment_operator.checkout import CheckoutSession, Customer, SessionPayment, SessionStatus, Shipping
from fulfillment_runtime.stripe_connection import (
    StripeMisconfiguredError,
    StripeUnavailableError,
    rate_limiter,
    translate_error,
)

LINE_ITEMS_PAGE = 100
"""The most that Stripe lists at once."""

_RIGHTS = (
    "to read Checkout Sessions, PaymentIntents and Charges, and Invoices where subscriptions are sold: give the "
    "restricted key these read permissions"
)


class StripeApi:
    """Reads Checkout Sessions, within a bounded rate and concurrency."""

    def __init__(self, client: stripe.StripeClient, *, per_second: float, concurrency: int) -> None:
        self._sessions = client.v1.checkout.sessions
        self._invoice_payments = client.v1.invoice_payments
        self._rate = rate_limiter(per_second)
        self._slots = asyncio.Semaphore(concurrency)

    async def session_of(self, request: FulfillmentRequest) -> CheckoutSession | None:
        """Retrieve the Session of a request, as `retrieve` does.

        Stripe keeps every Session. Should it have had this one before, and know it no more, the key is of another
        account: then no order is judged by it.

        Raises:
            StripeError: as `retrieve`.
        """
        reference = request.spec.session
        session = await self.retrieve(reference.id, reference.account)
        if session is None and request.status is not None and request.status.order is not None:
            raise StripeMisconfiguredError(
                "Stripe had this Session, and knows it no more: STRIPE_API_KEY must be of the account that sold it, "
                "or, if test data was deleted at Stripe, delete the request"
            )
        return session

    async def retrieve(self, session_id: str, account: str | None) -> CheckoutSession | None:
        """Retrieve a Session with all its line items, and its payment, of whose charge a refund and a dispute are told.

        Args:
            session_id: cs_….
            account: the connected account that owns it, acct_…; None for the key's own.

        Returns:
            The Session; None when Stripe knows none of this id.

        Raises:
            StripeUnavailableError: a passing fault.
            StripeMisconfiguredError: the API key is wrong or lacks a permission.
        """
        options: stripe.RequestOptions = {"stripe_account": account} if account else {}
        try:
            async with self._turn():
                session = await self._sessions.retrieve_async(
                    session_id, {"expand": ["line_items", "payment_intent.latest_charge"]}, options
                )
            raw = msgspec.convert(session.to_dict(), _Session)
            items = [*raw.line_items.data]
            more = raw.line_items.has_more
            while more:
                async with self._turn():
                    page = await self._sessions.line_items.list_async(
                        session_id, {"limit": LINE_ITEMS_PAGE, "starting_after": items[-1].id}, options
                    )
                listed = msgspec.convert(page.to_dict(), _LineItems)
                items.extend(listed.data)
                more = listed.has_more
            intent = await self._payment_intent(raw, options)
        except stripe.StripeError as error:
            if error.http_status == HTTPStatus.NOT_FOUND and error.code == "resource_missing":
                return None
            raise translate_error(error, right=_RIGHTS) from error
        except msgspec.ValidationError as error:
            raise StripeUnavailableError(f"Stripe's answer has an unexpected form: {error}") from error
        return _checkout_session(raw, intent, items)

    async def _payment_intent(self, session: "_Session", options: stripe.RequestOptions) -> "_PaymentIntent":
        """Find what pays a Session. A subscription is paid by its first invoice, which names the PaymentIntent."""
        if isinstance(session.payment_intent, _PaymentIntent):
            return session.payment_intent
        if not isinstance(session.invoice, str) or session.payment_status is SessionPayment.NO_PAYMENT_REQUIRED:
            return _PaymentIntent()
        async with self._turn():
            page = await self._invoice_payments.list_async(
                {"invoice": session.invoice, "limit": 1, "expand": ["data.payment.payment_intent.latest_charge"]},
                options,
            )
        payments = msgspec.convert(page.to_dict(), _InvoicePayments).data
        found = payments[0].payment.payment_intent if payments else None
        return found if isinstance(found, _PaymentIntent) else _PaymentIntent()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._slots, self._rate:
            yield


class _Price(msgspec.Struct):
    id: str
    product: Any = None


class _LineItem(msgspec.Struct):
    id: str
    description: str | None = None
    quantity: int | None = None
    price: _Price | None = None
    amount_total: int | None = None
    currency: str | None = None


class _LineItems(msgspec.Struct):
    data: list[_LineItem] = []
    has_more: bool = False


class _Charge(msgspec.Struct):
    refunded: bool = False
    disputed: bool = False


class _PaymentIntent(msgspec.Struct):
    id: str | None = None
    status: str | None = None
    last_payment_error: Any = None
    latest_charge: _Charge | str | None = None

    @property
    def failed(self) -> bool:
        """Whether a completed, unpaid Session will not be paid any more (Stripe, "PaymentIntent lifecycle")."""
        return self.status == "canceled" or (
            self.status == "requires_payment_method" and self.last_payment_error is not None
        )


class _Payment(msgspec.Struct):
    payment_intent: _PaymentIntent | str | None = None


class _InvoicePayment(msgspec.Struct):
    payment: _Payment


class _InvoicePayments(msgspec.Struct):
    data: list[_InvoicePayment] = []


class _CollectedInformation(msgspec.Struct):
    shipping_details: Shipping | None = None


class _Session(msgspec.Struct):
    """The part of Stripe's Checkout Session that is read."""

    id: str
    mode: str
    payment_status: SessionPayment
    status: SessionStatus = SessionStatus.COMPLETE
    amount_total: int | None = None
    currency: str | None = None
    customer_details: Customer | None = None
    collected_information: _CollectedInformation | None = None
    payment_intent: _PaymentIntent | str | None = None
    invoice: Any = None
    payment_method_types: list[str] | None = None
    payment_link: Any = None
    metadata: dict[str, str] | None = None
    line_items: _LineItems = msgspec.field(default_factory=_LineItems)


def _checkout_session(raw: _Session, intent: _PaymentIntent, items: list[_LineItem]) -> CheckoutSession:
    payment = raw.payment_status
    charge = intent.latest_charge if isinstance(intent.latest_charge, _Charge) else _Charge()
    if payment is SessionPayment.UNPAID and intent.failed:
        payment = SessionPayment.FAILED
    amount = None
    if raw.amount_total is not None and raw.currency is not None:
        amount = Amount(
            total=raw.amount_total, currency=raw.currency, display=display_amount(raw.amount_total, raw.currency)
        )
    return CheckoutSession(
        id=raw.id,
        mode=raw.mode,
        status=raw.status,
        payment=payment,
        line_items=tuple(_line_item(item) for item in items),
        amount=amount,
        customer=raw.customer_details,
        shipping=raw.collected_information.shipping_details if raw.collected_information else None,
        payment_link=raw.payment_link if isinstance(raw.payment_link, str) else None,
        metadata=raw.metadata or {},
        payment_methods=tuple(raw.payment_method_types or ()),
        payment_intent=intent.id,
        refunded=charge.refunded,
        disputed=charge.disputed,
    )


def _line_item(item: _LineItem) -> LineItem:
    product = item.price.product if item.price else None
    return LineItem(
        id=item.id,
        description=item.description,
        quantity=item.quantity,
        price=item.price.id if item.price else None,
        product=product if isinstance(product, str) else None,
        amount_total=item.amount_total,
        currency=item.currency,
    )
