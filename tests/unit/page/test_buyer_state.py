"""What a buyer is told of each state of an order."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount, PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    LineItem,
    Order,
    Phase,
    Reason,
    Reversals,
    Status,
)
from fulfillment_operator.checkout.session import SessionPayment
from fulfillment_operator.policy.manual_actions import Pause
from fulfillment_operator.policy.payment_state import PaymentState
from fulfillment_operator.policy.transition import awaiting_payment, paused, stripe_error
from fulfillment_page.buyer_state import BuyerState, Item, view_of
from fulfillment_page.texts import STATE_TEXTS
from support.builders import CREATED, make_request, make_session, make_status

USD = Amount(total=1099, currency="usd", display="10.99 USD")


def with_condition(status: Status, kind: ConditionType, truth: ConditionStatus, reason: Reason) -> Status:
    made = Condition(type=kind, status=truth, reason=reason, message="", last_transition_time=CREATED)
    return replace(status, conditions=[*status.conditions, made])


@pytest.mark.parametrize(
    ("phase", "reason", "payment", "expected"),
    [
        ("awaiting-payment", "PaymentProcessing", "unpaid", "payment-processing"),
        ("awaiting-payment", "PaymentRequiresAction", "unpaid", "payment-requires-action"),
        ("awaiting-payment", "PaymentRequiresCapture", "unpaid", "payment-authorized"),
        ("awaiting-payment", "SessionOpen", "unpaid", None),
        ("awaiting-payment", "StripeUnavailable", "paid", "received"),
        ("awaiting-payment", "StripeUnavailable", "unpaid", "received"),
        ("awaiting-payment", "StripeMisconfigured", "failed", "received"),
        ("awaiting-payment", "StripeMisconfigured", "no_payment_required", "received"),
        ("awaiting-payment", "Restored", "paid", "received"),
        ("fulfilling", "BackendUnavailable", "paid", "preparing"),
        ("fulfilling", "Dispatched", "paid", "preparing"),
        ("fulfilling", "Paused", "paid", "preparing"),
        ("fulfilled", "Fulfilled", "paid", "fulfilled"),
        ("fulfilled", "ManuallyCompleted", "paid", "fulfilled"),
        ("fulfilled", "NothingToFulfill", "unpaid", "saved"),
        ("failed", "PaymentFailed", "failed", "payment-failed"),
        ("failed", "PaymentCanceled", "canceled", "payment-canceled"),
        ("failed", "Refunded", "paid", "refunded"),
        ("failed", "SessionExpired", "unpaid", None),
        ("failed", "SessionNotFound", "paid", None),
        ("failed", "LivemodeMismatch", "paid", None),
        ("failed", "NameMismatch", "paid", None),
        ("failed", "FulfillmentFailed", "paid", "needs-attention"),
        ("failed", "ManuallyFailed", "paid", "closed"),
        ("failed", "ManuallyFailed", "unpaid", "closed"),
        ("failed", "Disputed", "paid", "needs-attention"),
        ("failed", "SessionUnreadable", "paid", "needs-attention"),
        ("failed", "OfALaterVersion", "paid", "needs-attention"),
    ],
)
def test_a_buyer_is_told_the_state_in_their_own_terms(
    phase: str, reason: str, payment: str, expected: str | None
) -> None:
    """What is the shop's business alone is not told, and what is no order is none."""
    status = replace(make_status(Phase(phase), Reason.FULFILLED), reason=reason)
    view = view_of(make_request(PaymentStatus(payment), status=status))
    assert (view.state if view else None) == expected


@pytest.mark.parametrize(
    ("phase", "reason", "payment", "observed", "expected"),
    [
        ("failed", "PaymentFailed", "paid", False, "received"),
        ("failed", "PaymentCanceled", "paid", False, "received"),
        ("failed", "PaymentFailed", "paid", True, "payment-failed"),  # Stripe says so, and was asked since
        ("failed", "PaymentFailed", "failed", False, "payment-failed"),
        ("failed", "PaymentCanceled", "canceled", False, "payment-canceled"),
        ("failed", "FulfillmentFailed", "paid", False, "needs-attention"),
        # Stripe's answer is older than the event, so it is asked again soon.
        ("awaiting-payment", "PaymentProcessing", "paid", True, "received"),
        ("awaiting-payment", "PaymentRequiresAction", "paid", False, "received"),
        ("awaiting-payment", "PaymentRequiresCapture", "paid", True, "received"),
        ("awaiting-payment", "SessionOpen", "no_payment_required", True, "received"),
        ("awaiting-payment", "PaymentProcessing", "failed", False, "payment-processing"),
    ],
)
def test_who_has_paid_since_is_not_told_of_the_payment_before(
    phase: str, reason: str, payment: str, observed: bool, expected: str
) -> None:
    """An event says that the order is paid: nobody is asked to pay again, though Stripe is yet to be asked."""
    status = make_status(Phase(phase), Reason(reason))
    request = make_request(PaymentStatus(payment), status=status)
    generation = status.observed_generation + (not observed)
    view = view_of(replace(request, metadata=replace(request.metadata, generation=generation)))
    assert view is not None
    assert view.state == expected


