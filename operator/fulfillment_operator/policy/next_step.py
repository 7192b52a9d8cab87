"""What a request needs next, from itself and the time, before Stripe is asked. Pure.

One ordered chain, of which the first row that applies decides. The controller schedules by its answer and the
reconciler executes that very answer, so the two cannot disagree.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import HELD, ConditionType, Phase, Reason, Status
from fulfillment_operator.policy.decide import Fail
from fulfillment_operator.policy.input_conditions import with_input_conditions
from fulfillment_operator.policy.manual_actions import (
    Complete,
    MarkFailed,
    Pause,
    has_unhandled_input,
    is_new_pause,
    is_released,
    manual_action,
)
from fulfillment_operator.policy.notices import is_notice_due
from fulfillment_operator.policy.restored import adopted_status, is_restored
from fulfillment_runtime.chart_values import with_chart_values


@dataclass(frozen=True, slots=True)
class RequeueState:
    """What is remembered of a request between two reconciles: status does not hold it, and a restart may forget it."""

    reconciled_at: datetime
    """When it was last reconciled; before that, when it was first seen."""
    resource_version: str = ""
    """As the last reconcile left it. Of another version what follows says nothing, for something changed since."""
    retry_at: datetime | None = None
    """When a reconcile is tried again that something outside kept from its end."""
    check_at: datetime | None = None
    """When a backend that works on the order is asked again."""
    is_recheck_due: bool = False
    """Whether Stripe's list of Sessions says something else of an order that awaits its payment than its status."""
    failures: int = 0
    """How many reconciles in a row were kept from their end."""
    unreadable: int = 0
    """How many answers of Stripe's in a row could not be read."""


@dataclass(frozen=True, slots=True)
class AdoptStatus:
    """Take the status that a backup brought back as one of this object's spec."""

    status: Status


@dataclass(frozen=True, slots=True)
class ShowInputConditions:
    """Show what is wrong with an annotation or a callback, or that nothing is any more."""

    status: Status


@dataclass(frozen=True, slots=True)
class EndManually:
    """End the order as a person, or another controller, says."""

    action: Complete | MarkFailed


@dataclass(frozen=True, slots=True)
class ShowPaused:
    """Show that a person holds the order."""

    pause: Pause


@dataclass(frozen=True, slots=True)
class ShowRestored:
    """Show that a backup brought the order back without its status, and a person must say whether it was done."""


@dataclass(frozen=True, slots=True)
class RetrieveSession:
    """Ask Stripe, and go by `decide`."""


@dataclass(frozen=True, slots=True)
class WaitForKey:
    """Ask nobody: Stripe showed the order to another API key than this one, and a person must put that back."""

    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before this time."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is left to do until the request changes."""


Action: TypeAlias = (
    AdoptStatus | ShowInputConditions | EndManually | ShowPaused | ShowRestored | Fail | WaitForKey | RetrieveSession
)
"""What the reconciler executes."""
Step: TypeAlias = Action | Wait | Settled

STRIPE_ERRORS = frozenset({Reason.STRIPE_UNAVAILABLE, Reason.STRIPE_MISCONFIGURED})
"""The reasons of an order for which Stripe could not be asked: only that is awaited."""
_SOON = timedelta(seconds=2)
"""Before Stripe is asked again whose answer lags its own events."""

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Input:
    request: FulfillmentRequest
    now: datetime
    state: RequeueState
    livemode: bool
    recheck: timedelta
    retry_max: timedelta

    @property
    def is_as_left(self) -> bool:
        """Whether the request is as the last reconcile left it."""
        return self.state.resource_version == self.request.metadata.resource_version

    @property
    def is_clock_set_back(self) -> bool:
        """Whether the clock was set back since the last reconcile: what was planned by then may lie days ahead."""
        return self.now < self.state.reconciled_at


