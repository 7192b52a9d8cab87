"""The status that follows from a step and what came of it. Pure: nothing is written here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from msgspec.structs import replace

from fulfillment_api.bounds import LONGEST_MESSAGE, LONGEST_REFERENCE
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import (
    ConditionStatus,
    ConditionType,
    Fulfillment,
    LastHandled,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_operator.backends.outcome import (
    Done,
    InProgress,
    Outcome,
    Rejected,
    TryAgain,
    truncated,
)
from fulfillment_operator.checkout.session import CheckoutSession, SessionPayment
from fulfillment_operator.mail.interface import TRIED_AGAIN, MailOutcome
from fulfillment_operator.policy.conditions import ConditionUpdate, merged, of_generation, truth
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.manual_actions import (
    Complete,
    MarkFailed,
    Pause,
    handled_before,
    handled_by_ending,
    handled_by_reconcile,
    handled_by_restore,
    repeats_failure,
)
from fulfillment_operator.policy.notices import notices_left_off
from fulfillment_operator.policy.payment_state import PaymentState, awaited, payment_condition, payment_state
from fulfillment_operator.policy.reversals import ReversalChange, reversal_change

MANUALLY = "manually"
"""Stands for the backend of an order that no backend had, and that a person completed."""

_FAILED_WHEN_PAID = {
    Reason.NO_ROUTE,
    Reason.FULFILLMENT_FAILED,
    Reason.REFUNDED,
    Reason.REFUND_FAILED,
    Reason.DISPUTED,
    Reason.DISPUTE_LOST,
    Reason.DISPUTE_WON,
    Reason.DISPUTE_PREVENTED,
}
_WITH_BACKEND = {Phase.FULFILLING, Phase.FULFILLED}


@dataclass(frozen=True, slots=True)
class Retries:
    """When a backend's passing fault is tried again, and until when."""

    delay: timedelta
    """From now to the next try, jitter included."""
    deadline: timedelta
    """From the first try to the last."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try of the backend, and what came of it."""

    session: CheckoutSession
    outcome: Outcome
    backend: str
    receipt: MailOutcome | None = None
    """What came of the mail about it."""
    reversal: ReversalChange | None = None
    """What is new of refunds and disputes."""
    asked_at: datetime | None = None
    """When the backend was asked; None: just now. Before the deadline it did not leave off, so the order goes on."""
    is_dispatch: bool = True
    """Whether the backend was asked for the order at all: something else may have to be waited for first."""


def awaiting_payment(
    request: FulfillmentRequest, session: CheckoutSession, state: PaymentState, now: datetime, *, overdue: bool = False
) -> Status:
    """The payment is awaited; `overdue` when a person must look at it."""
    reason, message = awaited(session, state, overdue=overdue)
    return _status(
        request,
        now,
        phase=Phase.AWAITING_PAYMENT,
        reason=reason,
        message=message,
        session=session,
        paid=payment_condition(session, state),
    )


def payment_failed(
    request: FulfillmentRequest, session: CheckoutSession, mail: MailOutcome | None, now: datetime
) -> Status:
    """The payment failed; `mail` is what came of telling the customer, None when that was settled before."""
    notified = mail or (request.status and request.status.condition(ConditionType.CUSTOMER_NOTIFIED))
    return _status(
        request,
        now,
        phase=Phase.FAILED,
        reason=Reason.PAYMENT_FAILED,
        message=f"the payment failed; {notified.message}" if notified else "the payment failed",
        session=session,
        paid=payment_condition(session, PaymentState.FAILED),
        mail=mail,
    )