@pytest.mark.parametrize(
    ("phase", "reason", "hint", "shown", "expected"),
    [
        # What an event says stops it, but Stripe has not confirmed it yet, or the backend does not know.
        ("fulfilling", "BackendUnavailable", "refunded", False, "updating"),
        ("fulfilling", "Dispatched", "disputed", False, "updating"),
        ("fulfilling", "Dispatched", "dispute-lost", False, "updating"),
        ("fulfilling", "Dispatched", "partially-refunded", False, "preparing"),
        ("fulfilling", "Dispatched", "dispute-won", False, "preparing"),
        ("fulfilling", "Dispatched", "refund-failed", True, "preparing"),
        # What comes after a person failed it, only its events tell.
        ("failed", "ManuallyFailed", "refunded", False, "refunded"),
        ("failed", "ManuallyFailed", "partially-refunded", False, "closed"),
        ("failed", "ManuallyFailed", "disputed", True, "refunded"),
        ("failed", "ManuallyFailed", None, True, "refunded"),
        ("failed", "ManuallyFailed", "refund-failed", True, "closed"),
    ],
)
def test_what_an_event_says_of_a_refund_is_heeded(
    phase: str, reason: str, hint: str | None, shown: bool, expected: str
) -> None:
    """Where the status cannot tell: nobody is told that work goes on, or that nothing came back, who was refunded."""
    status = make_status(Phase(phase), Reason(reason))
    if shown:
        status = with_condition(status, ConditionType.REFUNDED, ConditionStatus.TRUE, Reason.REFUNDED)
    request = make_request(status=status)
    reversal = Reversal(kind=ReversalKind(hint)) if hint else None
    view = view_of(replace(request, spec=replace(request.spec, reversal=reversal)))
    assert view is not None
    assert view.state == expected


def test_an_order_without_a_status_is_received() -> None:
    """The operator has not seen it yet; what the event said of the amount is there."""
    view = view_of(make_request())
    assert view is not None
    assert (view.state, view.items, view.total) == (BuyerState.RECEIVED, (), USD)


UNPAID = make_session(SessionPayment.UNPAID)


def away(before: Status | None) -> Status:
    return stripe_error(unpaid(before), Reason.STRIPE_UNAVAILABLE, "Stripe's API cannot be reached", CREATED)


def misconfigured(before: Status | None) -> Status:
    return stripe_error(unpaid(before), Reason.STRIPE_MISCONFIGURED, "Stripe rejects the API key", CREATED)


def held(before: Status | None) -> Status:
    return paused(unpaid(before), Pause("the address is odd"), CREATED)


def unpaid(before: Status | None) -> FulfillmentRequest:
    return make_request(PaymentStatus.UNPAID, status=before)


@pytest.mark.parametrize(
    "since",
    [(), (held,), (away,), (misconfigured,), (away, misconfigured), (held, away), (away, held)],
    ids=lambda since: "-".join(each.__name__ for each in since) or "asked",
)
@pytest.mark.parametrize("overdue", [False, True], ids=["in-time", "overdue"])
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (PaymentState.PROCESSING, "payment-processing"),
        (PaymentState.REQUIRES_ACTION, "payment-requires-action"),
        (PaymentState.REQUIRES_CAPTURE, "payment-authorized"),
        (None, "received"),
    ],
)
def test_a_payment_stands_as_stripe_said_last(
    state: PaymentState | None,
    expected: str,
    overdue: bool,
    since: tuple[Callable[[Status | None], Status], ...],
) -> None:
    """Whatever keeps the operator since: who has to act is not told to wait; None: Stripe was never asked."""
    asked = awaiting_payment(unpaid(None), UNPAID, state, CREATED, overdue=overdue) if state else None
    view = view_of(unpaid(reduce(lambda status, step: step(status), since, asked)))
    assert view is not None
    assert view.state == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(Reason.REFUNDED, BuyerState.REFUNDED), (Reason.PARTIALLY_REFUNDED, BuyerState.FULFILLED)],
)
def test_a_refund_is_shown(reason: Reason, expected: BuyerState) -> None:
    """Of all of it the state says so, of a part the amount alone."""
    status = with_condition(
        make_status(Phase.FULFILLED, Reason.FULFILLED), ConditionType.REFUNDED, ConditionStatus.TRUE, reason
    )
    view = view_of(make_request(status=replace(status, reversals=Reversals(amount_refunded=USD))))
    assert view is not None
    assert (view.state, view.refunded) == (expected, USD)


