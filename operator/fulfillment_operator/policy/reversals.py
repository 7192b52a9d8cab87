"""Refunds and disputes, how they went on, and what follows from them for the order. Pure.

The reconciler and the sweep over fulfilled orders go by the same `reversal_change`: what Stripe says now, against what
the status shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Amount, ReversalKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Reversals, Status
from fulfillment_operator.backends.order import ReversalNotice
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.policy.conditions import ConditionUpdate, merged

_SHOWN: Mapping[ReversalKind, tuple[ConditionType, ConditionStatus, Reason]] = MappingProxyType(
    {
        ReversalKind.REFUNDED: (ConditionType.REFUNDED, ConditionStatus.TRUE, Reason.REFUNDED),
        ReversalKind.PARTIALLY_REFUNDED: (ConditionType.REFUNDED, ConditionStatus.FALSE, Reason.PARTIALLY_REFUNDED),
        ReversalKind.REFUND_FAILED: (ConditionType.REFUNDED, ConditionStatus.FALSE, Reason.REFUND_FAILED),
        ReversalKind.DISPUTED: (ConditionType.DISPUTED, ConditionStatus.TRUE, Reason.DISPUTED),
        ReversalKind.DISPUTE_LOST: (ConditionType.DISPUTED, ConditionStatus.TRUE, Reason.DISPUTE_LOST),
        ReversalKind.DISPUTE_WON: (ConditionType.DISPUTED, ConditionStatus.FALSE, Reason.DISPUTE_WON),
        ReversalKind.DISPUTE_PREVENTED: (ConditionType.DISPUTED, ConditionStatus.FALSE, Reason.DISPUTE_PREVENTED),
        ReversalKind.INQUIRY: (ConditionType.DISPUTED, ConditionStatus.FALSE, Reason.INQUIRY),
        ReversalKind.INQUIRY_CLOSED: (ConditionType.DISPUTED, ConditionStatus.FALSE, Reason.INQUIRY_CLOSED),
        ReversalKind.FRAUD_WARNING: (ConditionType.FRAUD_WARNING, ConditionStatus.TRUE, Reason.EARLY_FRAUD_WARNING),
    }
)
"""The condition that shows each kind."""
REASONS: Mapping[ReversalKind, Reason] = MappingProxyType({kind: reason for kind, (_, _, reason) in _SHOWN.items()})
CONDITIONS: Mapping[ReversalKind, ConditionType] = MappingProxyType(
    {kind: each for kind, (each, _, _) in _SHOWN.items()}
)

NOTABLE = frozenset(
    {
        ReversalKind.REFUND_FAILED,
        ReversalKind.DISPUTED,
        ReversalKind.DISPUTE_LOST,
        ReversalKind.INQUIRY,
        ReversalKind.FRAUD_WARNING,
    }
)
"""Those that a person did not ask for: their Event is a warning."""

_TOLD = (
    ReversalKind.REFUNDED,
    ReversalKind.PARTIALLY_REFUNDED,
    ReversalKind.REFUND_FAILED,
    ReversalKind.DISPUTED,
    ReversalKind.DISPUTE_LOST,
    ReversalKind.DISPUTE_WON,
    ReversalKind.DISPUTE_PREVENTED,
)
"""Those that the backend is told. The others take nothing back, and give nothing back."""

_MESSAGES = {
    ReversalKind.REFUNDED: "all of the payment was given back",
    ReversalKind.DISPUTED: "the buyer disputes the payment",
    ReversalKind.DISPUTE_LOST: "the buyer disputed the payment, and the dispute was lost",
    ReversalKind.DISPUTE_WON: "the dispute was won",
    ReversalKind.DISPUTE_PREVENTED: "the dispute was settled before the buyer's bank took the payment back",
    ReversalKind.INQUIRY: "the buyer's bank inquires about the payment, and has taken nothing back: answer it in the "
    "Stripe Dashboard, or it may become a dispute",
    ReversalKind.INQUIRY_CLOSED: "the inquiry about the payment was closed, and did not become a dispute",
    ReversalKind.FRAUD_WARNING: "the card's issuer suspects fraud: a refund now may spare you a dispute",
}


@dataclass(frozen=True, slots=True)
class ReversalChange:
    """What Stripe says of refunds and disputes, as far as the status does not show it."""

    kinds: tuple[ReversalKind, ...] = ()
    """What is new."""
    notices: tuple[ReversalNotice, ...] = ()
    """What the backend that has, or had, the order is to be told: what is new, and what it could not be told before."""
    updates: Mapping[ConditionType, ConditionUpdate] = field(default_factory=dict)
    """The conditions that show it."""
    reversals: Reversals | None = None
    """`status.reversals` as it then is, once the backend knows."""
    lags: bool = False
    """Whether Stripe's answer does not show yet what its event said."""


