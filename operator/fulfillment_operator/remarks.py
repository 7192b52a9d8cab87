"""What was said of an order and not taken for true: odd annotations, refused callbacks. Conditions show it. Pure."""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, RefusedCallback
from fulfillment_api.status import ConditionStatus, ConditionType, Reason, Status
from fulfillment_operator.conditions import Aspect, merged
from fulfillment_operator.odd_annotations import odd_annotations

REMARKS = (ConditionType.ANNOTATIONS_UNDERSTOOD, ConditionType.CALLBACK_ACCEPTED)
"""The conditions that are there only once something was odd, and become true when it is mended."""

_LONGEST = 4096
"""Characters of a message: a person may write any number of annotations."""
_UNDERSTOOD: Aspect = (ConditionStatus.TRUE, Reason.UNDERSTOOD, "every annotation is understood")
_ACCEPTED: Aspect = (ConditionStatus.TRUE, Reason.CALLBACK_ACCEPTED, "a later callback was the backend's")


def remarked(request: FulfillmentRequest, now: datetime) -> Status | None:
    """Return the status with what is to be remarked; None when it shows all of that, or there is none yet.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
    """
    status = request.status
    if status is None:
        return None
    aspects = {kind: aspect for kind, aspect in _aspects(request, status) if _is_news(status, kind, aspect)}
    if not aspects:
        return None
    return replace(status, conditions=merged(status, aspects, request.metadata.generation, now))


def _aspects(request: FulfillmentRequest, status: Status) -> Iterator[tuple[ConditionType, Aspect]]:
    odd = "; ".join(odd_annotations(request))[:_LONGEST]
    if odd:
        yield ConditionType.ANNOTATIONS_UNDERSTOOD, (ConditionStatus.FALSE, Reason.ODD_ANNOTATION, odd)
    elif status.condition(ConditionType.ANNOTATIONS_UNDERSTOOD):
        yield ConditionType.ANNOTATIONS_UNDERSTOOD, _UNDERSTOOD
    refused = request.spec.refused_callback
    if refused is not None:
        message = f"a callback was refused: {refused.message}"
        yield (
            ConditionType.CALLBACK_ACCEPTED,
            _ACCEPTED
            if _is_outdone(refused, request.spec.callback)
            else (ConditionStatus.FALSE, Reason.CALLBACK_REFUSED, message),
        )


def _is_outdone(refused: RefusedCallback, callback: Callback | None) -> bool:
    return callback is not None and callback.observed_at is not None and callback.observed_at >= refused.observed_at


def _is_news(status: Status, kind: ConditionType, aspect: Aspect) -> bool:
    shown = status.condition(kind)
    return shown is None or (shown.status, shown.reason, shown.message) != aspect
