"""Which finished orders need no longer be kept. Pure: the object, the time and the retention go in."""

from datetime import datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_operator.after_sale import is_due
from fulfillment_operator.instructions import is_open

FINISHED = (Phase.FULFILLED, Phase.FAILED)

# A person decided it, or nothing was bought.
_NOBODY_IS_NEEDED = {Reason.FAILED_BY_HAND, Reason.REFUNDED, Reason.SESSION_EXPIRED, Reason.NOTHING_TO_FULFILL}


def may_go(request: FulfillmentRequest, now: datetime, retention: timedelta) -> bool:
    """Tell whether a request may be deleted.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
        retention: how long it is kept after its end.
    """
    if request.metadata.deletion_timestamp is not None or now - request.last_changed_at <= retention:
        return False
    match request.status:
        case Status(phase=Phase.FULFILLED):
            return not is_due(request)
        case Status(phase=Phase.FAILED) as status:
            return not is_open(request) and (request.is_acknowledged or not _needs_a_person(status))
        case _:
            return False


def _needs_a_person(status: Status) -> bool:
    """Tell whether a failure asks something of a person, who has to say that it is dealt with.

    A reason that is not known here does.
    """
    if status.reason == Reason.PAYMENT_FAILED:
        told = status.condition(ConditionType.CUSTOMER_NOTIFIED)
        return told is None or told.status is not ConditionStatus.TRUE
    return status.reason not in _NOBODY_IS_NEEDED
