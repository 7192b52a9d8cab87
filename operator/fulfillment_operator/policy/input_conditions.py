"""Conditions about what others write onto a request: invalid annotations, rejected callbacks. Pure."""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, RejectedCallback
from fulfillment_api.status import ConditionStatus, ConditionType, Reason, Status
from fulfillment_operator.policy.annotations import annotation_errors
from fulfillment_operator.policy.conditions import ConditionUpdate, merged

_LONGEST = 4096
"""Characters of a message: a person may write any number of annotations."""
_VALID: ConditionUpdate = (ConditionStatus.TRUE, Reason.ANNOTATIONS_VALID, "every annotation is understood")
_ACCEPTED: ConditionUpdate = (ConditionStatus.TRUE, Reason.CALLBACK_ACCEPTED, "a later callback was the backend's")


def with_input_conditions(request: FulfillmentRequest, now: datetime) -> Status | None:
    """Return the status with these conditions; None when it shows them as they are, or there is none yet.

    Args:
        request: the object as it stands in the cluster.
        now: the time, with its zone.
    """
    status = request.status
    if status is None:
        return None
    updates = {kind: update for kind, update in _updates(request, status) if _is_new(status, kind, update)}
    if not updates:
        return None
    # Only shown: the spec was not reconciled, so every condition stays one of the generation that the status is of.
    return replace(status, conditions=merged(status, updates, status.observed_generation, now))


def _updates(request: FulfillmentRequest, status: Status) -> Iterator[tuple[ConditionType, ConditionUpdate]]:
    errors = "; ".join(annotation_errors(request))[:_LONGEST]
    if errors:
        yield ConditionType.ANNOTATIONS_VALID, (ConditionStatus.FALSE, Reason.INVALID_ANNOTATION, errors)
    elif status.condition(ConditionType.ANNOTATIONS_VALID):
        yield ConditionType.ANNOTATIONS_VALID, _VALID
    rejected = request.spec.rejected_callback
    if rejected is not None:
        message = f"a callback was rejected: {rejected.message}"
        yield (
            ConditionType.CALLBACK_ACCEPTED,
            _ACCEPTED
            if _is_superseded(rejected, request.spec.callback)
            else (ConditionStatus.FALSE, Reason.CALLBACK_REJECTED, message),
        )


def _is_superseded(rejected: RejectedCallback, callback: Callback | None) -> bool:
    return callback is not None and callback.observed_at is not None and callback.observed_at >= rejected.observed_at


def _is_new(status: Status, kind: ConditionType, update: ConditionUpdate) -> bool:
    shown = status.condition(kind)
    return shown is None or (shown.status, shown.reason, shown.message) != update