def reversal_change(request: FulfillmentRequest, session: CheckoutSession, now: datetime) -> ReversalChange:
    """Tell what is new of refunds and disputes.

    Args:
        request: the object as it stands in the cluster.
        session: what Stripe says now.
        now: the time, with its zone.
    """
    if not (session.is_reversed or request.spec.reversal or (request.status and request.status.reversals)):
        return ReversalChange()
    before = _reversals_before(request)
    kinds = tuple(_new_kinds(request, session, before))
    news = {**before.news, **{kind.value: before.news.get(kind, 0) + 1 for kind in kinds}}
    amount = session.amount_refunded if kinds else before.amount_refunded
    untold = tuple(kind for kind in before.untold if kind not in kinds)
    shown = shown_reversals(request.status)
    to_show = (*(kind for kind in untold if kind in shown), *kinds)
    lags = _lags(request, (*shown, *kinds), now)
    handled = before.handled if lags or request.spec.reversal is None else request.spec.reversal.id
    reversals = Reversals(amount_refunded=amount, news=news, handled=handled)
    return ReversalChange(
        kinds=kinds,
        notices=tuple(
            ReversalNotice(kind, _notice_key(request, kind, amount, news.get(kind, 1)), _hinted_at(request, kind))
            for kind in (*untold, *kinds)
            if kind in _TOLD
        ),
        updates={CONDITIONS[kind]: _update(kind, session) for kind in to_show},
        reversals=reversals if reversals != Reversals() else None,
        lags=lags,
    )


def unknown_change(
    request: FulfillmentRequest, reason: Reason, problem: str, *, handled: bool = True
) -> ReversalChange:
    """Tell what an event hinted at while Stripe cannot say more: nobody knows, unless it was known before.

    Args:
        request: the object as it stands in the cluster.
        reason: why, in a word.
        problem: why, for a person.
        handled: whether asking again would not help.
    """
    hint, before = request.spec.reversal, _reversals_before(request)
    if hint is None:
        return ReversalChange()
    reversals = replace(before, handled=hint.id) if handled else before
    kind = CONDITIONS[hint.kind]
    known = request.status.condition(kind) if request.status else None
    # What is asked again shows the rest, and then compares it with what is known: that stays.
    is_known = known is not None and known.status is not ConditionStatus.UNKNOWN and not handled
    if is_known or (known is not None and known.status is ConditionStatus.TRUE):
        return ReversalChange(reversals=reversals)
    message = f"an event said so ({hint.kind}), and {problem}: see the Stripe Dashboard, and tell whoever has the order"
    return ReversalChange(updates={kind: (ConditionStatus.UNKNOWN, reason, message)}, reversals=reversals)


def retry_lag(request: FulfillmentRequest, now: datetime) -> timedelta:
    """Tell when Stripe is asked again whose answer lags its event: soon, then after twice the time, and so on.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
    """
    hint = request.spec.reversal
    return max(_LAG_FIRST, now - hint.observed_at if hint and hint.observed_at else _LAG_FIRST)


def shown_reversals(status: Status | None) -> tuple[ReversalKind, ...]:
    """Return what the status shows of refunds and disputes: of each kind of condition the newest."""
    shown = {each.reason for each in status.conditions if each.type in _TYPES} if status else set()
    return tuple(kind for kind, reason in REASONS.items() if reason in shown)


def new_reversals(before: Status | None, after: Status) -> tuple[ReversalKind, ...]:
    """Return what one status tells of refunds and disputes that the one before it did not."""
    then = before.reversals.news if before and before.reversals else {}
    now = after.reversals.news if after.reversals else {}
    return tuple(kind for kind in ReversalKind if now.get(kind, 0) > then.get(kind, 0))


def is_reversal_due(request: FulfillmentRequest) -> bool:
    """Tell whether an event hinted at the reversal of a fulfilled order, and that was not handled.

    The hint itself tells, and not the generation: a backup may bring back a status of higher generations than its
    object has by then.
    """
    status, hint = request.status, request.spec.reversal
    if status is None or status.phase is not Phase.FULFILLED or hint is None:
        return False
    before = _reversals_before(request)
    return request.metadata.deletion_timestamp is None and (before.handled != hint.id or bool(before.untold))


