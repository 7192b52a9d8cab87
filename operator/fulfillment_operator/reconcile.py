"""One look at one request: ask Stripe, decide, take the step, write what became of it."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Fulfillment, Phase, Reason, Status
from fulfillment_operator import transition
from fulfillment_operator.after_sale import news
from fulfillment_operator.aftercare import tell_backend
from fulfillment_operator.announcer import Announcer
from fulfillment_operator.backends.interface import Done, InProgress, Refused, TryAgain
from fulfillment_operator.backoff import Backoff
from fulfillment_operator.checkout import CheckoutSession
from fulfillment_operator.decide import (
    AwaitPayment,
    FailPayment,
    Fulfill,
    LookAt,
    LookNow,
    Refuse,
    Settled,
    Step,
    decide,
    refuse_unseen,
    when_to_look,
)
from fulfillment_operator.dispatch import Dispatch, result_of
from fulfillment_operator.instructions import Complete, GiveUp, Hold, instruction
from fulfillment_operator.metrics import MailKind, OperatorMetrics, Trouble
from fulfillment_operator.orders import key_of, order_of
from fulfillment_operator.remarks import remarked
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_operator.transition import MailOutcome, Retries
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_errors import (
    ApiDeniedError,
    ApiUnavailableError,
    NotInstalledError,
    RequestGoneError,
)
from fulfillment_runtime.stripe_connection import StripeError, StripeUnavailableError

_log = structlog.get_logger(__name__)

# A blip of Stripe's leaves no trace on an order; what lasts longer is shown.
_FAILURES_BEFORE_SHOWN = 3


class CustomerMail(Protocol):
    """Tells customers how their orders ended."""

    async def tell_payment_failed(self, key: str, session: CheckoutSession) -> MailOutcome:
        """Ask the customer for a new order, once."""

    async def send_receipt(self, key: str, session: CheckoutSession) -> MailOutcome | None:
        """Tell the customer that the order is fulfilled; None: that is not asked for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are tried again."""

    recheck: timedelta
    """Between two looks at an unpaid order."""
    backend: Backoff
    """Between two tries of the backend."""
    backend_deadline: timedelta
    """From the first try of the backend to the last."""
    trouble: Backoff
    """Between two looks that Stripe or the mail server kept from their end."""
    kubernetes: Backoff
    """Between two tries to write a status."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a step led to."""

    status: Status
    ask_after: timedelta | None = None
    """When to ask a backend that is still at work."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look led to."""

    request: FulfillmentRequest | None
    """The request as it now stands; None when it is gone."""
    again_after: timedelta | None
    """When to look again; None when only a change of the request calls for it."""
    failures: int = 0
    """How many looks in a row were kept from their end."""