JPY = Amount(total=1634, currency="jpy", display="1634 JPY")


@pytest.mark.parametrize(
    ("seen", "given_back", "is_all", "expected"),
    [
        (None, replace(USD, total=500), False, (replace(USD, total=500), False)),
        (None, USD, True, (USD, False)),
        (JPY, replace(USD, total=500), False, (None, True)),
        (JPY, USD, True, (JPY, False)),
        (JPY, replace(JPY, total=600), False, (replace(JPY, total=600), False)),
        (JPY, None, False, (None, False)),
    ],
)
def test_a_refund_is_told_in_the_currency_that_the_buyer_paid_in(
    seen: Amount | None, given_back: Amount | None, is_all: bool, expected: tuple[Amount | None, bool]
) -> None:
    """Of a part of which Stripe tells in the merchant's alone, that it was one."""
    status = replace(
        make_status(Phase.FULFILLED, Reason.FULFILLED),
        order=Order(line_items=[], amount=USD, presentment=seen),
        reversals=Reversals(amount_refunded=given_back),
    )
    if is_all:
        status = with_condition(status, ConditionType.REFUNDED, ConditionStatus.TRUE, Reason.REFUNDED)
    view = view_of(make_request(status=status))
    assert view is not None
    assert (view.refunded, view.is_refunded_in_part) == expected


def item(total: int | None = 1099, currency: str | None = "usd", **facts: Any) -> LineItem:
    return LineItem(id="li_1", description="T-shirt", quantity=2, amount_total=total, currency=currency, **facts)


@pytest.mark.parametrize(
    ("order", "amounts", "shipping", "total"),
    [
        (Order(line_items=[item()], amount=USD), [1099], None, 1099),
        (Order(line_items=[item(599)], amount=USD), [599], 500, 1099),
        (Order(line_items=[item(2000)], amount=USD), [2000], None, 1099),  # an invoice took less
        (Order(line_items=[item(599), item(None)], amount=USD), [599, None], None, 1099),
        (Order(line_items=[item(currency="eur")], amount=USD), [None], None, 1099),
        (Order(line_items=[item(599)], amount=replace(USD, total=700)), [599], None, 700),  # captured in part
        (
            Order(line_items=[item()], amount=USD, presentment=Amount(total=1634, currency="jpy", display="")),
            [None],  # Stripe tells what each costs in the merchant's currency alone
            None,
            1634,
        ),
        (Order(line_items=[], removed_line_items=1, amount=USD), [], None, 1099),
        (Order(line_items=[]), [], None, 1099),
    ],
)
def test_amounts_are_those_that_the_buyer_saw(
    order: Order, amounts: list[int | None], shipping: int | None, total: int
) -> None:
    """Never in another currency than they paid in; and the shipping that makes up the rest of a Session's total."""
    view = view_of(make_request(status=replace(make_status(Phase.FULFILLED, Reason.FULFILLED), order=order)))
    assert view is not None
    assert [each.amount.total if each.amount else None for each in view.items] == amounts
    assert (view.shipping.total if view.shipping else None) == shipping
    assert view.total is not None
    assert view.total.total == total


def test_an_item_shows_what_and_how_many() -> None:
    """Nothing of Stripe's ids."""
    order = Order(line_items=[item(price="price_1", product="prod_1")], amount=USD)
    view = view_of(make_request(status=replace(make_status(Phase.FULFILLED, Reason.FULFILLED), order=order)))
    assert view is not None
    assert view.items == (
        Item(description="T-shirt", quantity=2, amount=Amount(total=1099, currency="usd", display="")),
    )


def test_every_state_has_its_text() -> None:
    """And none besides."""
    assert set(STATE_TEXTS) == set(BuyerState)
