"""Of which refunds and disputes the backend that has, or had, an order does not know, and what follows. Pure."""

from collections.abc import Mapping
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import ConditionType, Reversals, Status
from fulfillment_operator.backends.outcome import Rejected, TryAgain
from fulfillment_operator.policy.conditions import ConditionUpdate
from fulfillment_operator.policy.reversals import CONDITIONS, REASONS, ReversalChange, shown_reversals

Problems: TypeAlias = Mapping[ReversalKind, TryAgain | Rejected]
"""Why a backend does not know of something; what is not there it knows, or need not."""

_UNAWARE = "the backend does not know"
_UNTOLD = f"{_UNAWARE} yet"


def first_to_retry(problems: Problems) -> TryAgain | None:
    """Return why a notice is sent again; None: none is."""
    return next((each for each in problems.values() if isinstance(each, TryAgain)), None)


def with_problems(change: ReversalChange, problems: Problems) -> ReversalChange:
    """Take in what the backend does not know. What it may take later stays to be told, and is shown all the same."""
    if not problems:
        return change
    unaware = {
        CONDITIONS[kind]: f"{_UNTOLD if isinstance(each, TryAgain) else _UNAWARE}: {each.error}"
        for kind, each in problems.items()
    }
    updates = {
        kind: (status, reason, f"{message}; {unaware[kind]}" if kind in unaware else message)
        for kind, (status, reason, message) in change.updates.items()
    }
    untold = [kind for kind, each in problems.items() if isinstance(each, TryAgain)]
    return replace_fields(change, updates=updates, reversals=replace(change.reversals or Reversals(), untold=untold))


def given_up_after_deadline(
    request: FulfillmentRequest, problems: Problems, deadline: timedelta, now: datetime
) -> Problems:
    """Once its deadline is over a notice is not tried any more.

    Args:
        request: the object as it stands in the cluster.
        problems: what came of the notices.
        deadline: how long a backend's passing faults are retried.
        now: the time, with its zone.
    """
    return _given_up(problems) if now > notified_until(request, deadline) else problems


def given_up_unless_swept(request: FulfillmentRequest, problems: Problems) -> Problems:
    """Once its order is fulfilled a notice is tried by the sweep alone, which goes by events.

    Args:
        request: the object as it stands in the cluster.
        problems: what came of the notices.
    """
    return problems if request.spec.reversal is not None else _given_up(problems)


def notified_until(request: FulfillmentRequest, deadline: timedelta) -> datetime:
    """Tell until when a backend that does not take a notice is tried: from its event, or else the first dispatch, on.

    Args:
        request: the object as it stands in the cluster.
        deadline: how long a backend's passing faults are retried.
    """
    hint, tries = request.spec.reversal, request.status.fulfillment if request.status else None
    begun = (hint.observed_at if hint else None) or (tries.started_at if tries else None)
    return (begun or request.metadata.creation_timestamp) + deadline


def is_notice_due(status: Status) -> bool:
    """Tell whether the backend does not know yet of a refund or a dispute, and is to be notified again."""
    return status.reversals is not None and bool(status.reversals.untold)


def notices_left_off(status: Status | None) -> dict[ConditionType, ConditionUpdate]:
    """Say of what the backend does not know yet that nobody notifies it any more.

    Args:
        status: as it stood.
    """
    return {
        CONDITIONS[kind]: (each.status, REASONS[kind], each.message.replace(_UNTOLD, _UNAWARE))
        for kind in shown_reversals(status)
        if status and (each := status.condition(CONDITIONS[kind])) and _UNTOLD in each.message
    }


def without_untold(status: Status, change: ReversalChange) -> ReversalChange:
    """Leave off what the backend was to be told.

    Args:
        status: as it stood.
        change: what is new.
    """
    reversals = change.reversals or status.reversals
    updates = {**notices_left_off(status), **change.updates}
    return replace_fields(change, updates=updates, reversals=replace(reversals, untold=[]) if reversals else None)


def _given_up(problems: Problems) -> Problems:
    return {kind: Rejected(each.error) for kind, each in problems.items()}