def ended_empty(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> Status:
    """Nothing was sold, so nothing is left to fulfill."""
    message = "the Session saved a payment method, and sold nothing"
    return _status(
        request,
        now,
        phase=Phase.FULFILLED,
        reason=Reason.NOTHING_TO_FULFILL,
        message=message,
        session=session,
        paid=(ConditionStatus.TRUE, Reason.NO_PAYMENT_REQUIRED, message),
    )


def failed(request: FulfillmentRequest, fail: Fail, now: datetime, reversal: ReversalChange | None = None) -> Status:
    """The order cannot be fulfilled at all; `reversal` is what is new of refunds and disputes, once it was told."""
    if reversal is None and fail.session is not None:
        reversal = reversal_change(request, fail.session, now)
    return _status(
        request,
        now,
        phase=Phase.FAILED,
        reason=fail.reason,
        message=fail.message,
        session=fail.session,
        paid=_paid_when_failed(fail),
        reversal=reversal,
    )


def dispatched(request: FulfillmentRequest, attempt: Attempt, retries: Retries, now: datetime) -> Status:
    """The order was dispatched to its backend, or that was asked how it goes."""
    before = tries_before(request)
    this = Fulfillment(
        backend=attempt.backend,
        attempts=_attempts(before, attempt),
        started_at=before.started_at if before else now,
        accepted_at=before.accepted_at if before else None,  # a late word, after the deadline, is still of this try
        reference=before.reference if before else None,
    )
    phase, reason, message, this = _progress(this, attempt, retries, now)
    return _status(
        request,
        now,
        phase=phase,
        reason=reason,
        message=message,
        session=attempt.session,
        paid=_paid_by(attempt.session),
        mail=attempt.receipt,
        reversal=attempt.reversal,
        fulfillment=this,
    )


def _progress(
    this: Fulfillment, attempt: Attempt, retries: Retries, now: datetime
) -> tuple[Phase, Reason, str, Fulfillment]:
    """Tell where the order stands after a backend's answer, why, in a sentence, and what the backend did so far."""
    deadline = this.started_at + retries.deadline
    in_time = (attempt.asked_at or now) < deadline
    match truncated(attempt.outcome):
        case Done(reference):
            message = f"the backend {this.backend} fulfilled the order" + (f" as {reference}" if reference else "")
            done = replace(this, completed_at=now, reference=reference or this.reference)
            return Phase.FULFILLED, Reason.FULFILLED, message, done
        case InProgress(message, reference) if in_time:
            taken = replace(this, reference=reference or this.reference, accepted_at=this.accepted_at or now)
            return Phase.FULFILLING, Reason.DISPATCHED, message, taken
        case TryAgain(error, after) if in_time:
            pause = min(max(retries.delay, after or retries.delay), max(deadline - now, timedelta(0)))
            again = replace(this, last_error=error, next_attempt_at=now + pause)
            return Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, f"{error}; it is tried again", again
        case InProgress(message):
            error = message = f"{message}; it did not come to an end until the deadline, so a person is needed"
        case TryAgain(error):
            message = f"{error}; {this.attempts} attempts failed until the deadline, so a person is needed"
        case Rejected(error):
            message = f"{error}: a person is needed"
        case never:
            assert_never(never)
    return Phase.FAILED, Reason.FULFILLMENT_FAILED, message, replace(this, last_error=error[:LONGEST_MESSAGE])


def check_after(
    status: Status, outcome: Outcome, retries: Retries, recheck_at: datetime, now: datetime
) -> timedelta | None:
    """Tell when a backend that works on the order is asked again; None: it does not.

    Args:
        status: what followed from its answer.
        outcome: its answer.
        retries: until when it is asked.
        recheck_at: when the order is checked in any case.
        now: the time, with its zone.
    """
    if not isinstance(outcome, InProgress) or status.reason != Reason.DISPATCHED or status.fulfillment is None:
        return None
    left = status.fulfillment.started_at + retries.deadline - now
    return min(outcome.check_after or left, recheck_at - now, left)


def _paid_by(session: CheckoutSession) -> ConditionUpdate:
    is_free = session.payment is SessionPayment.NO_PAYMENT_REQUIRED
    return payment_condition(session, PaymentState.NOTHING_DUE if is_free else PaymentState.PAID)


def _paid_when_failed(fail: Fail) -> ConditionUpdate:
    if fail.session is not None and fail.reason in _FAILED_WHEN_PAID:
        return _paid_by(fail.session)
    is_known = fail.reason in {Reason.PAYMENT_CANCELED, Reason.SESSION_EXPIRED}
    return ConditionStatus.FALSE if is_known else ConditionStatus.UNKNOWN, fail.reason, fail.message


def _attempts(before: Fulfillment | None, attempt: Attempt) -> int:
    """Count how often the order was dispatched to the backend: asking how it goes does not count."""
    is_taken = before is not None and before.accepted_at is not None
    return (before.attempts if before else 0) + (attempt.is_dispatch and not is_taken)


def tries_before(request: FulfillmentRequest) -> Fulfillment | None:
    """Return what the backend did so far; None when it did nothing, or a person asks to begin anew."""
    return request.status.fulfillment if request.status and not request.is_retry_requested else None


def paused(request: FulfillmentRequest, pause: Pause, now: datetime) -> Status:
    """A person holds the order."""
    hinted = Phase.FULFILLING if _is_hinted_paid(request) else Phase.AWAITING_PAYMENT
    return _status(
        request,
        now,
        phase=request.status.phase if request.status else hinted,
        reason=Reason.PAUSED,
        message=pause.message,
        session=None,
        paid=None if request.status else (ConditionStatus.UNKNOWN, Reason.PAUSED, "Stripe was not asked yet"),
        last_handled=handled_before(request),  # a retry is not: it begins once the order is resumed
    )


def restored(request: FulfillmentRequest, now: datetime) -> Status:
    """A backup brought the order back without its status."""
    return _status(
        request,
        now,
        phase=Phase.FULFILLING if _is_hinted_paid(request) else Phase.AWAITING_PAYMENT,
        reason=Reason.RESTORED,
        message="a backup brought the order back without its status, so nobody knows whether it was fulfilled, and it "
        "is held: complete it if it was, retry it if it was not",
        session=None,
        paid=(ConditionStatus.UNKNOWN, Reason.RESTORED, "Stripe was not asked since the order was restored"),
        last_handled=handled_by_restore(request),
    )


def manually_ended(
    request: FulfillmentRequest, end: Complete | MarkFailed, now: datetime, session: CheckoutSession | None = None
) -> Status:
    """A person says how the order ended; `session` where Stripe was asked which PaymentIntent it has."""
    before = request.status.fulfillment if request.status else None
    match end:
        case Complete(reference):
            phase, reason = Phase.FULFILLED, Reason.MANUALLY_COMPLETED
            message = f"{end.who} says that the order is fulfilled: {reference}"
            this = before or Fulfillment(backend=MANUALLY, attempts=0, started_at=now)
            fulfillment: Fulfillment | None = replace(
                this, completed_at=now, reference=reference[:LONGEST_REFERENCE], next_attempt_at=None
            )
        case MarkFailed(why):
            phase, reason = Phase.FAILED, Reason.MANUALLY_FAILED
            message = f"{end.who} says that the order is not to be fulfilled: {why}"
            if request.status is not None and repeats_failure(request, end):
                message = request.status.message
            fulfillment = before
        case _:
            assert_never(end)
    paid: ConditionUpdate | None = None
    if session is not None:
        paid = payment_condition(session, payment_state(request, session, now))
    elif request.status is None:
        paid = (ConditionStatus.UNKNOWN, reason, "Stripe was not asked")
    return _status(
        request,
        now,
        phase=phase,
        reason=reason,
        message=message,
        session=session,
        paid=paid,
        fulfillment=fulfillment,
        last_handled=handled_by_ending(request, end),
    )


def stripe_error(request: FulfillmentRequest, reason: Reason, message: str, now: datetime) -> Status:
    """Stripe cannot be asked, so nothing new is known: its last word and the event's hint tell which phase is shown."""
    shown = request.status.condition(ConditionType.PAID) if request.status else None
    is_known = shown is not None and shown.status is not ConditionStatus.UNKNOWN
    is_paid = shown is not None and shown.status is ConditionStatus.TRUE
    # Else an event says more than Stripe did.
    stays = is_known and (is_paid or request.spec.payment.status is PaymentStatus.UNPAID)
    is_fulfilling = _is_hinted_paid(request) or (request.status and request.status.phase is Phase.FULFILLING)
    return _status(
        request,
        now,
        phase=Phase.FULFILLING if is_fulfilling else Phase.AWAITING_PAYMENT,
        reason=reason,
        message=message,
        session=None,
        paid=None if stays else (ConditionStatus.UNKNOWN, reason, message),
        last_handled=handled_before(request),
    )


def with_spec_unobserved(status: Status) -> Status:
    """Let a status be of the spec before, so that what this one says is looked at again."""
    return of_generation(status, status.observed_generation - 1)


def _asked_for(request: FulfillmentRequest, session: CheckoutSession | None) -> str | None:
    """Return the PaymentIntent that Stripe was asked for, because no event named it: a refund names nothing else."""
    if request.spec.session.payment_intent is not None:
        return None
    known = request.status.payment_intent if request.status else None
    found = session.payment_intent.id if session and session.payment_intent else None
    return found or known


def _is_notified(mail: MailOutcome, phase: Phase) -> ConditionStatus:
    if mail.reason is Reason.MAIL_UNAVAILABLE and phase is Phase.FAILED:
        return ConditionStatus.UNKNOWN  # it is tried again, and since when, the condition's time tells
    return truth(mail.reason is Reason.MAIL_SENT)


def _mail_left_off(before: Status) -> dict[ConditionType, ConditionUpdate]:
    """Say of a mail that was put off that nothing tries it any more: the payment did not fail, after all."""
    shown = before.condition(ConditionType.CUSTOMER_NOTIFIED)
    if shown is None or shown.status is not ConditionStatus.UNKNOWN:
        return {}
    message = shown.message.removesuffix(TRIED_AGAIN)
    return {ConditionType.CUSTOMER_NOTIFIED: (ConditionStatus.FALSE, Reason.MAIL_UNAVAILABLE, message)}


def _is_hinted_paid(request: FulfillmentRequest) -> bool:
    return request.spec.payment.status.is_settled


def _status(  # noqa: PLR0913 - a status has these parts
    request: FulfillmentRequest,
    now: datetime,
    *,
    phase: Phase,
    reason: Reason,
    message: str,
    session: CheckoutSession | None,
    paid: ConditionUpdate | None,
    mail: MailOutcome | None = None,
    reversal: ReversalChange | None = None,
    fulfillment: Fulfillment | None = None,
    last_handled: LastHandled | None = None,
) -> Status:
    before = request.status
    handled = handled_by_reconcile(request) if last_handled is None else last_handled
    updates: dict[ConditionType, ConditionUpdate] = {  # in the order in which a person reads them
        **({ConditionType.PAID: paid} if paid is not None else {}),
        ConditionType.FULFILLED: (truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.READY: (truth(phase is Phase.FULFILLED), reason, message),
        ConditionType.STALLED: (truth(phase is Phase.FAILED or reason is Reason.RESTORED), reason, message),
        **(reversal.updates if reversal else {}),
    }
    if mail is not None:
        updates[ConditionType.CUSTOMER_NOTIFIED] = (_is_notified(mail, phase), mail.reason, mail.message)
    elif before is not None and reason is not Reason.PAYMENT_FAILED:
        updates |= _mail_left_off(before)
    reversals = (reversal.reversals if reversal else None) or (before.reversals if before else None)
    if reversals is not None and phase not in _WITH_BACKEND and reason not in _FAILED_WHEN_PAID:
        reversals = replace(reversals, untold=[])
        updates = {**notices_left_off(before), **updates}
    order = before.order if before else None
    if session is not None:
        order = Order(line_items=list(session.line_items), amount=session.amount, presentment=session.presentment)
    tries = fulfillment or (before.fulfillment if before else None)
    if tries is not None and phase is Phase.FAILED:
        tries = replace(tries, next_attempt_at=None)  # whatever was planned
    return Status(
        phase=phase,
        reason=reason,
        message=message,
        observed_generation=request.metadata.generation,
        conditions=merged(before, updates, request.metadata.generation, now),
        order=order,
        payment_intent=_asked_for(request, session),
        fulfillment=tries,
        reversals=reversals,
        last_handled=handled if handled != LastHandled() else None,
        manual=before.manual if before else None,
    )
