"""The status that follows from a step and what came of it. Pure: nothing is written here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.backends.interface import Done, InProgress, Outcome, Refused, TryAgain
from fulfillment_operator.checkout import CheckoutSession, SessionPayment
from fulfillment_operator.decide import Refuse

_PAID = (ConditionStatus.TRUE, Reason.PAID, "Stripe has the payment")
_FREE = (ConditionStatus.TRUE, Reason.NO_PAYMENT_REQUIRED, "the order costs nothing")
_PROCESSING = (ConditionStatus.FALSE, Reason.PAYMENT_PROCESSING, "Stripe awaits the payment")
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


def awaiting_payment(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> Status:
    """The payment is on its way."""
    return _status(
        request,
        now,
        phase=Phase.AWAITING_PAYMENT,
        reason=Reason.PAYMENT_PROCESSING,
        message="the buyer completed Checkout; the payment may take days to succeed or fail",
        session=session,
        paid=_PROCESSING,
    )


def payment_failed(
    request: FulfillmentRequest, session: CheckoutSession, mail: MailOutcome | None, now: datetime
) -> Status:
    """The payment failed; `mail` is what came of telling the customer, None when that was settled before."""
    notified = (_truth(mail.reason is Reason.MAIL_SENT), mail.reason, mail.message) if mail else None
    message = f"the payment failed; {mail.message}" if mail else "the payment failed; the customer was told before"
    return _status(
        request,
        now,
        phase=Phase.FAILED,
        reason=Reason.PAYMENT_FAILED,
        message=message,
        session=session,
        paid=_DECLINED,
        notified=notified,
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
        paid=(ConditionStatus.UNKNOWN, refusal.reason, refusal.message),
    )


def handed_over(  # noqa: PLR0913, PLR0917 - all that a try consists of
    request: FulfillmentRequest,
    session: CheckoutSession,
    outcome: Outcome,
    backend: str,
    retries: Retries,
    now: datetime,
) -> Status:
    """The order was handed to the backend, which answered `outcome`."""
    before = request.status.fulfillment if request.status else None
    started = before.started_at if before else now
    this = Fulfillment(backend=backend, attempts=(before.attempts if before else 0) + 1, started_at=started)
    phase, reason = Phase.FAILED, Reason.FULFILLMENT_FAILED
    match outcome:
        case Done(reference):
            phase, reason = Phase.FULFILLED, Reason.FULFILLED
            message = f"the backend {backend} fulfilled the order" + (f" as {reference}" if reference else "")
            this = replace(this, completed_at=now, reference=reference)
        case InProgress(message, reference) if now < started + retries.deadline:
            phase, reason = Phase.FULFILLING, Reason.HANDED_OVER
            # It is asked again and again, and each answer is no news.
            this = replace(this, attempts=max(1, before.attempts if before else 0), reference=reference)
        case InProgress(message):
            message = f"{message}; it did not come to an end until the deadline, so a person is needed"
            this = replace(this, attempts=max(1, before.attempts if before else 0), last_error=message[:1024])
        case TryAgain(error, after) if now < started + retries.deadline:
            phase, reason = Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE
            message = f"{error}; it is tried again"
            next_attempt = min(now + max(retries.delay, after or retries.delay), started + retries.deadline)
            this = replace(this, last_error=error, next_attempt_at=next_attempt)
        case TryAgain(error):
            message = f"{error}; {this.attempts} tries failed until the deadline, so a person is needed"
            this = replace(this, last_error=error)
        case Refused(error):
            message = f"{error}: a person is needed"
            this = replace(this, last_error=error)
        case _:
            assert_never(outcome)
    return _status(
        request,
        now,
        phase=phase,
        reason=reason,
        message=message,
        session=session,
        paid=_FREE if session.payment is SessionPayment.NO_PAYMENT_REQUIRED else _PAID,
        fulfillment=this,
    )


def stripe_trouble(request: FulfillmentRequest, reason: Reason, message: str, now: datetime) -> Status:
    """Stripe cannot be asked, so nothing is known yet: the hint of the event tells which phase is shown."""
    hinted_paid = request.spec.payment.status in {PaymentStatus.PAID, PaymentStatus.NO_PAYMENT_REQUIRED}
    return _status(
        request,
        now,
        phase=Phase.FULFILLING if hinted_paid else Phase.AWAITING_PAYMENT,
        reason=reason,
        message=message,
        session=None,
        paid=(ConditionStatus.UNKNOWN, reason, message),
    )


_Aspect = tuple[ConditionStatus, Reason, str]


def _status(  # noqa: PLR0913 - a status has these parts
    request: FulfillmentRequest,
    now: datetime,
    *,
    phase: Phase,
    reason: Reason,
    message: str,
    session: CheckoutSession | None,
    paid: _Aspect,
    notified: _Aspect | None = None,
    fulfillment: Fulfillment | None = None,
) -> Status:
    before = request.status
    aspects: dict[ConditionType, _Aspect] = {
        ConditionType.PAID: paid,
        ConditionType.FULFILLED: (_truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.READY: (_truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.STALLED: (_truth(phase is Phase.FAILED), reason, message),
    }
    if notified is not None:
        aspects[ConditionType.CUSTOMER_NOTIFIED] = notified
    order = Order(line_items=list(session.line_items), amount=session.amount) if session else None
    return Status(
        phase=phase,
        reason=reason,
        message=message,
        observed_generation=request.metadata.generation,
        conditions=_conditions(before, aspects, request.metadata.generation, now),
        order=order or (before.order if before else None),
        fulfillment=fulfillment or (before.fulfillment if before else None),
    )


def _truth(holds: bool) -> ConditionStatus:  # noqa: FBT001 - the fact itself
    return ConditionStatus.TRUE if holds else ConditionStatus.FALSE


def _conditions(
    before: Status | None, aspects: dict[ConditionType, _Aspect], generation: int, now: datetime
) -> list[Condition]:
    """Merge what is decided into what stands: an aspect not spoken of stays, a status unchanged keeps its time."""
    merged: dict[str, Condition] = {each.type: each for each in _standing(before)}
    for kind, (status, reason, message) in aspects.items():
        old = merged.get(kind)
        merged[kind] = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=old.last_transition_time if old and old.status is status else now,
            observed_generation=generation,
        )
    return list(merged.values())


def _standing(before: Status | None) -> Iterable[Condition]:
    return before.conditions if before else ()
