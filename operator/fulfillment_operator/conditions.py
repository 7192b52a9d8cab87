"""Conditions of a status, as metav1.Condition wants them merged. Pure."""

from collections.abc import Mapping
from datetime import datetime

from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Reason, Status

Aspect = tuple[ConditionStatus, Reason, str]
"""What is decided of one aspect of an order: its status, its reason, and a message for a person."""


def truth(holds: bool) -> ConditionStatus:  # noqa: FBT001 - the fact itself
    """Say it as a condition does."""
    return ConditionStatus.TRUE if holds else ConditionStatus.FALSE


def merged(
    before: Status | None, aspects: Mapping[ConditionType, Aspect], generation: int, now: datetime
) -> list[Condition]:
    """Merge what is decided into what stands: an aspect not spoken of stays, a status unchanged keeps its time."""
    conditions: dict[str, Condition] = {each.type: each for each in (before.conditions if before else ())}
    for kind, (status, reason, message) in aspects.items():
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