def next_step(  # noqa: PLR0913 - what is known, and what is set
    request: FulfillmentRequest,
    now: datetime,
    state: RequeueState,
    *,
    livemode: bool,
    recheck: timedelta,
    retry_max: timedelta,
) -> Step:
    """Tell what a request needs next.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
        state: what is remembered of it.
        livemode: whether the operator's API key is a live one.
        recheck: how often an order that waits is asked of Stripe again, so that a lost event does not strand it.
        retry_max: the longest wait between two tries of the backend.
    """
    given = _Input(request, now, state, livemode, recheck, retry_max)
    return next(step for row in _CHAIN if (step := row(given)) is not None)


def is_urgent(request: FulfillmentRequest) -> bool:
    """Tell whether a request goes before those that are only checked again.

    So thousands that wait, and are due at a start or when Stripe is back, keep no new order waiting.
    """
    status = request.status
    return status is None or has_unhandled_input(request) or status.reason in STRIPE_ERRORS


def awaits_stripe(request: FulfillmentRequest) -> bool:
    """Tell whether Stripe's answer is all that an order waits for: then it shows that Stripe cannot be asked."""
    status = request.status
    if status is None or status.reason in STRIPE_ERRORS or status.reason in HELD:
        return True  # a hold that is over, or it would not be asked about
    return status.phase is Phase.AWAITING_PAYMENT and request.has_unobserved_spec


def is_mail_due(status: Status) -> bool:
    """Tell whether the mail about a failed payment is still to be sent."""
    notified = status.condition(ConditionType.CUSTOMER_NOTIFIED)
    return (
        status.reason == Reason.PAYMENT_FAILED and notified is not None and notified.reason == Reason.MAIL_UNAVAILABLE
    )


