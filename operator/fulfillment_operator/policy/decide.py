"""What becomes of an order, from its request, its Session as Stripe has it now, and the time. Pure: a table."""

from dataclasses import dataclass
from datetime import datetime

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment, SessionStatus
from fulfillment_operator.policy.callbacks import has_called_back
from fulfillment_operator.policy.payment_state import (
    PaymentState,
    awaited,
    is_overdue,
    payment_condition,
    payment_state,
)
from fulfillment_operator.policy.reversals import REASONS, ReversalChange, reversal_change, shown_reversals
from fulfillment_runtime.chart_values import with_chart_values

_NOT_JUDGED = {Reason.SESSION_UNREADABLE, Reason.LIVEMODE_MISMATCH, Reason.SESSION_NOT_FOUND}
"""Reasons that say nothing of why an order stands still: what had stopped it before, its conditions tell."""

_UNPAID = {Reason.PAYMENT_FAILED, Reason.PAYMENT_CANCELED, Reason.SESSION_EXPIRED}
"""Reasons for which an order failed before it was paid."""


@dataclass(frozen=True, slots=True)
class Fulfill:
    """Dispatch the order to its backend, or ask how it goes."""

    session: CheckoutSession


@dataclass(frozen=True, slots=True)
class AwaitPayment:
    """Wait for the payment to succeed or fail."""

    session: CheckoutSession
    state: PaymentState
    overdue: bool = False
    """Whether a person must look at it."""


@dataclass(frozen=True, slots=True)
class FailPayment:
    """End it as failed, and ask the customer, once, for a new order."""

    session: CheckoutSession
    notify: bool


@dataclass(frozen=True, slots=True)
class Fail:
    """End it as failed: this order cannot be fulfilled, whatever a backend would say."""

    reason: Reason
    message: str
    session: CheckoutSession | None = None


@dataclass(frozen=True, slots=True)
class EndEmpty:
    """End it as fulfilled, without a backend: nothing was sold."""

    session: CheckoutSession


@dataclass(frozen=True, slots=True)
class Reverse:
    """End it as failed, once the backend that has it, or may have it, knows why."""

    fail: Fail
    session: CheckoutSession
    change: ReversalChange
    """What is new of refunds and disputes."""


Decision = Fulfill | AwaitPayment | FailPayment | Fail | EndEmpty | Reverse


def decide(request: FulfillmentRequest, session: CheckoutSession | None, now: datetime) -> Decision:
    """Decide what becomes of an order that is due.

    An event is a hint; what Stripe says now is believed (Stripe, "Fulfill orders with Checkout").

    Args:
        request: the object as it stands in the cluster.
        session: what Stripe says now; None when it knows no such Session.
        now: the time, with its zone.
    """
    if session is None:
        return Fail(
            Reason.SESSION_NOT_FOUND,
            with_chart_values(
                "Stripe knows no such Session under this API key: check that STRIPE_API_KEY is of the account that "
                "sold it"
            ),
        )
    if session.mode == "setup":
        return EndEmpty(session)
    if session.status is SessionStatus.EXPIRED:
        return Fail(Reason.SESSION_EXPIRED, "the Session expired before the buyer completed it", session)
    match payment_state(request, session, now):
        case PaymentState.PAID | PaymentState.NOTHING_DUE:
            return _reversed(request, session, now) or Fulfill(session)
        case PaymentState.FAILED:
            return FailPayment(session, notify=not _was_notified(request.status))
        case PaymentState.CANCELED as state:
            _, reason, message = payment_condition(session, state)
            return Fail(reason, message, session)
        case state:
            return AwaitPayment(session, state, is_overdue(request, session, state, now))


