"""One look at one request: ask Stripe, decide, take the step, write what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

import structlog

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Fulfillment, Phase, Reason, Status
from fulfillment_operator import transition
from fulfillment_operator.after_sale import news, noted
from fulfillment_operator.backends.interface import Done, InProgress, Outcome, TryAgain
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
    awaits_stripe,
    decide,
    next_recheck,
    refuse_unseen,
    when_to_look,
)
from fulfillment_operator.dispatch import Dispatch
from fulfillment_operator.instructions import Complete, GiveUp, Hold, instruction
from fulfillment_operator.metrics import MailKind, OperatorMetrics, Trouble
from fulfillment_operator.orders import key_of, order_of
from fulfillment_operator.remarks import remarked
from fulfillment_operator.status_writer import StatusWriter
from fulfillment_operator.stripe_api import StripeApi
from fulfillment_operator.transition import MailOutcome, Retries
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
    """Between two looks at an order that waits: for its payment, or for a backend that has it."""
    backend: Backoff
    """Between two tries of the backend."""
    backend_deadline: timedelta
    """From the first try of the backend to the last."""
    trouble: Backoff
    """Between two looks that Stripe or the mail server kept from their end."""


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
        writer: StatusWriter,
        pace: Pace,
        livemode: bool,
        clock: Callable[[], datetime],
        metrics: OperatorMetrics,
    ) -> None:
        """Make a reconciler.

        Args:
            stripe: tells what an order is.
            dispatch: gives it the backend that fulfills it.
            mail: tells the customer when the payment failed.
            writer: writes what became of it.
            pace: how often things are tried again.
            livemode: whether the Stripe key is a live one.
            clock: tells the time, with its zone, in whole seconds.
            metrics: counts.
        """
        self._stripe = stripe
        self._dispatch = dispatch
        self._mail = mail
        self._writer = writer
        self._pace = pace
        self._livemode = livemode
        self._clock = clock
        self._metrics = metrics

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
                    return await self._end_by_hand(request, end, failures)
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
            return await self._stripe.session_of(request)

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
        before, session = request.status.fulfillment if request.status else None, refusal.session
        kinds = news(request, session) if session and before else ()
        if before is None or session is None or not kinds:
            return _Taken(transition.refused(request, refusal, self._clock()))
        order = order_of(request, session, before)
        untold = await self._dispatch.tell(before.backend, order, kinds)
        backend = self._dispatch.backends.get(before.backend) if order.in_progress else None
        outcome: Outcome | None = untold
        if backend is not None and not isinstance(untold, TryAgain):  # it may have been done before it was told
            outcome = await self._dispatch.fulfill(backend, order)
        now, retries = self._clock(), self._retries(before)
        match outcome:
            case TryAgain(error, after):
                waiting = TryAgain(f"{refusal.message}, and the backend does not know: {error}", after)
                return _Taken(transition.handed_over(request, session, waiting, before.backend, retries, now))
            case Done():
                fulfilled = transition.handed_over(request, session, outcome, before.backend, retries, now)
                return _Taken(noted(request, fulfilled, kinds, untold.error if untold else None, now))
        if untold is not None:
            refusal = replace(refusal, message=f"{refusal.message}; the backend does not know: {untold.error}")
        return _Taken(transition.refused(request, refusal, now))

    async def _end_by_hand(self, request: FulfillmentRequest, end: Complete | GiveUp, failures: int) -> Looked:
        """End it as a person says, once every backend leaves off."""
        problem = await self._dispatch.stop(key_of(request), request.metadata.uid)
        if problem is None:
            return await self._write(request, transition.ended_by_hand(request, end, self._clock()), failures)
        delay = max(self._pace.trouble.delay(failures + 1), problem.after or timedelta(0))
        self._metrics.troubles.labels(Trouble.KUBERNETES).inc()
        _log.warning("reconcile.not_stopped", message=problem.error, again_after=delay.total_seconds())
        return Looked(request, delay, failures + 1)

    async def _hand_over(self, request: FulfillmentRequest, session: CheckoutSession) -> _Taken:
        before = transition.tries_before(request)
        order = order_of(request, session, before)
        backend = self._dispatch.backend_of(order, before)
        if isinstance(backend, Refuse):
            return _Taken(transition.refused(request, backend, self._clock()))
        outcome = await self._freed(request, backend.name, before) or await self._dispatch.fulfill(backend, order)
        receipt = await self._send_receipt(request, session) if isinstance(outcome, Done) else None
        retries, now = self._retries(before), self._clock()
        status = transition.handed_over(request, session, outcome, backend.name, retries, now, receipt)
        if not isinstance(outcome, InProgress) or status.fulfillment is None or status.phase is not Phase.FULFILLING:
            return _Taken(status)
        left = status.fulfillment.started_at + retries.deadline - now
        recheck = next_recheck(request, now, self._pace.recheck) - now
        return _Taken(status, min(outcome.check_after or left, recheck, left))

    async def _freed(self, request: FulfillmentRequest, backend: str, before: Fulfillment | None) -> TryAgain | None:
        """Let another backend leave off, which had the order before a person asked for a try that goes elsewhere."""
        former = request.status.fulfillment if request.status else None
        if before is not None or former is None or former.backend == backend:
            return None
        return await self._dispatch.stop(key_of(request), request.metadata.uid)

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
        if awaits_stripe(request) and (failures >= _FAILURES_BEFORE_SHOWN or reason is Reason.STRIPE_MISCONFIGURED):
            status = transition.stripe_trouble(request, reason, str(error), self._clock())
            looked = await self._write(request, status, failures)
            return replace(looked, again_after=delay, failures=failures)
        return Looked(request, delay, failures)

    async def _write(self, request: FulfillmentRequest, status: Status, failures: int, *, tried: bool = True) -> Looked:
        """Write the status if it says something new, and tell when to look again: at once, if nothing was tried."""
        if status != request.status:
            written = await self._writer.write(request, status)
            if written is None:
                return Looked(None, None)
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
        return request.has_news or remarked(request, self._clock()) is not None
