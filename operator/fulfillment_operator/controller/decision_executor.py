"""Carries out what is decided of a request: calls its backend or the mail server, and tells the status that follows."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Fulfillment, Phase, Status
from fulfillment_operator.backends.outcome import Done, TryAgain
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.controller.dispatcher import Dispatcher
from fulfillment_operator.controller.paid_order import idempotency_key, paid_order
from fulfillment_operator.controller.retry_policy import RetryPolicy
from fulfillment_operator.mail.interface import CustomerMail, MailOutcome
from fulfillment_operator.metrics import ErrorKind, MailKind, OperatorMetrics
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.customer_mail import give_up_in_time
from fulfillment_operator.policy.decide import AwaitPayment, Decision, EndEmpty, Fail, FailPayment, Fulfill, Reverse
from fulfillment_operator.policy.manual_actions import latest_retry
from fulfillment_operator.policy.next_step import is_mail_due, next_recheck
from fulfillment_operator.policy.notices import (
    Problems,
    first_to_retry,
    given_up_unless_swept,
    is_notice_due,
    with_problems,
)
from fulfillment_operator.policy.reversals import REASONS, reversal_change
from fulfillment_operator.policy.transition import Attempt, Retries

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a decision led to."""

    status: Status
    """That follows, and is not written yet."""
    check_after: timedelta | None = None
    """When to ask a backend that is still at work."""
    retry_after: timedelta | None = None
    """When to try again what something outside kept from its end."""
    notice_after: timedelta | None = None
    """How long a backend that did not take a notice asks to wait."""


