"""What a person asks for: whether it may be asked, by which annotations, and whether the operator obeyed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import assert_never

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionStatus, ConditionType, Obeyed, Phase, Reason, Status

LONGEST_WORD = 500
"""Characters of what a person says: status keeps 1024, and so all of it, with who said it."""
LONGEST_REFERENCE = 255
"""Characters of a reference: as many as `status.fulfillment.reference` holds."""
_LONGEST_USER = 200
_NOT_SAID = "no reason was given"


@unique
class Verb(StrEnum):
    """What may be asked for."""

    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    FAIL = "fail"
    ACKNOWLEDGE = "acknowledge"


PAST = {
    Verb.RETRY: "retried",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
    Verb.COMPLETE: "completed",
    Verb.FAIL: "failed",
    Verb.ACKNOWLEDGE: "acknowledged",
}
EVENT_REASONS = {
    Verb.RETRY: "RetryAsked",
    Verb.PAUSE: "PauseAsked",
    Verb.RESUME: "ResumeAsked",
    Verb.COMPLETE: "CompleteAsked",
    Verb.FAIL: "FailAsked",
    Verb.ACKNOWLEDGE: "Acknowledged",
}
"""The reason of the Event that tells who asked for it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for."""

    verb: Verb
    word: str = ""
    """Why it is paused or failed, the reference it is completed by, or what was done about the failure."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and when."""

    at: datetime
    """In UTC, in whole seconds."""
    user: str | None
    """As the API server names them; None when it does not tell."""

    def __str__(self) -> str:
        """Say it as it stands in an annotation: `2026-11-24T16:00:00Z by alice`."""
        time = self.at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{time} by {self.user[:_LONGEST_USER]}" if self.user else time


def refusal(verb: Verb, request: FulfillmentRequest) -> str | None:
    """Tell why this cannot be asked of the request as it stands; None when it can."""
    status, paused = request.status, request.annotations.paused
    if verb is Verb.RESUME:
        return None if paused else "is not paused"
    if status is None:
        seen = verb not in {Verb.RETRY, Verb.ACKNOWLEDGE}
        return None if seen else "was not looked at yet: is the operator running?"
    state = f"is {status.phase} ({status.reason})"
    match verb:
        case Verb.ACKNOWLEDGE if _is_disputed(status):
            return None
        case _ if status.phase is Phase.FULFILLED:
            return f"{state}: nothing changes it any more"
        case Verb.RETRY if paused:
            return f"is paused ({paused}): resume it first"
        case Verb.PAUSE if status.phase is Phase.FAILED:
            return f"{state}: nothing is left to be held"
        case Verb.ACKNOWLEDGE if status.phase is not Phase.FAILED:
            return f"{state}: it did not fail"
    return None


def _is_disputed(status: Status) -> bool:
    """Tell whether the buyer disputed the payment of a fulfilled order: that waits for somebody, as a failure does."""
    found = status.condition(ConditionType.DISPUTED)
    return status.phase is Phase.FULFILLED and found is not None and found.status is ConditionStatus.TRUE


def doubt(verb: Verb, request: FulfillmentRequest) -> str | None:
    """Tell what a person may have overlooked; None when there is nothing."""
    if verb is not Verb.COMPLETE:
        return None
    conditions = request.status.conditions if request.status else []
    true = {each.type for each in conditions if each.status is ConditionStatus.TRUE}
    if ConditionType.PAID not in true:
        return "is not paid, as far as Stripe was asked"
    taken_back = [each for each in (ConditionType.REFUNDED, ConditionType.DISPUTED) if each in true]
    return f"is {taken_back[0].lower()}" if taken_back else None


def annotations(wish: Wish, request: FulfillmentRequest, asker: Asker) -> dict[str, str | None]:
    """Return the annotations that say it: name → value, None for one that goes.

    Another try is asked for with a clean slate: what ended the order before, and the acknowledgement of that failure,
    would else hold for the next one, too.
    """
    match wish.verb:
        case Verb.RETRY:
            return {names.RETRY: str(asker), names.FAIL: None, names.ACKNOWLEDGED: None}
        case Verb.PAUSE:
            return {names.PAUSED: f"{wish.word or _NOT_SAID} ({asker})"}
        case Verb.RESUME:
            return {names.PAUSED: None}
        case Verb.COMPLETE:  # the reference is read by programs, so it stands alone: the Event says who said it
            return {names.COMPLETE: wish.word or str(asker)}
        case Verb.FAIL:  # with the time, since the operator follows each value once
            return {names.FAIL: f"{wish.word or _NOT_SAID} ({asker})"}
        case Verb.ACKNOWLEDGE:
            status = request.status
            reason = Reason.DISPUTED if status and _is_disputed(status) else status.reason if status else ""
            return {names.ACKNOWLEDGED: f"{reason}: {wish.word} ({asker})" if wish.word else f"{reason}: {asker}"}
        case _:
            assert_never(wish.verb)


def is_obeyed(verb: Verb, asked: Mapping[str, str | None], request: FulfillmentRequest) -> bool:
    """Tell whether the operator followed what `annotations` said."""
    status = request.status
    obeyed = status.obeyed if status and status.obeyed else Obeyed()
    match verb:
        case Verb.RETRY:
            return obeyed.retry == asked[names.RETRY]
        case Verb.PAUSE:
            return (
                status is not None
                and status.reason == Reason.PAUSED
                and status.message.endswith(asked[names.PAUSED] or "")
            )
        case Verb.RESUME:
            return status is not None and status.reason != Reason.PAUSED
        case Verb.COMPLETE:
            return obeyed.complete == asked[names.COMPLETE]
        case Verb.FAIL:
            return obeyed.fail == asked[names.FAIL]
        case Verb.ACKNOWLEDGE:  # it changes what is told of the order, and not the order
            return True
        case _:
            assert_never(verb)


def event_note(wish: Wish, asker: Asker) -> str:
    """Say in an Event who asked for what."""
    who = f" by {asker.user[:_LONGEST_USER]}" if asker.user else ""
    return f"{PAST[wish.verb]}{who}" + (f": {wish.word}" if wish.word else "")
