"""The one place that meets Stripe's API: Checkout Sessions with all their line items.

Its failures become ours: `StripeUnavailableError` passes, `StripeMisconfiguredError` waits for a person, and
`SessionUnreadableError` is about one Session.
"""

from collections.abc import Awaitable
from http import HTTPStatus

import stripe

from fulfillment_api.disputes import DISPUTE_KINDS, gravest
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import LineItem
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment
from fulfillment_operator.checkout.session_answer import (
    InvoicePayment,
    Payment,
    SessionAnswer,
    SessionUnreadableError,
    parse_disputes,
    parse_invoice_payment,
    parse_line_items,
    parse_session,
)
from fulfillment_operator.checkout.session_list import Page, Span
from fulfillment_operator.checkout.session_page import SESSIONS, page_params, read_page
from fulfillment_operator.checkout.session_source import SESSION, Backlog, SessionSource, due_of
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.stripe.client import StripeMisconfiguredError, translate_error
from fulfillment_runtime.stripe.reader import StripeReader

LINE_ITEMS_PAGE = 100
"""The most that Stripe lists at once."""
DISPUTES_PAGE = 100
"""Of one payment there are more than one only rarely."""

_LINE_ITEMS = f"{SESSION}/line_items"
_INVOICE_PAYMENTS = "/v1/invoice_payments"
_DISPUTES = "/v1/disputes"
STRIPE_ENDPOINTS = (SESSION, SESSIONS, _LINE_ITEMS, _INVOICE_PAYMENTS, _DISPUTES)
"""All that is asked for; to each of them Stripe's limit of an endpoint applies."""

_PAYMENT = ("payment_intent.latest_charge",)
_PERMISSIONS = (
    "to read Checkout Sessions, PaymentIntents, Charges and Disputes, and Invoices where subscriptions are sold: give "
    "the restricted key these read permissions"
)