class DecisionExecutor:
    """Carries out decisions."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        mail: CustomerMail,
        retry_policy: RetryPolicy,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
    ) -> None:
        """Make one.

        Args:
            dispatcher: hands an order to its backend.
            mail: tells the customer when the payment failed.
            retry_policy: how often things are tried again.
            clock: tells the time, with its zone, in whole seconds.
            metrics: counts.
        """
        self._dispatcher = dispatcher
        self._mail = mail
        self._policy = retry_policy
        self._clock = clock
        self._metrics = metrics

    async def execute(
        self, decision: Decision, request: FulfillmentRequest, failures: int, noted: AsyncExitStack
    ) -> Effect:
        """Carry out what is decided of a request.

        Args:
            decision: what `decide` says.
            request: the object as it stands in the cluster.
            failures: how many reconciles in a row were kept from their end before this one.
            noted: is left when the status that follows is written: a mail is held until then.
        """
        effect = await self._carry_out(decision, request, failures, noted)
        if is_mail_due(effect.status):
            effect = replace(effect, retry_after=self._policy.mail.delay(failures + 1))
        if is_notice_due(effect.status):
            again = self._policy.backend.delay(failures + 1)
            soonest = min(effect.retry_after or again, effect.check_after or again)
            # Whatever else is due sooner, the notice would go with it; but at its deadline the order is looked at.
            waits = max(soonest, min(effect.notice_after or soonest, self._left(effect.status)))
            effect = replace(effect, retry_after=waits, check_after=None)
        return effect

    def _left(self, status: Status) -> timedelta:
        """Tell how long a backend is tried from now on."""
        tries = status.fulfillment
        begun = tries.started_at if tries is not None and status.phase is Phase.FULFILLING else self._clock()
        return begun + self._policy.backend_deadline - self._clock()

    async def stop(self, request: FulfillmentRequest, failures: int) -> timedelta | None:
        """Let every backend leave off an order: whichever had it may still be at work.

        Args:
            request: the object as it stands in the cluster.
            failures: how many reconciles in a row were kept from their end before this one.

        Returns:
            When to ask again, if one of them cannot now; None: nothing is at work, or it is about to end.
        """
        problem = await self._dispatcher.stop(idempotency_key(request), request.metadata.uid)
        if problem is None:
            return None
        delay = self._policy.error_delay(failures, problem.after)
        self._metrics.errors.labels(ErrorKind.BACKEND_NOT_STOPPED).inc()
        _log.warning("reconcile.not_stopped", message=problem.error, again_after=delay.total_seconds())
        return delay

    async def _carry_out(
        self, decision: Decision, request: FulfillmentRequest, failures: int, noted: AsyncExitStack
    ) -> Effect:
        match decision:
            case AwaitPayment(session, state, overdue):
                return Effect(transition.awaiting_payment(request, session, state, self._clock(), overdue=overdue))
            case FailPayment(session, notify):
                mail = await self._mail_payment_failed(request, session, noted) if notify else None
                return Effect(transition.payment_failed(request, session, mail, self._clock()))
            case EndEmpty(session):
                return Effect(transition.ended_empty(request, session, self._clock()))
            case Fail():
                return Effect(transition.failed(request, decision, self._clock()))
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
    ) -> Effect:
        before = transition.tries_before(request)
        change = reversal_change(request, session, self._clock())
        # What is given back in part stops nothing, whether or not the backend knows.
        problems = await self._dispatcher.notify(request, session, change.notices)
        order = paid_order(request, session, before)
        backend = self._dispatcher.choose(order, before)
        if isinstance(backend, Fail):
            return Effect(transition.failed(request, backend, self._clock(), with_problems(change, problems)))
        asked_at = self._clock()
        busy = await self._former_backend_busy(request, backend.name, before)
        outcome = busy or await self._dispatcher.fulfill(backend, order)
        receipt: MailOutcome | None = None
        if isinstance(outcome, Done):
            receipt = await self._mail_receipt(request, session, noted)
            problems = given_up_unless_swept(request, problems)
        reversal = with_problems(change, problems)
        attempt = Attempt(session, outcome, backend.name, receipt, reversal, asked_at, is_dispatch=busy is None)
        return replace(self._dispatched(request, attempt, failures), notice_after=_asked_to_wait(problems))

    async def _former_backend_busy(
        self, request: FulfillmentRequest, backend: str, before: Fulfillment | None
    ) -> TryAgain | None:
        """Let another backend end its work, which had the order before a person asked for a retry that goes elsewhere.

        At each attempt until this one has it: status no longer tells which one had it before.
        """
        if not latest_retry(request) or (before is not None and before.accepted_at is not None):
            return None
        return await self._dispatcher.free_for(backend, idempotency_key(request), request.metadata.uid)

    async def _reverse(self, request: FulfillmentRequest, reverse: Reverse, failures: int) -> Effect:
        """Let the backend know that has it, or may have it, and end the order."""
        before = request.status.fulfillment if request.status else None
        if before is not None:
            problems = await self._dispatcher.notify(request, reverse.session, reverse.change.notices)
            effect = await self._end_reversed(request, reverse, before, problems, failures)
            return replace(effect, notice_after=_asked_to_wait(problems))
        ended = transition.failed(request, reverse.fail, self._clock())
        again_after = await self.stop(request, failures)  # nobody has it, as far as was noted
        if again_after is None:
            return Effect(ended)
        return Effect(transition.with_spec_unobserved(ended), retry_after=again_after)

    async def _end_reversed(
        self,
        request: FulfillmentRequest,
        reverse: Reverse,
        before: Fulfillment,
        problems: Problems,
        failures: int,
    ) -> Effect:
        """End it, once its backend knows; that may have been done before, and then the order is fulfilled."""
        session, fail, change = reverse.session, reverse.fail, with_problems(reverse.change, problems)
        order = paid_order(request, session, before)
        backend = self._dispatcher.backends.get(before.backend) if order.in_progress else None
        outcome = await self._dispatcher.fulfill(backend, order) if backend is not None else None
        if isinstance(outcome, Done):
            change = with_problems(reverse.change, given_up_unless_swept(request, problems))
            attempt = Attempt(session, outcome, before.backend, reversal=change)
            return self._dispatched(request, attempt, failures)
        away = first_to_retry(problems)
        if away is not None:
            waiting, after = f"the backend does not know: {away.error}", away.after
        elif isinstance(outcome, TryAgain):
            waiting, after = f"whether the backend was done before that is not known: {outcome.error}", outcome.after
        else:
            unaware = next((each for kind, each in problems.items() if REASONS[kind] is fail.reason), None)
            if unaware is not None and unaware.error not in fail.message:  # as it does of one that failed before
                fail = replace(fail, message=f"{fail.message}; the backend does not know: {unaware.error}")
            return Effect(transition.failed(request, fail, self._clock(), change))
        _log.warning("reconcile.reversal_waits", message=waiting)
        now, deadline = self._clock(), before.started_at + self._policy.backend_deadline
        is_fulfilling = request.status is not None and request.status.phase is Phase.FULFILLING
        if is_fulfilling and now < deadline:
            again = TryAgain(f"{fail.message}, and {waiting}", after)
            waits = Attempt(session, again, before.backend, reversal=change, is_dispatch=False)
            return self._dispatched(request, waits, failures)
        ended = transition.failed(request, fail, now, change)
        if isinstance(outcome, TryAgain) and now < deadline:  # else the notice alone is tried again
            ended = transition.with_spec_unobserved(ended)
            return Effect(ended, retry_after=self._policy.error_delay(failures, after))
        return Effect(ended)

    def _dispatched(self, request: FulfillmentRequest, attempt: Attempt, failures: int) -> Effect:
        before, now, policy = transition.tries_before(request), self._clock(), self._policy
        is_taken = before is not None and before.accepted_at is not None
        # The status does not count how often something else failed than to dispatch it, as to ask how it goes.
        is_counted = attempt.is_dispatch and not is_taken
        tries = (before.attempts if before else 0) if is_counted else failures
        retries = Retries(delay=policy.backend.delay(tries + 1), deadline=policy.backend_deadline)
        status = transition.dispatched(request, attempt, retries, now)
        planned = status.fulfillment.next_attempt_at if status.fulfillment else None
        recheck_at = next_recheck(request, now, policy.recheck)
        return Effect(
            status,
            check_after=transition.check_after(status, attempt.outcome, retries, recheck_at, now),
            retry_after=planned - now if planned is not None and not is_counted else None,
        )


def _asked_to_wait(problems: Problems) -> timedelta | None:
    away = first_to_retry(problems)
    return away.after if away is not None else None
