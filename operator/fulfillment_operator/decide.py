"""What to do next with one request. Pure: spec, status, what Stripe says, and the time go in; a step comes out."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.checkout import CheckoutSession, SessionPayment, SessionStatus
from fulfillment_operator.instructions import Hold, holds_anew, instruction, is_open, is_retry_asked
from fulfillment_operator.payment_methods import longest_wait
from fulfillment_operator.remarks import remarked


@dataclass(frozen=True, slots=True)
class LookNow:
    """Ask Stripe, and take the next step."""


@dataclass(frozen=True, slots=True)
class LookAt:
    """Nothing is due before this time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to do, unless the spec changes."""


Look = LookNow | LookAt | Settled


@dataclass(frozen=True, slots=True)
class Fulfill:
    """Hand the order to the backend."""

    session: CheckoutSession


@dataclass(frozen=True, slots=True)
class AwaitPayment:
    """Wait for the payment to succeed or fail."""

    session: CheckoutSession
    overdue: bool = False
    """Whether it takes longer than its method can."""


@dataclass(frozen=True, slots=True)
class FailPayment:
    """End it as failed, and ask the customer, once, for a new order."""

    session: CheckoutSession
    notify: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """End it as failed: this order cannot be fulfilled, whatever the backend would say."""

    reason: Reason
    message: str
    session: CheckoutSession | None = None


Step = Fulfill | AwaitPayment | FailPayment | Refuse

# What waits only for another system to come back, so it is due whenever someone looks.
_RETRIED = {Reason.STRIPE_UNAVAILABLE, Reason.STRIPE_MISCONFIGURED}


def when_to_look(request: FulfillmentRequest, now: datetime, recheck: timedelta) -> Look:
    """Tell when a request needs the operator next.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
        recheck: how often an order that waits is asked of Stripe again, so that a lost event does not strand it.
    """
    status = request.status
    if request.metadata.deletion_timestamp is not None:
        return Settled()
    if status is None:
        return LookNow()
    if status.phase is Phase.FULFILLED:  # absorbs: no later event makes an order unfulfilled, or fulfills it twice
        return Settled()
    if remarked(request, now) is not None:
        return LookNow()
    asked = instruction(request)
    if isinstance(asked, Hold) and not holds_anew(request, asked):
        return Settled()
    if asked is not None or status.reason == Reason.PAUSED or is_retry_asked(request):
        return LookNow()
    return _when_nothing_is_asked(request, status, now, recheck)


def _when_nothing_is_asked(request: FulfillmentRequest, status: Status, now: datetime, recheck: timedelta) -> Look:
    if request.has_news or status.reason in _RETRIED:
        return LookNow()
    match status.phase:
        case Phase.FULFILLING:
            due = status.fulfillment.next_attempt_at if status.fulfillment else None
            return LookAt(due) if due is not None and due > now else LookNow()
        case Phase.AWAITING_PAYMENT:
            return LookAt(next_recheck(request, now, recheck))
        case Phase.FAILED:
            return LookNow() if _mail_is_due(status) else Settled()
        case Phase.FULFILLED:
            return Settled()


def is_urgent(request: FulfillmentRequest) -> bool:
    """Tell whether an order has news, or a person asks something of it: it goes before those that are looked at again.

    So thousands that wait, and are due at a start or when Stripe is back, keep no new order waiting.
    """
    status = request.status
    return status is None or is_open(request) or status.reason in _RETRIED


def awaits_stripe(request: FulfillmentRequest) -> bool:
    """Tell whether Stripe's word is all that an order waits for: then it shows that Stripe cannot be asked."""
    status = request.status
    if status is None or status.reason in _RETRIED:
        return True
    return status.phase is Phase.AWAITING_PAYMENT and request.has_news