def has_news(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> bool:
    """Tell whether a Session, as a list shows it, says something else of an order that waits than its status does.

    Args:
        request: an order that awaits its payment.
        session: the Session with what pays it; line items and disputes are not asked for.
        now: the time, with its zone.
    """
    if session.payment is SessionPayment.UNPAID and session.payment_intent is None:
        return True  # its invoice would tell, which takes a request of its own
    match decide(request, session, now):
        case AwaitPayment(_, state, overdue):
            shown = (request.status.reason, request.status.message) if request.status else None
            return shown != awaited(session, state, overdue=overdue)
        case _:
            return True


def _reversed(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> Fail | Reverse | None:
    """Stop what was reversed before it was fulfilled. Should a person ask for a retry, this is decided again."""
    stop = _reason_to_stop(session)
    fail = stop or _reason_to_hold(request, session)
    if fail is None:
        return None
    change = reversal_change(request, session, now)
    if request.status is None or request.status.fulfillment is None:
        # It may have been dispatched all the same, by an operator that was killed before it noted that.
        return Reverse(fail, session, change) if stop else fail
    return Reverse(fail, session, change) if change.notices or has_called_back(request) else fail


def _reason_to_stop(session: CheckoutSession) -> Fail | None:
    if session.refunded:
        return Fail(Reason.REFUNDED, "the payment was refunded before the order was fulfilled", session)
    match session.dispute:
        case ReversalKind.DISPUTED:
            return Fail(
                Reason.DISPUTED,
                "the buyer disputed the payment before the order was fulfilled: answer the dispute in the Stripe "
                "Dashboard",
                session,
            )
        case ReversalKind.DISPUTE_LOST:
            return Fail(Reason.DISPUTE_LOST, "the dispute was lost before the order was fulfilled", session)
        case _:
            return None


def _reason_to_hold(request: FulfillmentRequest, session: CheckoutSession) -> Fail | None:
    """Hold what failed although it was paid: whether it is still wanted, a person says, by a retry."""
    status = request.status
    if status is None or status.phase is not Phase.FAILED or request.is_retry_requested:
        return None
    reasons = (REASONS[kind] for kind in shown_reversals(status)) if status.reason in _NOT_JUDGED else (status.reason,)
    return next(
        (fail for reason in reasons if (fail := _still_failed(request, status, session, reason)) is not None), None
    )


def stays_failed(request: FulfillmentRequest) -> bool:
    """Tell whether an order failed for a reason that stands, though Stripe's answer about it cannot be read.

    Not if a person asks for a retry, or an event says that it was paid after all.
    """
    status = request.status
    if status is None or status.phase is not Phase.FAILED or request.is_retry_requested:
        return False
    if status.reason in _UNPAID:
        return not request.spec.payment.status.is_settled
    return status.reason not in _NOT_JUDGED


def _still_failed(request: FulfillmentRequest, status: Status, session: CheckoutSession, reason: str) -> Fail | None:
    match reason:
        case Reason.FULFILLMENT_FAILED | Reason.NO_ROUTE:
            # Its news, such as a fraud warning, is no reason to hand it over again: a person may have fulfilled it.
            return None if has_called_back(request) else Fail(Reason(reason), status.message, session)
        case Reason.REFUNDED | Reason.REFUND_FAILED:
            return Fail(
                Reason.REFUND_FAILED,
                "a refund stopped the order, and failed since: refund it again, or retry it to have it fulfilled",
                session,
            )
        case Reason.DISPUTED | Reason.DISPUTE_LOST | Reason.DISPUTE_WON | Reason.DISPUTE_PREVENTED:
            prevented = session.dispute is ReversalKind.DISPUTE_PREVENTED
            return Fail(
                Reason.DISPUTE_PREVENTED if prevented else Reason.DISPUTE_WON,
                f"a dispute stopped the order, and was {'settled' if prevented else 'won'} since: retry it to have "
                "it fulfilled, or refund it",
                session,
            )
        case _:
            return None


def _was_notified(status: Status | None) -> bool:
    found = status and status.condition(ConditionType.CUSTOMER_NOTIFIED)
    return bool(found and found.status is ConditionStatus.TRUE)
