"""The manual actions: whether one is allowed, by which annotations, and whether the operator handled it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import assert_never

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionStatus, ConditionType, LastHandled, Phase, Reason
from fulfillment_cli.state import state_of

LONGEST_TEXT = 500
"""Characters of an action's text: with who requested it, fewer than status keeps (`LONGEST_MESSAGE`)."""
_LONGEST_USER = 200
_ANNOTATIONS_SUFFICE_FROM = 101  # orders: an Event about each takes as long as all else, and is gone in an hour
_NO_REASON = "no reason was given"


@unique
class Verb(StrEnum):
    """The kinds of manual actions."""

    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    FAIL = "fail"
    ACKNOWLEDGE = "acknowledge"


PAST_PARTICIPLES = {
    Verb.RETRY: "retried",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
    Verb.COMPLETE: "completed",
    Verb.FAIL: "failed",
    Verb.ACKNOWLEDGE: "acknowledged",
}
EVENT_REASONS = {
    Verb.RETRY: "RetryRequested",
    Verb.PAUSE: "PauseRequested",
    Verb.RESUME: "ResumeRequested",
    Verb.COMPLETE: "CompleteRequested",
    Verb.FAIL: "FailRequested",
    Verb.ACKNOWLEDGE: "Acknowledged",
}
"""The reason of the Event that says who requested it."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a person requests."""

    verb: Verb
    text: str = ""
    """Why it is paused or failed, the reference it is completed by, or what was done about the failure."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who requests it, and when."""

    at: datetime
    """In UTC, in whole seconds."""
    user: str | None
    """As the API server names them; None when it does not tell."""

    def __str__(self) -> str:
        """Say it as it stands in an annotation: `2026-11-24T16:00:00Z by alice`."""
        time = self.at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{time} by {self.user[:_LONGEST_USER]}" if self.user else time


def failed_precondition(verb: Verb, request: FulfillmentRequest) -> str | None:
    """Return why the request, as it stands, does not allow this; None when it does."""
    status, paused = request.status, request.annotations.paused
    if verb is Verb.RESUME:
        return None if paused else "is not paused"
    if status is None:
        allowed = verb not in {Verb.RETRY, Verb.ACKNOWLEDGE}
        return None if allowed else "was not reconciled yet: is the operator running?"
    state = f"is {status.phase} ({status.reason})"
    match verb:
        case Verb.ACKNOWLEDGE if request.reasons_to_acknowledge:
            return None
        case _ if status.phase is Phase.FULFILLED:
            return f"{state}: nothing changes it any more"
        case Verb.RETRY if paused:
            return f"is paused ({paused}): resume it first"
        case Verb.PAUSE if status.reason == Reason.RESTORED:
            return f"{state}: it is held until it is completed, failed or retried"
        case Verb.PAUSE if status.phase is Phase.FAILED:
            return f"{state}: nothing is left to pause"
        case Verb.ACKNOWLEDGE:
            return f"{state}: it did not fail"
    return None


def warning(verb: Verb, request: FulfillmentRequest) -> str | None:
    """Return what a person may have overlooked; None when there is nothing."""
    if verb is not Verb.COMPLETE:
        return None
    status, payment = request.status, request.spec.payment.status
    if status is not None and status.reason == Reason.RESTORED:  # Stripe was not asked, so the event is all there is
        return None if payment.is_settled else f"has a payment that is {payment}, as its event said"
    conditions = status.conditions if status else []
    true = {each.type for each in conditions if each.status is ConditionStatus.TRUE}
    if ConditionType.PAID not in true:
        return "is not paid, as far as Stripe was asked"
    reversed_by = [each for each in (ConditionType.REFUNDED, ConditionType.DISPUTED) if each in true]
    return f"is {reversed_by[0].lower()}" if reversed_by else None


def changed_meanwhile(verb: Verb, selected: FulfillmentRequest, request: FulfillmentRequest) -> str | None:
    """Return what a request has become since a person selected it; None where it is as it was, as far as they saw it.

    A pause holds whatever the order has come to.
    """
    before, after = _as_selected(verb, selected), _as_selected(verb, request)
    if verb is Verb.PAUSE or before == after:
        return None
    news = (fact for fact, known in zip(after, before, strict=True) if fact != known)
    return f"changed meanwhile: is now {', '.join(filter(None, dict.fromkeys([state_of(request), *news])))}"