def refuse_unseen(request: FulfillmentRequest, *, livemode: bool) -> Refuse | None:
    """Refuse what needs no word of Stripe's: a request that the webhook service cannot have made, or of the other mode.

    Args:
        request: the object as it stands in the cluster.
        livemode: whether the operator's API key is a live one.
    """
    session = request.spec.session
    expected = request_name(session.id, session.account)
    if request.metadata.name != expected:
        return Refuse(
            Reason.NAME_MISMATCH,
            f"the request of this Session must be named {expected}, or the order could be fulfilled twice: "
            "delete this object",
        )
    if session.livemode is not livemode:
        order, key = ("live", "test") if session.livemode else ("test", "live")
        return Refuse(
            Reason.LIVEMODE_MISMATCH,
            f"a {order} order, but STRIPE_API_KEY is a {key} key: point the {order} webhook endpoint elsewhere, "
            "or use the other key",
        )
    return None


def decide(request: FulfillmentRequest, session: CheckoutSession | None, now: datetime) -> Step:
    """Choose the next step for an order that is due.

    An event is a hint; what Stripe says now is believed (Stripe, "Fulfill orders with Checkout").

    Args:
        request: the object as it stands in the cluster.
        session: what Stripe says now; None when it knows no such Session.
        now: the time, with its zone.
    """
    if session is None:
        return Refuse(
            Reason.SESSION_NOT_FOUND,
            "Stripe knows no such Session under this API key: check that STRIPE_API_KEY is of the account that sold it",
        )
    if session.mode == "setup":
        return Refuse(Reason.NOTHING_TO_FULFILL, "the Session saved a payment method, and sold nothing", session)
    if session.status is SessionStatus.EXPIRED:
        return Refuse(Reason.SESSION_EXPIRED, "the Session expired before the buyer completed it", session)
    overdue = now > request.metadata.creation_timestamp + longest_wait(session.payment_methods)
    if session.status is SessionStatus.OPEN:
        return AwaitPayment(session, overdue)
    match session.payment:
        case SessionPayment.PAID | SessionPayment.NO_PAYMENT_REQUIRED:
            return _stopped(session) or Fulfill(session)
        case SessionPayment.FAILED:
            return FailPayment(session, notify=not _was_notified(request.status))
        case SessionPayment.UNPAID if request.spec.payment.status is PaymentStatus.FAILED:
            return FailPayment(session, notify=not _was_notified(request.status))
        case SessionPayment.UNPAID:
            return AwaitPayment(session, overdue)


def _stopped(session: CheckoutSession) -> Refuse | None:
    """Stop what was undone before it was fulfilled. Should a person ask for another try, this is decided again."""
    if session.refunded:
        return Refuse(Reason.REFUNDED, "the payment was refunded before the order was fulfilled", session)
    if session.disputed:
        return Refuse(
            Reason.DISPUTED,
            "the buyer disputed the payment before the order was fulfilled: answer the dispute in the Stripe Dashboard",
            session,
        )
    return None


def _was_notified(status: Status | None) -> bool:
    found = status and status.condition(ConditionType.CUSTOMER_NOTIFIED)
    return bool(found and found.status is ConditionStatus.TRUE)


def _mail_is_due(status: Status) -> bool:
    found = status.condition(ConditionType.CUSTOMER_NOTIFIED)
    return found is not None and found.reason == Reason.MAIL_UNAVAILABLE


def next_recheck(request: FulfillmentRequest, now: datetime, recheck: timedelta) -> datetime:
    """Tell when an order that waits is looked at next: at a fixed place in each interval, by its name.

    So the looks are spread evenly, survive a restart, and need no write to remember. The place is a whole second, as
    the operator's clock tells them: within a fraction it would come again and again.
    """
    place = int.from_bytes(hashlib.sha256(request.metadata.name.encode()).digest()[:4]) / 2**32
    start = request.metadata.creation_timestamp + timedelta(seconds=int(recheck.total_seconds() * place))
    return start + recheck * max(0, 1 + (now - start) // recheck)
