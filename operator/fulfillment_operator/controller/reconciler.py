"""Executes the next step of one request: asks Stripe, decides, lets that be carried out, and writes what came of it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import TypeAlias, assert_never

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.checkout.session_answer import SessionUnreadableError
from fulfillment_operator.checkout.stripe_api import StripeApi
from fulfillment_operator.controller.decision_executor import DecisionExecutor, Effect
from fulfillment_operator.controller.deleted_unfinished import tell_deleted_unfinished
from fulfillment_operator.controller.retry_policy import FAILURES_BEFORE_SHOWN, RetryPolicy
from fulfillment_operator.controller.status_writer import StatusWriter
from fulfillment_operator.metrics import ErrorKind, OperatorMetrics, stripe_error_kind
from fulfillment_operator.policy import transition
from fulfillment_operator.policy.customer_mail import give_up_at, mail_given_up
from fulfillment_operator.policy.decide import Fail, decide, stays_failed
from fulfillment_operator.policy.manual_actions import Complete, MarkFailed
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
)
from fulfillment_operator.policy.notices import is_notice_due, notified_until, without_untold
from fulfillment_operator.policy.reversals import retry_lag, reversal_change, unknown_change, with_reversals
from fulfillment_runtime.kubernetes.errors import KubernetesError
from fulfillment_runtime.stripe.client import (
    StripeError,
    StripeMisconfiguredError,
    StripeUnavailableError,
    without_request_id,
)

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

_REVERSIBLE = {Phase.FULFILLING, Phase.FAILED}
"""Phases in which Stripe is asked again whose answer lags an event about a refund; of the others another one asks."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconcile led to."""

    request: FulfillmentRequest | None
    """The request as it now stands; None when it is gone."""
    retry_after: timedelta | None = None
    """When to try again what something outside kept from its end; None: nothing did."""
    check_after: timedelta | None = None
    """When to ask a backend that is still at work."""
    is_unreadable: bool = False
    """Whether Stripe's answer could not be read."""

    def requeue_state(self, before: RequeueState, now: datetime) -> RequeueState:
        """Return what is remembered of it.

        Args:
            before: what was remembered of the reconciles before this one.
            now: the time, with its zone.
        """
        return RequeueState(
            reconciled_at=now,
            resource_version=self.request.metadata.resource_version if self.request else "",
            retry_at=now + self.retry_after if self.retry_after is not None else None,
            check_at=now + self.check_after if self.check_after is not None else None,
            failures=before.failures + 1 if self.retry_after is not None else 0,
            unreadable=before.unreadable + 1 if self.is_unreadable else 0,
        )