class Reconciler:
    """Brings one request a step further."""

    def __init__(  # noqa: PLR0913 - the four outside systems, and what makes it exact
        self,
        *,
        stripe: StripeApi,
        dispatch: Dispatch,
        mail: CustomerMail,
        kubernetes: KubernetesApi,
        pace: Pace,
        livemode: bool,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
        announcer: Announcer,
    ) -> None:
        """Make a reconciler.

        Args:
            stripe: tells what an order is.
            dispatch: gives it the backend that fulfills it.
            mail: tells the customer when the payment failed.
            kubernetes: takes the status.
            pace: how often things are tried again.
            livemode: whether the Stripe key is a live one.
            clock: tells the time, with its zone, in whole seconds.
            metrics: counts.
            announcer: tells people.
        """
        self._stripe = stripe
        self._dispatch = dispatch
        self._mail = mail
        self._kubernetes = kubernetes
        self._pace = pace
        self._livemode = livemode
        self._clock = clock
        self._metrics = metrics
        self._announcer = announcer

    async def look(self, request: FulfillmentRequest, failures: int) -> Looked:
        """Look at a request that is due.

        Args:
            request: the object as it stands in the cluster.
            failures: how many looks in a row were kept from their end before this one.
        """
        with self._metrics.reconcile_seconds.time():
            with_remarks = remarked(request, self._clock())
            if with_remarks is not None:
                return await self._write(request, with_remarks, failures, tried=False)
            match instruction(request):
                case Hold() as hold:
                    return await self._write(request, transition.held(request, hold, self._clock()), failures)
                case Complete() | GiveUp() as end:
                    return await self._write(request, transition.ended_by_hand(request, end, self._clock()), failures)
            refusal = refuse_unseen(request, livemode=self._livemode)
            if refusal is not None:
                return await self._write(request, transition.refused(request, refusal, self._clock()), failures)
            try:
                session = await self._retrieve(request)
            except StripeError as error:
                return await self._wait_for_stripe(request, error, failures)
            taken = await self._take(decide(request, session, self._clock()), request)
            looked = await self._write(request, taken.status, failures)
            if taken.ask_after is None or looked.request is None or looked.again_after == timedelta(0):
                return looked
            return Looked(looked.request, taken.ask_after)

    async def _retrieve(self, request: FulfillmentRequest) -> CheckoutSession | None:
        with self._metrics.stripe_seconds.time():
            return await self._stripe.retrieve(request.spec.session.id, request.spec.session.account)

    async def _take(self, step: Step, request: FulfillmentRequest) -> _Taken:
        match step:
            case AwaitPayment(session, overdue):
                return _Taken(transition.awaiting_payment(request, session, self._clock(), overdue=overdue))
            case FailPayment(session, notify):
                mail = await self._tell(request, session) if notify else None
                return _Taken(transition.payment_failed(request, session, mail, self._clock()))
            case Refuse():
                return await self._refuse(request, step)
            case Fulfill(session):
                return await self._hand_over(request, session)
            case _:
                assert_never(step)

    async def _tell(self, request: FulfillmentRequest, session: CheckoutSession) -> MailOutcome:
        outcome = await self._mail.tell_payment_failed(key_of(request), session)
        return self._told(MailKind.PAYMENT_FAILED, outcome)

    async def _send_receipt(self, request: FulfillmentRequest, session: CheckoutSession) -> MailOutcome | None:
        outcome = await self._mail.send_receipt(key_of(request), session)
        return self._told(MailKind.RECEIPT, outcome) if outcome else None

    def _told(self, mail: MailKind, outcome: MailOutcome) -> MailOutcome:
        self._metrics.mails.labels(mail, outcome.reason).inc()
        _log.info("reconcile.customer_told", mail=mail, reason=outcome.reason, message=outcome.message)
        return outcome

    def _retries(self, before: Fulfillment | None) -> Retries:
        delay = self._pace.backend.delay((before.attempts if before else 0) + 1)
        return Retries(delay=delay, deadline=self._pace.backend_deadline)

    async def _refuse(self, request: FulfillmentRequest, refusal: Refuse) -> _Taken:
        """End it as failed; a backend that has it is told first, when what came after the sale is why."""
        before, session = transition.tries_before(request), refusal.session
        kinds = news(request, session) if session and before else ()
        if before is None or session is None or not kinds:
            return _Taken(transition.refused(request, refusal, self._clock()))
        order = order_of(request, session, before)
        match await tell_backend(self._dispatch, self._metrics, order, before.backend, kinds):
            case TryAgain(error, after):
                untold = TryAgain(f"{refusal.message}, and the backend does not know: {error}", after)
                now, retries = self._clock(), self._retries(before)
                return _Taken(transition.handed_over(request, session, untold, before.backend, retries, now))
            case Refused(error):
                refusal = replace(refusal, message=f"{refusal.message}; the backend does not know: {error}")
        return _Taken(transition.refused(request, refusal, self._clock()))

    async def _hand_over(self, request: FulfillmentRequest, session: CheckoutSession) -> _Taken:
        before = transition.tries_before(request)
        order = order_of(request, session, before)
        backend = self._dispatch.backend_of(order, before)
        if isinstance(backend, Refuse):
            return _Taken(transition.refused(request, backend, self._clock()))
        with self._metrics.backend_seconds.labels(backend.name).time():
            outcome = await backend.fulfill(order)
        self._metrics.backend_attempts.labels(backend.name, result_of(outcome)).inc()
        receipt = await self._send_receipt(request, session) if isinstance(outcome, Done) else None
        retries, now = self._retries(before), self._clock()
        status = transition.handed_over(request, session, outcome, backend.name, retries, now, receipt)
        if not isinstance(outcome, InProgress) or status.fulfillment is None:
            return _Taken(status)
        left = status.fulfillment.started_at + retries.deadline - now
        return _Taken(status, min(outcome.check_after or left, left) if status.phase is Phase.FULFILLING else None)

    async def _wait_for_stripe(self, request: FulfillmentRequest, error: StripeError, failures: int) -> Looked:
        failures += 1
        reason, trouble, after = Reason.STRIPE_MISCONFIGURED, Trouble.STRIPE_MISCONFIGURED, None
        if isinstance(error, StripeUnavailableError):
            reason, trouble, after = Reason.STRIPE_UNAVAILABLE, Trouble.STRIPE_UNAVAILABLE, error.after
        self._metrics.troubles.labels(trouble).inc()
        delay = max(self._pace.trouble.delay(failures), after or timedelta(0))
        _log.warning(
            "reconcile.stripe_trouble", message=str(error), failures=failures, again_after=delay.total_seconds()
        )
        nothing_known = request.status is None or request.status.reason in {
            Reason.STRIPE_UNAVAILABLE,
            Reason.STRIPE_MISCONFIGURED,
        }
        if nothing_known and (failures >= _FAILURES_BEFORE_SHOWN or reason is Reason.STRIPE_MISCONFIGURED):
            status = transition.stripe_trouble(request, reason, str(error), self._clock())
            looked = await self._write(request, status, failures)
            return replace(looked, again_after=delay, failures=failures)
        return Looked(request, delay, failures)

    async def _write(self, request: FulfillmentRequest, status: Status, failures: int, *, tried: bool = True) -> Looked:
        """Write the status if it says something new, and tell when to look again: at once, if nothing was tried."""
        if status != request.status:
            written = await self._write_until_done(request, status)
            if written is None:
                return Looked(None, None)
            await self._announcer.tell(request.status, written, status)
            request = written
        match when_to_look(request, self._clock(), self._pace.recheck):
            case Settled():
                return Looked(request, None)
            case LookAt(at):
                return Looked(request, at - self._clock())
            case LookNow() if not tried or self._is_news(request):
                return Looked(request, timedelta(0))
            case LookNow():  # something is still to do, and was just tried
                return Looked(request, self._pace.trouble.delay(failures + 1), failures + 1)

    def _is_news(self, request: FulfillmentRequest) -> bool:
        """Tell whether something is to be seen to that was not just tried."""
        status = request.status
        return (
            status is None
            or status.observed_generation != request.metadata.generation  # news came meanwhile
            or remarked(request, self._clock()) is not None
        )

    async def _write_until_done(self, request: FulfillmentRequest, status: Status) -> FulfillmentRequest | None:
        """Write the status, however long the API server is away: what was done must not be done again."""
        for failures in itertools.count(1):
            try:
                return await self._kubernetes.write_status(request.metadata.name, status)
            except RequestGoneError:
                _log.info("reconcile.request_gone")
                return None
            except (ApiUnavailableError, ApiDeniedError, NotInstalledError) as error:
                delay = self._pace.kubernetes.delay(failures).total_seconds()
                self._metrics.troubles.labels(Trouble.KUBERNETES).inc()
                _log.warning("reconcile.status_not_written", message=str(error), again_after=delay)
                await asyncio.sleep(delay)
        raise AssertionError("the count never ends")  # pragma: no cover