def next_recheck(request: FulfillmentRequest, after: datetime, recheck: timedelta) -> datetime:
    """Tell when an order is checked next after a time: at a fixed place in each interval, by name.

    So the checks are spread evenly, survive a restart, and need no write to remember. The place is a whole second.
    """
    place = int.from_bytes(hashlib.sha256(request.metadata.name.encode()).digest()[:4]) / 2**32
    start = request.metadata.creation_timestamp + timedelta(seconds=int(recheck.total_seconds() * place))
    return start + recheck * max(0, 1 + (after - start) // recheck)


def _final(given: _Input) -> Step | None:
    deleted = given.request.metadata.deletion_timestamp is not None
    status = given.request.status
    return Settled() if deleted or (status is not None and status.phase is Phase.FULFILLED) else None


def _being_restored(given: _Input) -> Step | None:
    return Settled() if given.request.annotations.restoring else None


def _adopted(given: _Input) -> Step | None:
    status = adopted_status(given.request)
    return AdoptStatus(status) if status is not None else None


def _backing_off(given: _Input) -> Step | None:
    retry_at = given.state.retry_at
    if retry_at is None or not given.is_as_left or given.is_clock_set_back:
        return None
    return Wait(retry_at) if given.now < retry_at else None


def _input_conditions(given: _Input) -> Step | None:
    status = with_input_conditions(given.request, given.now.replace(microsecond=0))
    return ShowInputConditions(status) if status is not None else None


def _restored(given: _Input) -> Step | None:
    request, status = given.request, given.request.status
    is_held = is_restored(request) if status is None else status.reason == Reason.RESTORED
    if not is_held or is_released(request):
        return None
    return ShowRestored() if request.has_unobserved_spec else Settled()


def _manual_action(given: _Input) -> Step | None:
    match manual_action(given.request):
        case Complete() | MarkFailed() as action:
            return EndManually(action)
        case Pause() as pause:
            return ShowPaused(pause) if is_new_pause(given.request, pause) else Settled()
        case None:
            return None


def _not_due(given: _Input) -> Step | None:
    request, status = given.request, given.request.status
    if status is None or status.reason == Reason.PAUSED or is_urgent(request):  # a retry that is requested is urgent
        return None
    due: datetime | None = None
    match status.phase:
        case Phase.FULFILLING:
            planned = status.fulfillment.next_attempt_at if status.fulfillment else None
            # Not the plan of the last reconcile: its clock may have been ahead, as another operator's.
            if planned is not None and (not given.is_as_left or given.state.failures):
                planned = min(planned, given.state.reconciled_at + given.retry_max)
            due = planned or (given.state.check_at if given.is_as_left else None)
        case Phase.AWAITING_PAYMENT:
            if given.state.is_recheck_due or (given.state.failures and given.is_as_left):
                return None
            due = _awaited_until(given, status)
            if due is None:
                return Settled()
        case Phase.FAILED if not (is_mail_due(status) or is_notice_due(status)):
            return Settled()
    return Wait(due) if due is not None and given.now < due and not given.is_clock_set_back else None


def _awaited_until(given: _Input, status: Status) -> datetime | None:
    """Tell when an order that awaits its payment is asked about by itself; None: the walk through the list tells."""
    asked_at = given.state.reconciled_at
    soon = _until_stripe_agrees(given.request, status, asked_at)
    if soon == _NEVER and given.request.spec.session.created_at is not None:
        return None
    return min(soon, next_recheck(given.request, asked_at, given.recheck))


def _until_stripe_agrees(request: FulfillmentRequest, status: Status, asked_at: datetime) -> datetime:
    """Tell when Stripe is asked again whose answer lags its own events: soon, then after twice the time, and so on.

    An event that says how the payment ended, or that the Session is complete, and an answer that denies it: one of the
    two is older. The age of the event is the backoff, so nothing is remembered.
    """
    spec = request.spec
    news = [each.observed_at for each in (spec.reversal, spec.expiry) if each is not None]
    if spec.payment.status is not PaymentStatus.UNPAID or status.reason == Reason.SESSION_OPEN:
        news.append(spec.payment.observed_at)
    if not news:
        return _NEVER
    observed_at = max(each or request.metadata.creation_timestamp for each in news)
    return asked_at + max(_SOON, asked_at - observed_at)


def _rejected(given: _Input) -> Step | None:
    session, name = given.request.spec.session, given.request.metadata.name
    expected = request_name(session.id, session.account)
    if name != expected:
        return Fail(
            Reason.NAME_MISMATCH,
            f"the request of this Session must be named {expected}, or the order could be fulfilled twice: "
            "delete this object",
        )
    if session.livemode is given.livemode:
        return None
    order, key = ("live", "test") if session.livemode else ("test", "live")
    what = f"a {order} order, but STRIPE_API_KEY is a {key} key"
    if given.request.status is not None and given.request.status.order is not None:
        mend = (
            f"put back a {order} key of the account that sold it, or, if the shop has changed its mode, fail the order"
        )
        return WaitForKey(with_chart_values(f"{what}: {mend}"))
    elsewhere = f"point the {order} webhook endpoint elsewhere, or use the other key"
    return Fail(Reason.LIVEMODE_MISMATCH, with_chart_values(f"{what}: {elsewhere}"))


def _due(_given: _Input) -> Step:
    return RetrieveSession()


_CHAIN: tuple[Callable[[_Input], Step | None], ...] = (
    _final,  # fulfilled absorbs: no later event makes an order unfulfilled, or fulfills it twice
    _being_restored,  # its status is on its way, and must not be overwritten
    _adopted,  # before anything compares its generation with the spec's
    _backing_off,  # what failed for a reason outside is not tried again at once, unless the request changed
    _input_conditions,  # a person who mistyped is told, whatever the order waits for
    _restored,  # before a pause, which a person ends without a word about what was done
    _manual_action,  # what ends the order goes before what holds it, and both before what Stripe says
    _not_due,
    _rejected,  # before Stripe is asked: the webhook service cannot have made it, or it is of the other mode
    _due,
)
