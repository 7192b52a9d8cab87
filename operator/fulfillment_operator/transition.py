"""The status that follows from a step and what came of it. Pure: nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import (
    ConditionStatus,
    ConditionType,
    Fulfillment,
    Obeyed,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.after_sale import aspects_of
from fulfillment_operator.backends.interface import Done, InProgress, Outcome, Refused, TryAgain
from fulfillment_operator.checkout import CheckoutSession, SessionPayment
from fulfillment_operator.conditions import Aspect, merged, truth
from fulfillment_operator.decide import Refuse
from fulfillment_operator.instructions import (
    Complete,
    GiveUp,
    Hold,
    is_retry_asked,
    obeyed_by_ending,
    obeyed_by_looking,
)
from fulfillment_operator.outcomes import LONGEST_REFERENCE, MOST_WORDS, fit_for_status

_PAID = (ConditionStatus.TRUE, Reason.PAID, "Stripe has the payment")
_FREE = (ConditionStatus.TRUE, Reason.NO_PAYMENT_REQUIRED, "the order costs nothing")
_PROCESSING = (ConditionStatus.FALSE, Reason.PAYMENT_PROCESSING, "Stripe awaits the payment")
_REFUSED_WHEN_PAID = {Reason.NO_ROUTE, Reason.REFUNDED, Reason.DISPUTED}
_DECLINED = (ConditionStatus.FALSE, Reason.PAYMENT_FAILED, "the payment failed")


@dataclass(frozen=True, slots=True)
class Retries:
    """When a backend's passing fault is tried again, and until when."""

    delay: timedelta
    """From now to the next try, jitter included."""
    deadline: timedelta
    """From the first try to the last."""


@dataclass(frozen=True, slots=True)
class MailOutcome:
    """What came of the mail to the customer."""

    reason: Reason
    """MailSent, MailUnavailable (tried again), MailRefused, MailNotConfigured or NoEmailAddress."""
    message: str
    """For a person, without the address."""


def awaiting_payment(
    request: FulfillmentRequest, session: CheckoutSession, now: datetime, *, overdue: bool = False
) -> Status:
    """The payment is on its way; `overdue` when it takes longer than its method can."""
    return _status(
        request,
        now,
        phase=Phase.AWAITING_PAYMENT,
        reason=Reason.PAYMENT_OVERDUE if overdue else Reason.PAYMENT_PROCESSING,
        message="the payment takes longer than its method can: look at it in the Stripe Dashboard"
        if overdue
        else "the buyer completed Checkout; the payment may take days to succeed or fail",
        session=session,
        paid=_PROCESSING,
    )


def payment_failed(
    request: FulfillmentRequest, session: CheckoutSession, mail: MailOutcome | None, now: datetime
) -> Status:
    """The payment failed; `mail` is what came of telling the customer, None when that was settled before."""
    told = mail or (request.status and request.status.condition(ConditionType.CUSTOMER_NOTIFIED))
    return _status(
        request,
        now,
        phase=Phase.FAILED,
        reason=Reason.PAYMENT_FAILED,
        message=f"the payment failed; {told.message}" if told else "the payment failed",
        session=session,
        paid=_DECLINED,
        mail=mail,
    )


def refused(request: FulfillmentRequest, refusal: Refuse, now: datetime) -> Status:
    """The order cannot be fulfilled at all."""
    return _status(
        request,
        now,
        phase=Phase.FAILED,
        reason=refusal.reason,
        message=refusal.message,
        session=refusal.session,
        paid=_paid_by(refusal.session)
        if refusal.session and refusal.reason in _REFUSED_WHEN_PAID
        else (ConditionStatus.UNKNOWN, refusal.reason, refusal.message),
        sale=aspects_of(refusal.session) if refusal.session else None,
    )


def handed_over(  # noqa: PLR0913, PLR0917 - all that a try consists of
    request: FulfillmentRequest,
    session: CheckoutSession,
    outcome: Outcome,
    backend: str,
    retries: Retries,
    now: datetime,
    receipt: MailOutcome | None = None,
) -> Status:
    """The order was handed to the backend, which answered `outcome`; `receipt` is what came of the mail about that."""
    before = tries_before(request)
    started = before.started_at if before else now
    this = Fulfillment(
        backend=backend,
        attempts=_handed_over(before),
        started_at=started,
        accepted_at=before.accepted_at if before else None,  # a late word, after the deadline, is still of this try
        reference=before.reference if before else None,
    )
    phase, reason = Phase.FAILED, Reason.FULFILLMENT_FAILED
    match fit_for_status(outcome):
        case Done(reference):
            phase, reason = Phase.FULFILLED, Reason.FULFILLED
            message = f"the backend {backend} fulfilled the order" + (f" as {reference}" if reference else "")
            this = replace(this, completed_at=now, reference=reference or this.reference)
        case InProgress(message, reference) if now < started + retries.deadline:
            phase, reason = Phase.FULFILLING, Reason.HANDED_OVER
            this = replace(this, reference=reference or this.reference, accepted_at=this.accepted_at or now)
        case InProgress(message):
            message = f"{message}; it did not come to an end until the deadline, so a person is needed"
            this = replace(this, last_error=message[:MOST_WORDS])
        case TryAgain(error, after) if now < started + retries.deadline:
            phase, reason = Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE
            message = f"{error}; it is tried again"
            pause = min(max(retries.delay, after or retries.delay), started + retries.deadline - now)
            this = replace(this, last_error=error, next_attempt_at=now + pause)
        case TryAgain(error):
            message = f"{error}; {this.attempts} tries failed until the deadline, so a person is needed"
            this = replace(this, last_error=error)
        case Refused(error):
            message = f"{error}: a person is needed"
            this = replace(this, last_error=error)
        case never:
            assert_never(never)
    return _status(
        request,
        now,
        phase=phase,
        reason=reason,
        message=message,
        session=session,
        paid=_paid_by(session),
        mail=receipt,
        fulfillment=this,
    )


