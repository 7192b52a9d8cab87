"""Executes the next step of one request: asks Stripe, its backend or the mail server, and writes what came of it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import TypeAlias, assert_never

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Fulfillment, Phase, Reason, Status
from fulfillment_operator.backends.outcome import Done, Rejected, TryAgain
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.deleted_unfinished import tell_deleted_unfinished
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.paid_order import idempotency_key, paid_order
from fulfillment_operator.controller.status_writer import StatusWriter
from fulfillment_operator.mail.interface import CustomerMail, MailOutcome
from fulfillment_operator.metrics import ErrorKind, MailKind, OperatorMetrics, stripe_error_kind
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.customer_mail import give_up_in_time
from fulfillment_operator.policy.decide import (
    AwaitPayment,
    Decision,
    EndEmpty,
    Fail,
    FailPayment,
    Fulfill,
    Reverse,
    decide,
    stays_failed,
)
from fulfillment_operator.policy.manual_actions import Complete, MarkFailed, latest_retry
from fulfillment_operator.policy.next_step import (
    Action,
    AdoptStatus,
    EndManually,
    RequeueState,
    RetrieveSession,
    ShowInputConditions,
    ShowPaused,
    ShowRestored,
    WaitForKey,
    awaits_stripe,
    is_mail_due,
    next_recheck,
)
from fulfillment_operator.policy.reversals import (
    ReversalChange,
    is_notice_due,
    retry_lag,
    reversal_change,
    settled_problem,
    swept_problem,
    unknown_change,
    with_reversals,
)
from fulfillment_operator.policy.transition import Attempt, Retries
from fulfillment_runtime.backoff import Backoff
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.stripe.client import StripeError, StripeMisconfiguredError, StripeUnavailableError

_log = structlog.get_logger(__name__)


@unique
class Standing(Enum):
    """What became of an object while Stripe was asked about it."""

    STANDS = "stands"
    GONE = "gone"
    """It is deleted, made anew, or about to be deleted."""
    SUPERSEDED = "superseded"
    """A person has since asked to hold or to end it, or it does not decode any more."""


Stands: TypeAlias = Callable[[], Awaitable[Standing]]
"""Tells what became of the object that is reconciled; raises KubernetesError if that is not known."""

# A blip of Stripe's leaves no trace on an order; what lasts longer is shown.
_FAILURES_BEFORE_SHOWN = 3
_REVERSIBLE = {Phase.FULFILLING, Phase.FAILED}
"""Phases in which Stripe is asked again whose answer lags an event about a refund; of the others another one asks."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often things are tried again."""

    recheck: timedelta
    """Between two checks of an order that waits: for its payment, or for a backend that has it."""
    backend: Backoff
    """Between two tries of the backend."""
    backend_deadline: timedelta
    """From the first try of the backend to the last."""
    errors: Backoff
    """Between two reconciles that Stripe or the API server kept from their end."""
    mail: Backoff
    """Between two tries of a mail that the mail server put off."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile led to."""

    request: FulfillmentRequest | None
    """The request as it now stands; None when it is gone."""
    retry_after: timedelta | None = None
    """When to try again what something outside kept from its end; None: nothing did."""
    check_after: timedelta | None = None
    """When to ask a backend that is still at work."""

    def requeue_state(self, failures: int, now: datetime) -> RequeueState:
        """Return what is remembered of it.

        Args:
            failures: how many reconciles in a row were kept from their end before this one.
            now: the time, with its zone.
        """
        return RequeueState(
            reconciled_at=now,
            resource_version=self.request.metadata.resource_version if self.request else "",
            retry_at=now + self.retry_after if self.retry_after is not None else None,
            check_at=now + self.check_after if self.check_after is not None else None,
            failures=failures + 1 if self.retry_after is not None else 0,
        )


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a decision led to."""

    status: Status
    check_after: timedelta | None = None
    """When to ask a backend that is still at work."""
    retry_after: timedelta | None = None
    """When to try again what something outside kept from its end."""


class Reconciler:
    """Brings one request a step further."""

    def __init__(  # noqa: PLR0913 - the four outside systems, and what makes it exact
        self,
        *,
        stripe: StripeApi,
        dispatcher: Dispatcher,
        mail: CustomerMail,
        writer: StatusWriter,
        retry_policy: RetryPolicy,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
    ) -> None:
        """Make a reconciler.

        Args:
            stripe: tells what an order is.
            dispatcher: hands it to its backend.
            mail: tells the customer when the payment failed.
            writer: writes what became of it.
            retry_policy: how often things are tried again.
            clock: tells the time, with its zone, in whole seconds.
            metrics: counts.
        """
        self._stripe = stripe
        self._dispatcher = dispatcher
        self._mail = mail
        self._writer = writer
        self._retry_policy = retry_policy
        self._clock = clock
        self._metrics = metrics

    async def reconcile(self, request: FulfillmentRequest, action: Action, failures: int, stands: Stands) -> Result:
        """Execute what `next_step` says.

        Args:
            request: the object as it stands in the cluster.
            action: its next step.
            failures: how many reconciles in a row were kept from their end before this one.
            stands: tells, when Stripe has answered, whether the object still is there: else nothing may be done for it.
        """
        with self._metrics.reconcile_seconds.time():
            match action:
                case AdoptStatus(status) | ShowInputConditions(status):
                    return await self._write(request, status)
                case EndManually(end):
                    return await self._end_manually(request, end, failures)
                case ShowPaused(pause):
                    return await self._write(request, transition.paused(request, pause, self._clock()))
                case ShowRestored():
                    return await self._write(request, transition.restored(request, self._clock()))
                case Fail():
                    return await self._write(request, transition.failed(request, action, self._clock()))
                case WaitForKey(message):
                    return await self._wait_for_stripe(request, StripeMisconfiguredError(message), failures)
                case RetrieveSession():
                    return await self._go_by_session(request, failures, stands)
                case _:
                    assert_never(action)

    async def _end_manually(self, request: FulfillmentRequest, end: Complete | MarkFailed, failures: int) -> Result:
        """End it as a person says, once every backend leaves off."""
        problem = await self._dispatcher.stop(idempotency_key(request), request.metadata.uid)
        if problem is not None:
            return Result(request, retry_after=self._schedule_stop(problem, failures))
        is_anonymous = isinstance(end, Complete) and request.payment_intent is None
        session = await self._session_if_told(request) if is_anonymous else None
        return await self._write(request, transition.manually_ended(request, end, self._clock(), session))

    async def _session_if_told(self, request: FulfillmentRequest) -> CheckoutSession | None:
        """Ask Stripe, so that a later refund finds the order by its PaymentIntent; a person waits for no answer."""
        try:
            return await self._stripe.retrieve_for(request)
        except (StripeError, SessionUnreadableError) as error:
            _log.warning("reconcile.payment_intent_unknown", message=str(error))
            return None

    async def _go_by_session(self, request: FulfillmentRequest, failures: int, stands: Stands) -> Result:
        try:
            with self._metrics.stripe_seconds.time():
                session = await self._stripe.retrieve_for(request)
        except StripeError as error:
            return await self._wait_for_stripe(request, error, failures)
        except SessionUnreadableError as error:
            return await self._fail_unreadable(request, error, failures)
        try:
            match await stands():
                case Standing.GONE:
                    tell_deleted_unfinished(request.metadata.name, request.spec.session.id, self._metrics)
                    return Result(None)
                case Standing.SUPERSEDED:
                    return Result(request)
        except KubernetesError as error:
            delay = self._backoff(failures)
            self._metrics.errors.labels(ErrorKind.KUBERNETES).inc()
            _log.warning("reconcile.not_known_to_stand", message=str(error), again_after=delay.total_seconds())
            return Result(request, retry_after=delay)
        async with AsyncExitStack() as noted:
            now = self._clock()
            taken = await self._take(decide(request, session, now), request, failures, noted)
            if is_mail_due(taken.status):
                taken = replace(taken, retry_after=self._retry_policy.mail.delay(failures + 1))
            if is_notice_due(taken.status):
                again = self._retry_policy.backend.delay(failures + 1)
                soonest = min(taken.retry_after or again, taken.check_after or again)
                taken = replace(taken, retry_after=soonest, check_after=None)
            if session is not None and taken.status.phase in _REVERSIBLE:
                taken = self._asked_again_if_stripe_lags(taken, request, session, now)
            result = await self._write(request, taken.status)
        return replace(result, retry_after=taken.retry_after, check_after=taken.check_after)

    @staticmethod
    def _asked_again_if_stripe_lags(
        taken: _Taken, request: FulfillmentRequest, session: CheckoutSession, now: datetime
    ) -> _Taken:
        """Leave what an event said of a refund or a dispute unobserved, while Stripe's answer does not show it yet."""
        if not reversal_change(request, session, now).lags:
            return taken
        planned = taken.status.fulfillment.next_attempt_at if taken.status.fulfillment else None
        later = [retry_lag(request, now), taken.retry_after or timedelta(0), (planned or now) - now]
        status = transition.with_spec_unobserved(taken.status) if taken.status is not request.status else taken.status
        return replace(taken, status=status, retry_after=max(later))

    def _schedule_stop(self, busy: TryAgain, failures: int) -> timedelta:
        """Count and log that a backend cannot leave off, and return when it is asked again."""
        delay = self._backoff(failures, busy.after)
        self._metrics.errors.labels(ErrorKind.BACKEND_NOT_STOPPED).inc()
        _log.warning("reconcile.not_stopped", message=busy.error, again_after=delay.total_seconds())
        return delay

    async def _fail_unreadable(
        self, request: FulfillmentRequest, error: SessionUnreadableError, failures: int
    ) -> Result:
        """End it for a person: this one order cannot be judged, and asking again did not help.

        Not while a backend has it, which may be done at any time; nor what failed for another reason, that stays.
        """
        self._metrics.errors.labels(ErrorKind.SESSION_UNREADABLE).inc()
        if failures + 1 < _FAILURES_BEFORE_SHOWN or self._is_with_backend(request):
            delay = self._backoff(failures)
            _log.warning("reconcile.session_unreadable", message=str(error), again_after=delay.total_seconds())
            return Result(request, retry_after=delay)
        now = self._clock()
        if request.status is not None and stays_failed(request):
            change = unknown_change(request, Reason.SESSION_UNREADABLE, str(error))
            return await self._write(request, with_reversals(request, request.status, change, now))
        message = f"{error}: see what was sold in the Stripe Dashboard, then complete or fail the order yourself"
        return await self._write(request, transition.failed(request, Fail(Reason.SESSION_UNREADABLE, message), now))

    def _is_with_backend(self, request: FulfillmentRequest) -> bool:
        """Tell whether a backend works on the order, and its time is not up."""
        tries = request.status.fulfillment if request.status and request.status.phase is Phase.FULFILLING else None
        if tries is None or tries.accepted_at is None or request.is_retry_requested:
            return False
        return self._clock() < tries.started_at + self._retry_policy.backend_deadline

    async def _wait_for_stripe(self, request: FulfillmentRequest, error: StripeError, failures: int) -> Result:
        reason, after = Reason.STRIPE_MISCONFIGURED, None
        if isinstance(error, StripeUnavailableError):
            reason, after = Reason.STRIPE_UNAVAILABLE, error.after
        self._metrics.errors.labels(stripe_error_kind(error)).inc()
        delay = self._backoff(failures, after)
        _log.warning(
            "reconcile.stripe_error", message=str(error), failures=failures + 1, again_after=delay.total_seconds()
        )
        lasts = failures + 1 >= _FAILURES_BEFORE_SHOWN or reason is Reason.STRIPE_MISCONFIGURED
        if lasts and awaits_stripe(request):
            status = transition.stripe_error(request, reason, str(error), self._clock())
            return replace(await self._write(request, status), retry_after=delay)
        return Result(request, retry_after=delay)

    def _backoff(self, failures: int, asked: timedelta | None = None) -> timedelta:
        return max(self._retry_policy.errors.delay(failures + 1), asked or timedelta(0))

    async def _take(
        self, decision: Decision, request: FulfillmentRequest, failures: int, noted: AsyncExitStack
    ) -> _Taken:
        match decision:
            case AwaitPayment(session, state, overdue):
                return _Taken(transition.awaiting_payment(request, session, state, self._clock(), overdue=overdue))
            case FailPayment(session, notify):
                mail = await self._mail_payment_failed(request, session, noted) if notify else None
                return _Taken(transition.payment_failed(request, session, mail, self._clock()))
            case EndEmpty(session):
                return _Taken(transition.ended_empty(request, session, self._clock()))
            case Fail():
                return _Taken(transition.failed(request, decision, self._clock()))
            case Reverse():
                return await self._reverse(request, decision, failures)
            case Fulfill(session):
                return await self._fulfill(request, session, failures, noted)
            case _:
                assert_never(decision)

    async def _mail_payment_failed(
        self, request: FulfillmentRequest, session: CheckoutSession, noted: AsyncExitStack
    ) -> MailOutcome:
        outcome = await self._mail.send_payment_failed(idempotency_key(request), session, noted)
        return self._counted(MailKind.PAYMENT_FAILED, give_up_in_time(request.status, outcome, self._clock()))

    async def _mail_receipt(
        self, request: FulfillmentRequest, session: CheckoutSession, noted: AsyncExitStack
    ) -> MailOutcome | None:
        outcome = await self._mail.send_receipt(idempotency_key(request), session, noted)
        return self._counted(MailKind.RECEIPT, outcome) if outcome else None

    def _counted(self, mail: MailKind, outcome: MailOutcome) -> MailOutcome:
        self._metrics.mails.labels(mail, outcome.reason).inc()
        _log.info("reconcile.customer_mail", mail=mail, reason=outcome.reason, message=outcome.message)
        return outcome

    async def _fulfill(
        self, request: FulfillmentRequest, session: CheckoutSession, failures: int, noted: AsyncExitStack
    ) -> _Taken:
        before = transition.tries_before(request)
        change = reversal_change(request, session, self._clock())
        unaware = await self._notify(request, session, change)  # and go on: what is given back in part stops nothing
        order = paid_order(request, session, before)
        backend = self._dispatcher.choose(order, before)
        if isinstance(backend, Fail):
            return _Taken(transition.failed(request, backend, self._clock(), change.answered(unaware)))
        busy = await self._former_backend_busy(request, backend.name, before)
        outcome = busy or await self._dispatcher.fulfill(backend, order)
        receipt: MailOutcome | None = None
        if isinstance(outcome, Done):
            receipt = await self._mail_receipt(request, session, noted)
            unaware = swept_problem(request, unaware)
        attempt = Attempt(session, outcome, backend.name, receipt, change.answered(unaware))
        return self._dispatched(request, attempt, failures)

    async def _notify(
        self, request: FulfillmentRequest, session: CheckoutSession, change: ReversalChange
    ) -> TryAgain | Rejected | None:
        """Notify the backend that has, or had, the order; None: it knows, or none has it.

        Once its deadline is over, it is not tried any more.
        """
        former = request.status.fulfillment if request.status else None
        if former is None:
            return None
        order = paid_order(request, session, former)
        unaware = await self._dispatcher.notify(former, order, change.notices)
        return settled_problem(request, unaware, self._retry_policy.backend_deadline, self._clock())

    async def _former_backend_busy(
        self, request: FulfillmentRequest, backend: str, before: Fulfillment | None
    ) -> TryAgain | None:
        """Let another backend end its work, which had the order before a person asked for a retry that goes elsewhere.

        At each attempt until this one has it: status no longer tells which one had it before.
        """
        if not latest_retry(request) or (before is not None and before.accepted_at is not None):
            return None
        return await self._dispatcher.free_for(backend, idempotency_key(request), request.metadata.uid)

    async def _reverse(self, request: FulfillmentRequest, reverse: Reverse, failures: int) -> _Taken:
        """Notify the backend that has it; it may have been done before that, and then the order is fulfilled."""
        status, session, fail = request.status, reverse.session, reverse.fail
        before = status.fulfillment if status else None
        if status is None or before is None:  # nobody has it, as far as was noted
            ended = transition.failed(request, fail, self._clock())
            busy = await self._dispatcher.stop(idempotency_key(request), request.metadata.uid)
            if busy is None:
                return _Taken(ended)
            return _Taken(transition.with_spec_unobserved(ended), retry_after=self._schedule_stop(busy, failures))
        unaware = await self._notify(request, session, reverse.change)
        change = reverse.change.answered(unaware)
        order = paid_order(request, session, before)
        backend = self._dispatcher.backends.get(before.backend) if order.in_progress else None
        outcome = await self._dispatcher.fulfill(backend, order) if backend is not None else None
        if isinstance(outcome, Done):
            change = reverse.change.answered(swept_problem(request, unaware))
            attempt = Attempt(session, outcome, before.backend, reversal=change)
            return self._dispatched(request, attempt, failures)
        if isinstance(unaware, TryAgain):
            waiting, after = f"the backend does not know: {unaware.error}", unaware.after
        elif isinstance(outcome, TryAgain):
            waiting, after = f"whether the backend was done before that is not known: {outcome.error}", outcome.after
        else:
            if unaware is not None and unaware.error not in fail.message:  # as it does of one that failed before
                fail = replace(fail, message=f"{fail.message}; the backend does not know: {unaware.error}")
            return _Taken(transition.failed(request, fail, self._clock(), change))
        _log.warning("reconcile.reversal_waits", message=waiting)
        now, deadline = self._clock(), before.started_at + self._retry_policy.backend_deadline
        if status.phase is Phase.FULFILLING and now < deadline:
            again = TryAgain(f"{fail.message}, and {waiting}", after)
            waits = Attempt(session, again, before.backend, reversal=change)
            return self._dispatched(request, waits, failures)
        ended = transition.failed(request, fail, now, change)
        if isinstance(outcome, TryAgain) and now < deadline:  # else the notice alone is tried again
            ended = transition.with_spec_unobserved(ended)
            return _Taken(ended, retry_after=self._backoff(failures, after))
        return _Taken(ended)

    def _dispatched(self, request: FulfillmentRequest, attempt: Attempt, failures: int) -> _Taken:
        before, now, policy = transition.tries_before(request), self._clock(), self._retry_policy
        is_taken = before is not None and before.accepted_at is not None
        # To ask how it goes is no attempt, so the status does not count how often that failed.
        tries = failures if is_taken else before.attempts if before else 0
        retries = Retries(delay=policy.backend.delay(tries + 1), deadline=policy.backend_deadline)
        status = transition.dispatched(request, attempt, retries, now)
        planned = status.fulfillment.next_attempt_at if status.fulfillment else None
        recheck_at = next_recheck(request, now, policy.recheck)
        return _Taken(
            status,
            check_after=transition.check_after(status, attempt.outcome, retries, recheck_at, now),
            retry_after=planned - now if planned is not None and is_taken else None,
        )

    async def _write(self, request: FulfillmentRequest, status: Status) -> Result:
        """Write the status if it says something new."""
        return Result(await self._writer.write(request, status) if status != request.status else request)