class StripeApi:
    """Reads Checkout Sessions, within Stripe's limits."""

    def __init__(self, reader: StripeReader) -> None:
        self._reader = reader
        self._source = SessionSource(reader)

    def serve(self, backlog: Backlog) -> None:
        """Take in which orders wait for a worker: when they are many, Stripe is asked for many at once."""
        self._source.backlog = backlog

    async def close(self) -> None:
        """Leave off."""
        await self._source.close()

    async def retrieve_for(self, request: FulfillmentRequest) -> CheckoutSession | None:
        """Retrieve the Session of a request that is due, as `retrieve` does, or by a list that has many.

        Stripe keeps every Session. Should it have had this one before, and know it no more, the key is of another
        account: then no order is judged by it.

        Returns:
            The Session; None when Stripe never knew it.

        Raises:
            StripeError: as `retrieve`.
            SessionUnreadableError: likewise.
        """
        reference = request.spec.session
        session = await self._complete(
            self._source.retrieve_due(due_of(request)),
            reference.id,
            reference.account,
            hint=request.spec.reversal.kind if request.spec.reversal is not None else None,
        )
        if session is None and request.status is not None and request.status.order is not None:
            raise StripeMisconfiguredError(
                with_chart_values(
                    "Stripe had this Session, and knows it no more: STRIPE_API_KEY must be of the account that sold "
                    "it, or, if test data was deleted at Stripe, delete the request"
                )
            )
        return session

    async def retrieve(self, session_id: str, account: str | None) -> CheckoutSession | None:
        """Retrieve a Session with all its line items, and the charge that says whether it was refunded or disputed.

        Args:
            session_id: cs_….
            account: the connected account that owns it, acct_…; None for the key's own.

        Returns:
            The Session; None when Stripe knows none of this id.

        Raises:
            StripeUnavailableError: a passing fault.
            StripeMisconfiguredError: the API key is wrong or lacks a permission.
            SessionUnreadableError: the answer is of a form that cannot be judged.
        """
        asked = self._source.retrieve(session_id, account)
        return await self._complete(asked, session_id, account, hint=None)

    async def list_payments(self, span: Span, account: str | None) -> tuple[Page, dict[str, CheckoutSession | None]]:
        """List how the payments of a span's Sessions stand, without what else there is of them.

        Args:
            span: which part of the list.
            account: the connected account whose list it is, acct_…; None for the key's own.

        Returns:
            Where in the list the page is, and the Sessions that it shows by their ids; None where it cannot be judged.

        Raises:
            StripeError: as `retrieve`.
        """
        try:
            answer = await self._reader.get(SESSIONS, page_params(span, _PAYMENT), account=account)
        except stripe.StripeError as error:
            raise translate_error(error, right=_PERMISSIONS) from error
        page, found = read_page(answer.data)
        return page, {session: _payment_of(each, session) for session, each in found.items()}

    async def _complete(
        self, asked: Awaitable[object], session_id: str, account: str | None, *, hint: ReversalKind | None
    ) -> CheckoutSession | None:
        """Complete what Stripe shows of a Session with what takes requests of its own.

        Args:
            asked: Stripe's answer about the Session.
            session_id: its id.
            account: the connected account that owns it.
            hint: what the newest event about a refund or a dispute said. Then disputes are asked for although the
                charge does not say that there is one, as of an inquiry it may not.

        Raises:
            StripeError: as `retrieve`.
            SessionUnreadableError: likewise.
        """
        try:
            shown = await asked
        except stripe.StripeError as error:
            if _is_missing(error):
                return None
            raise translate_error(error, right=_PERMISSIONS) from error
        answer = parse_session(shown, session_id)
        try:
            items = await self._line_items(session_id, answer, account)
            by_invoice = await self._invoice_payment(answer, account)
            payment = answer.payment or by_invoice.payment
            dispute = await self._dispute(payment, account, hint)
        except stripe.StripeError as error:
            raise translate_error(error, right=_PERMISSIONS) from error
        return answer.complete(items=items, payment=payment, dispute=dispute, invoice=by_invoice.invoice)

    async def check_disputes(self) -> None:
        """Ask for disputes as `retrieve` does of a payment that is disputed, and is not there.

        Raises:
            StripeError: as `retrieve`.
        """
        try:
            await self._list_disputes("pi_checkconfig", None)
        except stripe.StripeError as error:
            if error.http_status != HTTPStatus.NOT_FOUND:
                raise translate_error(error, right=_PERMISSIONS) from error

    async def _line_items(self, session_id: str, answer: SessionAnswer, account: str | None) -> tuple[LineItem, ...]:
        """Page through the line items, of which the answer shows the first, or none."""
        page = answer.line_items
        items = {item.id: item for item in page.items} if page else {}
        while page is None or page.has_more:
            cursor = {"starting_after": next(reversed(items))} if items else {}
            params = {"limit": LINE_ITEMS_PAGE, **cursor}
            page = parse_line_items(await self._part(_LINE_ITEMS, params, account, session_id))
            known = len(items)
            items |= {item.id: item for item in page.items} if page else {}
            if page is None or (page.has_more and len(items) == known):
                raise SessionUnreadableError("Stripe's list of the Session's line items has no end, or is none")
        return tuple(items.values())

    async def _invoice_payment(self, answer: SessionAnswer, account: str | None) -> InvoicePayment:
        """Find what pays a subscription, which its first invoice names, and where the buyer finds the invoice.

        Where what pays it is known without that, only the invoice's links may be missing.
        """
        if answer.invoice is None or answer.session.payment is SessionPayment.NO_PAYMENT_REQUIRED:
            return InvoicePayment()
        expand = ["data.payment.payment_intent.latest_charge", "data.invoice"]
        params = {"invoice": answer.invoice, "limit": 1, "expand": expand}
        try:
            found = await self._part(_INVOICE_PAYMENTS, params, account)
        except stripe.PermissionError:
            if answer.payment is None:
                raise
            return InvoicePayment()
        if found is None and answer.payment is None:
            raise SessionUnreadableError("Stripe does not know the invoice that it names as the Session's")
        return parse_invoice_payment(found)

    async def _dispute(
        self, payment: Payment | None, account: str | None, hint: ReversalKind | None
    ) -> ReversalKind | None:
        """Find what the disputes about a payment mean. A charge says whether there ever was one, and names none."""
        is_disputed = payment is not None and payment.disputed
        if payment is None or payment.intent.id is None or not (is_disputed or hint is not None):
            return ReversalKind.DISPUTED if is_disputed else None
        try:
            found = gravest(await self._list_disputes(payment.intent.id, account))
        except stripe.PermissionError:
            if is_disputed or hint in DISPUTE_KINDS:
                raise
            return None  # a key that may not read them tells of refunds all the same
        # A list may lag behind the charge, which says that there is one.
        return found or (ReversalKind.DISPUTED if is_disputed else None)

    async def _list_disputes(self, payment_intent: str, account: str | None) -> tuple[str | None, ...]:
        """List how the disputes about a payment stand."""
        params = {"payment_intent": payment_intent, "limit": DISPUTES_PAGE}
        return parse_disputes(await self._part(_DISPUTES, params, account))

    async def _part(
        self, endpoint: str, params: dict[str, object], account: str | None, object_id: str = ""
    ) -> object | None:
        """Ask for what belongs to a Session that is there; None: Stripe says that there is no such thing."""
        try:
            return (await self._reader.get(endpoint, params, account=account, object_id=object_id)).data
        except stripe.StripeError as error:
            if _is_missing(error):
                return None
            raise


def _is_missing(error: stripe.StripeError) -> bool:
    return error.http_status == HTTPStatus.NOT_FOUND and error.code == "resource_missing"


def _payment_of(answer: object, session_id: str) -> CheckoutSession | None:
    try:
        found = parse_session(answer, session_id)
    except SessionUnreadableError:
        return None
    return found.complete(payment=found.payment)