def _paid_by(session: CheckoutSession) -> Aspect:
    return _FREE if session.payment is SessionPayment.NO_PAYMENT_REQUIRED else _PAID


def _handed_over(before: Fulfillment | None) -> int:
    """Count how often an order that the backend works on was handed to it: asking how it goes does not count."""
    if before is None or before.accepted_at is None:
        return (before.attempts if before else 0) + 1
    return before.attempts


def tries_before(request: FulfillmentRequest) -> Fulfillment | None:
    """Return what the backend did so far; None when it did nothing, or a person asks to begin anew."""
    return request.status.fulfillment if request.status and not is_retry_asked(request) else None


def held(request: FulfillmentRequest, hold: Hold, now: datetime) -> Status:
    """A person holds the order."""
    hinted = Phase.FULFILLING if _is_hinted_paid(request) else Phase.AWAITING_PAYMENT
    return _status(
        request,
        now,
        phase=request.status.phase if request.status else hinted,
        reason=Reason.PAUSED,
        message=f"a person holds the order: {hold.why}",
        session=None,
        paid=None if request.status else (ConditionStatus.UNKNOWN, Reason.PAUSED, "Stripe was not asked yet"),
        obeyed=request.status.obeyed if request.status else None,
    )


def ended_by_hand(request: FulfillmentRequest, end: Complete | GiveUp, now: datetime) -> Status:
    """A person says how the order ended."""
    before = request.status.fulfillment if request.status else None
    match end:
        case Complete(reference):
            phase, reason = Phase.FULFILLED, Reason.COMPLETED_BY_HAND
            message = f"{end.who} says that the order is fulfilled: {reference}"
            this = before or Fulfillment(backend="hand", attempts=0, started_at=now)
            fulfillment: Fulfillment | None = replace(
                this, completed_at=now, reference=reference[:LONGEST_REFERENCE], next_attempt_at=None
            )
        case GiveUp(why):
            phase, reason = Phase.FAILED, Reason.FAILED_BY_HAND
            message = f"{end.who} says that the order is not to be fulfilled: {why}"
            fulfillment = before
        case _:
            assert_never(end)
    return _status(
        request,
        now,
        phase=phase,
        reason=reason,
        message=message,
        session=None,
        paid=None if request.status else (ConditionStatus.UNKNOWN, reason, "Stripe was not asked"),
        fulfillment=fulfillment,
        obeyed=obeyed_by_ending(request, end),
    )


def stripe_trouble(request: FulfillmentRequest, reason: Reason, message: str, now: datetime) -> Status:
    """Stripe cannot be asked, so nothing is known yet: the hint of the event tells which phase is shown."""
    return _status(
        request,
        now,
        phase=Phase.FULFILLING if _is_hinted_paid(request) else Phase.AWAITING_PAYMENT,
        reason=reason,
        message=message,
        session=None,
        paid=(ConditionStatus.UNKNOWN, reason, message),
    )


def _asked_for(request: FulfillmentRequest, session: CheckoutSession | None) -> str | None:
    """Return the PaymentIntent that Stripe was asked for, because no event named it: a refund names nothing else."""
    if request.spec.session.payment_intent is not None:
        return None
    known = request.status.payment_intent if request.status else None
    return (session.payment_intent if session else None) or known


def _is_hinted_paid(request: FulfillmentRequest) -> bool:
    return request.spec.payment.status in {PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED}


def _status(  # noqa: PLR0913 - a status has these parts
    request: FulfillmentRequest,
    now: datetime,
    *,
    phase: Phase,
    reason: Reason,
    message: str,
    session: CheckoutSession | None,
    paid: Aspect | None,
    mail: MailOutcome | None = None,
    sale: Mapping[ConditionType, Aspect] | None = None,
    fulfillment: Fulfillment | None = None,
    obeyed: Obeyed | None = None,
) -> Status:
    before = request.status
    aspects: dict[ConditionType, Aspect] = {  # in the order in which a person reads them
        **({ConditionType.PAID: paid} if paid is not None else {}),
        ConditionType.FULFILLED: (truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.READY: (truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.STALLED: (truth(phase is Phase.FAILED), reason, message),
        **(sale or {}),
    }
    if mail is not None:
        aspects[ConditionType.CUSTOMER_NOTIFIED] = (truth(mail.reason is Reason.MAIL_SENT), mail.reason, mail.message)
    order = Order(line_items=list(session.line_items), amount=session.amount) if session else None
    tries = fulfillment or (before.fulfillment if before else None)
    if tries is not None and phase is Phase.FAILED:
        tries = replace(tries, next_attempt_at=None)  # whatever was planned
    return Status(
        phase=phase,
        reason=reason,
        message=message,
        observed_generation=request.metadata.generation,
        conditions=merged(before, aspects, request.metadata.generation, now),
        order=order or (before.order if before else None),
        payment_intent=_asked_for(request, session),
        fulfillment=tries,
        obeyed=obeyed or obeyed_by_looking(request),
        manual=before.manual if before else None,
    )