def with_reversals(request: FulfillmentRequest, status: Status, change: ReversalChange, now: datetime) -> Status:
    """Return the status of a fulfilled order once its reversals were handled. It stays fulfilled.

    Args:
        request: the object as it stands in the cluster.
        status: its status.
        change: what is new.
        now: the time, with its zone.
    """
    generation = request.metadata.generation
    return replace(
        status,
        observed_generation=generation,
        conditions=merged(status, change.updates, generation, now),
        reversals=change.reversals or status.reversals,
    )


_TYPES = frozenset(CONDITIONS.values())
_LAG_FIRST = timedelta(seconds=2)
"""Before Stripe is asked again whose answer lags its event."""
_LAG_LAST = timedelta(hours=1)
"""After its event: what Stripe does not show by then, it will not show."""


def _reversals_before(request: FulfillmentRequest) -> Reversals:
    return (request.status.reversals if request.status else None) or Reversals()


def _lags(request: FulfillmentRequest, shown: Sequence[ReversalKind], now: datetime) -> bool:
    """Tell whether Stripe shows something else than its newest event said, a moment after it."""
    hint = request.spec.reversal
    if hint is None or hint.observed_at is None or hint.id == _reversals_before(request).handled:
        return False
    newest = {CONDITIONS[kind]: kind for kind in shown}
    return newest.get(CONDITIONS[hint.kind]) is not hint.kind and now - hint.observed_at < _LAG_LAST


def _new_kinds(request: FulfillmentRequest, session: CheckoutSession, before: Reversals) -> Iterator[ReversalKind]:
    shown = shown_reversals(request.status)
    refund = _refund_kind(session, before, was_refunded=ReversalKind.REFUNDED in shown)
    if refund is not None:
        yield refund
    if session.dispute is not None and session.dispute not in shown:
        yield session.dispute
    hint = request.spec.reversal
    if hint is not None and hint.kind is ReversalKind.FRAUD_WARNING and ReversalKind.FRAUD_WARNING not in shown:
        yield ReversalKind.FRAUD_WARNING


def _refund_kind(session: CheckoutSession, before: Reversals, *, was_refunded: bool) -> ReversalKind | None:
    """Tell what is new of refunds. What Stripe gives back shrinks only when a refund fails, or is canceled."""
    now, then = _total(session.amount_refunded), _total(before.amount_refunded)
    if session.refunded:
        return None if was_refunded else ReversalKind.REFUNDED
    if was_refunded or now < then:
        return ReversalKind.REFUND_FAILED
    return ReversalKind.PARTIALLY_REFUNDED if now > then else None


def _update(kind: ReversalKind, session: CheckoutSession) -> ConditionUpdate:
    _, status, reason = _SHOWN[kind]
    refunded = session.amount_refunded.display if session.amount_refunded else None
    whole = f" of {session.amount.display}" if session.amount else ""
    match kind:
        case ReversalKind.PARTIALLY_REFUNDED:
            message = f"{refunded}{whole} was given back"
        case ReversalKind.REFUND_FAILED:
            left = f"{refunded}{whole} is given back" if refunded else "nothing is given back"
            message = f"the refund failed, or was canceled: {left}"
        case _:
            message = _MESSAGES[kind]
    return status, reason, message


def _notice_key(request: FulfillmentRequest, kind: ReversalKind, amount: Amount | None, times: int) -> str:
    """Make a notice's idempotency key, which stays until the status shows that it was told.

    The sum that is given back in part belongs to it: what the backend took in without the status showing it, as after
    a lost answer, may since have become another sum.
    """
    is_of_a_sum = kind in {ReversalKind.PARTIALLY_REFUNDED, ReversalKind.REFUND_FAILED}
    part = [str(_total(amount))] if is_of_a_sum and amount else []
    again = [str(times)] if times > 1 else []
    return ".".join([request.metadata.name, kind, *part, *again])


def _hinted_at(request: FulfillmentRequest, kind: ReversalKind) -> datetime | None:
    hint = request.spec.reversal
    return hint.observed_at if hint is not None and hint.kind is kind else None


def _total(amount: Amount | None) -> int:
    return amount.total if amount else 0
