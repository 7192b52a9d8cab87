"""Conditions of a status, as metav1.Condition wants them merged. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status

ConditionUpdate = tuple[ConditionStatus, Reason, str]
"""What is decided of one aspect of an order: its status, its reason, and a message for a person."""


def truth(holds: bool) -> ConditionStatus:  # noqa: FBT001 - the fact itself
    """Say it as a condition does."""
    return ConditionStatus.TRUE if holds else ConditionStatus.FALSE


def merged(
    before: Status | None, updates: Mapping[ConditionType, ConditionUpdate], generation: int, now: datetime
) -> list[Condition]:
    """Merge what is decided into what stands: an aspect not spoken of stays, a status unchanged keeps its time.

    Args:
        before: what stands.
        updates: what is decided.
        generation: the status' `observedGeneration`. All conditions get it, also those that stay: `kubectl wait` takes
            a condition of an older generation than the object's for one that may still change.
        now: the time, with its zone.
    """
    conditions = {each.type: each for each in _of_generation(before.conditions if before else (), generation)}
    for kind, (status, reason, message) in updates.items():
        old = conditions.get(kind)
        conditions[kind] = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=old.last_transition_time if old and old.status is status else now,
            observed_generation=generation,
        )
    return list(conditions.values())


def observed(request: FulfillmentRequest) -> Status | None:
    """Return the status of a fulfilled order as one of its newest spec; None when nothing is to be written.

    A hint or a callback may reach the spec while the order is fulfilled on an older one. Nothing that it says can
    change the order any more, and nothing watches it, so it would stay unobserved. A reversal is the sweep's.
    """
    status, generation = request.status, request.metadata.generation
    if status is None or status.phase is not Phase.FULFILLED or not request.has_unobserved_spec:
        return None
    if request.spec.reversal is not None:
        return None
    return of_generation(status, generation)


def of_generation(status: Status, generation: int) -> Status:
    """Return a status, with its conditions, as one of another generation of the spec."""
    return replace(
        status, observed_generation=generation, conditions=list(_of_generation(status.conditions, generation))
    )


def _of_generation(conditions: Iterable[Condition], generation: int) -> Iterator[Condition]:
    return (replace(each, observed_generation=generation) for each in conditions)
