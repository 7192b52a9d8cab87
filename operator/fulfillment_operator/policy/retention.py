"""What need no longer be kept of finished orders, and which of them. Pure: object, time and retention go in.

etcd holds every order for weeks, and its room is bounded. So of one that ended a week ago only the record stays that it
was handled, with what people see of it.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.self_test import is_self_test
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.policy.manual_actions import has_unhandled_input
from fulfillment_operator.policy.notices import is_notice_due
from fulfillment_operator.policy.payment_methods import LONGEST_WAIT
from fulfillment_operator.policy.reversals import is_reversal_due

FINISHED = (Phase.FULFILLED, Phase.FAILED)

TRIMMED_AFTER = timedelta(days=7)
"""How long all of an order is kept after its end."""

# A person decided it, or nothing was bought.
_NOBODY_IS_NEEDED = {
    Reason.MANUALLY_FAILED,
    Reason.REFUNDED,
    Reason.DISPUTE_LOST,
    Reason.SESSION_EXPIRED,
    Reason.PAYMENT_CANCELED,
}

_ENDED_MANUALLY = {Reason.MANUALLY_COMPLETED, Reason.MANUALLY_FAILED}

_SELF_TEST_RETENTION = timedelta(hours=1)
"""A self-test deletes its order itself, unless it is killed. No event about it comes again from Stripe."""

_MIRRORS = {ConditionType.FULFILLED, ConditionType.READY, ConditionType.STALLED}
_SAID_BY_ABSENCE = {ConditionType.READY, ConditionType.STALLED}
"""Of the mirrors, those that kstatus takes for False when they are not there, with the other one True."""


def is_expired(request: FulfillmentRequest, now: datetime, retention: timedelta) -> bool:
    """Tell whether a request may be deleted.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
        retention: how long it is kept after its end, and no event about it is taken that is older.
    """
    kept = retention
    if is_self_test(request.spec.session.id):
        kept = min(retention, _SELF_TEST_RETENTION)
    elif _may_be_paid_later(request):
        kept = retention + LONGEST_WAIT
    if request.metadata.deletion_timestamp is not None or now - request.last_changed_at <= kept:
        return False
    status = request.status
    if status is None or status.phase not in FINISHED or _is_unhandled(request, status):
        return False
    return status.phase is Phase.FULFILLED or request.is_acknowledged or not _needs_a_person(status)


def trimmed(request: FulfillmentRequest, now: datetime) -> Status | None:
    """Return what stays of the status of an order that ended long ago; None: it stays as it is.

    The line items go, of which Stripe has all, and what stands elsewhere, too: the amount of the spec, the message and
    the generation of the status, and of Ready and Stalled the one that is False. What `kubectl wait` waits for stays,
    and all that a refund, a dispute or a manual action is decided by.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
    """
    status = request.status
    if status is None or status.phase not in FINISHED or now - request.last_changed_at <= TRIMMED_AFTER:
        return None
    if request.metadata.deletion_timestamp is not None or _is_unhandled(request, status):
        return None
    order = status.order
    if order is not None:
        order = replace(
            order,
            line_items=[],
            removed_line_items=len(order.line_items) or order.removed_line_items,
            amount=order.amount if order.amount != request.spec.amount else None,
        )
    conditions = [
        replace(each, observed_generation=0, message="" if _is_repeated(each, status) else each.message)
        for each in status.conditions
        if not (each.type in _SAID_BY_ABSENCE and each.status is ConditionStatus.FALSE)
    ]
    rest = replace(status, order=order, conditions=conditions)
    return rest if rest != status else None


def _is_unhandled(request: FulfillmentRequest, status: Status) -> bool:
    """Tell whether the operator has something left to do; of a fulfilled order that is a refund or a dispute alone."""
    if status.phase is Phase.FULFILLED:
        return is_reversal_due(request)
    return has_unhandled_input(request) or is_notice_due(status)


def _may_be_paid_later(request: FulfillmentRequest) -> bool:
    """Tell whether a person ended an order before it was paid: its payment may be an event that is yet to come."""
    status = request.status
    return status is not None and status.reason in _ENDED_MANUALLY and status.paid_at is None


def _is_repeated(condition: Condition, status: Status) -> bool:
    """Tell whether a condition says in its message what the status does."""
    return condition.type in _MIRRORS and condition.message == status.message


def _needs_a_person(status: Status) -> bool:
    """Tell whether a failure asks something of a person, who has to say that it is dealt with.

    A reason that is not known here does.
    """
    if status.reason == Reason.PAYMENT_FAILED:
        notified = status.condition(ConditionType.CUSTOMER_NOTIFIED)
        return notified is None or notified.status is not ConditionStatus.TRUE
    return status.reason not in _NOBODY_IS_NEEDED