class Reconciler:
    """Brings one request a step further."""

    def __init__(  # noqa: PLR0913 - what it asks, acts by and writes to, and what makes it exact
        self,
        *,
        stripe: StripeApi,
        executor: DecisionExecutor,
        writer: StatusWriter,
        retry_policy: RetryPolicy,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
    ) -> None:
        """Make a reconciler.

        Args:
            stripe: tells what an order is.
            executor: carries out what is decided of it.
            writer: writes what became of it.
            retry_policy: how often things are tried again.
            clock: tells the time, with its zone, in whole seconds.
            metrics: counts.
        """
        self._stripe = stripe
        self._executor = executor
        self._writer = writer
        self._retry_policy = retry_policy
        self._clock = clock
        self._metrics = metrics

    async def reconcile(
        self, request: FulfillmentRequest, action: Action, before: RequeueState, stands: Stands
    ) -> Result:
        """Execute what `next_step` says.

        Args:
            request: the object as it stands in the cluster.
            action: its next step.
            before: what is remembered of the reconciles before this one.
            stands: tells, when Stripe has answered, whether the object still is there: else nothing may be done for it.
        """
        with self._metrics.reconcile_seconds.time():
            match action:
                case AdoptStatus(status) | ShowInputConditions(status):
                    return await self._write(request, status)
                case EndManually(end):
                    return await self._end_manually(request, end, before.failures)
                case ShowPaused(pause):
                    return await self._write(request, transition.paused(request, pause, self._clock()))
                case ShowRestored():
                    return await self._write(request, transition.restored(request, self._clock()))
                case Fail():
                    return await self._write(request, transition.failed(request, action, self._clock()))
                case WaitForKey(message):
                    return await self._wait_for_stripe(request, StripeMisconfiguredError(message), before.failures)
                case RetrieveSession():
                    return await self._go_by_session(request, before, stands)
                case _:
                    assert_never(action)

    async def _end_manually(self, request: FulfillmentRequest, end: Complete | MarkFailed, failures: int) -> Result:
        """End it as a person says, once every backend leaves off."""
        again_after = await self._executor.stop(request, failures)
        if again_after is not None:
            return Result(request, retry_after=again_after)
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

    async def _go_by_session(self, request: FulfillmentRequest, before: RequeueState, stands: Stands) -> Result:
        failures = before.failures
        try:
            with self._metrics.stripe_seconds.time():
                session = await self._stripe.retrieve_for(request)
        except StripeError as error:
            return await self._wait_for_stripe(request, error, failures)
        except SessionUnreadableError as error:
            return await self._fail_unreadable(request, error, before)
        try:
            match await stands():
                case Standing.GONE:
                    tell_deleted_unfinished(request, self._metrics)
                    return Result(None)
                case Standing.SUPERSEDED:
                    return Result(request)
        except KubernetesError as error:
            delay = self._retry_policy.error_delay(failures)
            self._metrics.errors.labels(ErrorKind.KUBERNETES).inc()
            _log.warning("reconcile.not_known_to_stand", message=str(error), again_after=delay.total_seconds())
            return Result(request, retry_after=delay)
        async with AsyncExitStack() as noted:
            now = self._clock()
            effect = await self._executor.execute(decide(request, session, now), request, failures, noted)
            if session is not None and effect.status.phase in _REVERSIBLE:
                effect = self._asked_again_if_stripe_lags(effect, request, session, now)
            result = await self._write(request, effect.status)
        return replace(result, retry_after=effect.retry_after, check_after=effect.check_after)

    @staticmethod
    def _asked_again_if_stripe_lags(
        effect: Effect, request: FulfillmentRequest, session: CheckoutSession, now: datetime
    ) -> Effect:
        """Leave what an event said of a refund or a dispute unobserved, while Stripe's answer does not show it yet."""
        if not reversal_change(request, session, now).lags:
            return effect
        planned = effect.status.fulfillment.next_attempt_at if effect.status.fulfillment else None
        waits = [retry_lag(request, now), effect.retry_after, planned - now if planned else None]
        status = transition.with_spec_unobserved(effect.status)
        return replace(effect, status=status, retry_after=max(each for each in waits if each is not None))

    async def _fail_unreadable(
        self, request: FulfillmentRequest, error: SessionUnreadableError, before: RequeueState
    ) -> Result:
        """End it for a person: this one order cannot be judged, and asking again did not help.

        Not while a backend has it, which may be done at any time, or somebody is still to be told how it ended; nor
        what failed for another reason, that stays: once its time is up, nobody is told any more.
        """
        self._metrics.errors.labels(ErrorKind.SESSION_UNREADABLE).inc()
        status, now = request.status, self._clock()
        stays = status is not None and stays_failed(request)
        is_owed = status is not None and (is_mail_due(status) or is_notice_due(status))
        waits = stays and is_owed and now < self._told_until(request)
        if before.unreadable + 1 < FAILURES_BEFORE_SHOWN or waits or self._is_with_backend(request):
            delay = self._retry_policy.error_delay(before.failures)
            _log.warning("reconcile.session_unreadable", message=str(error), again_after=delay.total_seconds())
            return Result(request, retry_after=delay, is_unreadable=True)
        if status is not None and stays:
            change = unknown_change(request, Reason.SESSION_UNREADABLE, str(error))
            if is_owed:
                change = without_untold(status, change)
                change = replace(change, updates={**mail_given_up(status), **change.updates})
            return await self._write(request, with_reversals(request, status, change, now))
        message = f"{error}: see what was sold in the Stripe Dashboard, then complete or fail the order yourself"
        return await self._write(request, transition.failed(request, Fail(Reason.SESSION_UNREADABLE, message), now))

    def _told_until(self, request: FulfillmentRequest) -> datetime:
        """Tell until when the buyer of a failed order, or its backend, is told of it."""
        return give_up_at(request.status) or notified_until(request, self._retry_policy.backend_deadline)

    def _is_with_backend(self, request: FulfillmentRequest) -> bool:
        """Tell whether a backend works on the order, and its time is not up."""
        tries = request.status.fulfillment if request.status and request.status.phase is Phase.FULFILLING else None
        if tries is None or tries.accepted_at is None or request.is_retry_requested:
            return False
        return self._clock() < tries.started_at + self._retry_policy.backend_deadline

    async def _wait_for_stripe(self, request: FulfillmentRequest, error: StripeError, failures: int) -> Result:
        is_passing = isinstance(error, StripeUnavailableError)
        reason = Reason.STRIPE_UNAVAILABLE if is_passing else Reason.STRIPE_MISCONFIGURED
        self._metrics.errors.labels(stripe_error_kind(error)).inc()
        delay = self._retry_policy.stripe_delay(failures, error)
        _log.warning(
            "reconcile.stripe_error", message=str(error), failures=failures + 1, again_after=delay.total_seconds()
        )
        lasts = failures + 1 >= FAILURES_BEFORE_SHOWN or reason is Reason.STRIPE_MISCONFIGURED
        if lasts and awaits_stripe(request) and not _is_shown(request, reason, str(error)):
            status = transition.stripe_error(request, reason, str(error), self._clock())
            return replace(await self._write(request, status), retry_after=delay)
        return Result(request, retry_after=delay)

    async def _write(self, request: FulfillmentRequest, status: Status) -> Result:
        """Write the status if it says something new."""
        return Result(await self._writer.write(request, status) if status != request.status else request)


def _is_shown(request: FulfillmentRequest, reason: Reason, message: str) -> bool:
    """Tell whether an order shows an error of Stripe's: of an outage any, of what a person mends that very one.

    Its request id, which each error has, would be no news.
    """
    status = request.status
    if status is None or request.has_unobserved_spec or status.reason != reason:
        return False
    is_same = without_request_id(status.message) == without_request_id(message)
    return is_same or reason is Reason.STRIPE_UNAVAILABLE