def _as_selected(verb: Verb, request: FulfillmentRequest) -> tuple[str, ...]:
    """Return what a person goes by: how the order stands, what they confirm, and what else it may be selected by."""
    status, reversal = request.status, request.spec.reversal
    open_beside = (each for each in request.reasons_to_acknowledge if status and each != status.reason)
    return (
        state_of(request),
        "acknowledged" if request.is_acknowledged else "not acknowledged",
        "+".join(open_beside),
        f"it {why}" if (why := warning(verb, request)) else "",
        f"payment {request.spec.payment.status}",
        reversal.kind if reversal else "",
    )


def annotations(action: Action, request: FulfillmentRequest, actor: Actor) -> dict[str, str | None]:
    """Return the annotations that request it: name → value, None for one that is removed.

    A retry begins with a clean slate: what ended the order before, and the acknowledgement of that failure,
    would else hold for the next one, too.
    """
    match action.verb:
        case Verb.RETRY:
            return {names.RETRY: str(actor), names.FAIL: None, names.ACKNOWLEDGED: None}
        case Verb.PAUSE:
            return {names.PAUSED: f"{action.text or _NO_REASON} ({actor})"}
        case Verb.RESUME:
            return {names.PAUSED: None}
        case Verb.COMPLETE:  # the reference is read by programs, so it stands alone: the Event says whose it is
            return {names.COMPLETE: action.text or str(actor)}
        case Verb.FAIL:  # with the time, since the operator follows each value once
            return {names.FAIL: f"{action.text or _NO_REASON} ({actor})"}
        case Verb.ACKNOWLEDGE:  # of all at once: the value is replaced, and what it does not name alerts again
            reasons = ",".join(request.reasons_to_acknowledge)
            return {names.ACKNOWLEDGED: f"{reasons}: {action.text} ({actor})" if action.text else f"{reasons}: {actor}"}
        case _:
            assert_never(action.verb)


def is_handled(verb: Verb, requested: Mapping[str, str | None], request: FulfillmentRequest) -> bool:
    """Tell whether the operator handled what `annotations` requested."""
    status = request.status
    last_handled = status.last_handled if status and status.last_handled else LastHandled()
    match verb:
        case Verb.RETRY:
            return last_handled.retry == requested[names.RETRY]
        case Verb.PAUSE:
            return (
                status is not None
                and status.reason == Reason.PAUSED
                and status.message.endswith(requested[names.PAUSED] or "")
            )
        case Verb.RESUME:
            return status is not None and status.reason != Reason.PAUSED
        case Verb.COMPLETE:
            return last_handled.complete == requested[names.COMPLETE]
        case Verb.FAIL:
            return last_handled.fail == requested[names.FAIL]
        case Verb.ACKNOWLEDGE:  # it changes what is shown of the order, and not the order
            return True
        case _:
            assert_never(verb)


def overtaken(verb: Verb, request: FulfillmentRequest) -> str | None:
    """Return why the operator will never handle what was requested and is not handled; None while it may."""
    status = request.status
    if status is None or verb in {Verb.RESUME, Verb.ACKNOWLEDGE}:
        return None
    if status.phase is Phase.FULFILLED:
        return "was fulfilled meanwhile: nothing changes it any more"
    if verb is Verb.PAUSE and status.phase is Phase.FAILED:
        return f"failed meanwhile ({status.reason}): nothing is left to pause"
    return None


def needs_events(verb: Verb, orders: int) -> bool:
    """Tell whether Events say who requested an action, or the annotations alone: those of very many orders.

    Args:
        verb: what is requested.
        orders: of how many at once.
    """
    names_actor = verb in {Verb.RETRY, Verb.PAUSE, Verb.FAIL, Verb.ACKNOWLEDGE}
    return orders < _ANNOTATIONS_SUFFICE_FROM or not names_actor


def event_note(action: Action, actor: Actor) -> str:
    """Write the message of the Event: who requested what."""
    who = f" by {actor.user[:_LONGEST_USER]}" if actor.user else ""
    return f"{PAST_PARTICIPLES[action.verb]}{who}" + (f": {action.text}" if action.text else "")
