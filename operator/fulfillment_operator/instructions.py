"""What a person asks for by annotations, and whether it was followed. Pure.

Each value is followed once: `status.obeyed` keeps the newest of each kind. `paused` holds for as long as it is there.
"""

from dataclasses import dataclass

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Obeyed, Phase, Reason

_KEPT = 1024
"""How many characters of a value status keeps: those tell one wish from another."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing with the order."""

    why: str


@dataclass(frozen=True, slots=True)
class Complete:
    """Take the order for fulfilled."""

    reference: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the order as failed."""

    why: str


Instruction = Hold | Complete | GiveUp


def instruction(request: FulfillmentRequest) -> Instruction | None:
    """Tell what a person asks for, and was not done; what ends the order goes before what holds it."""
    annotations, obeyed = request.annotations, _obeyed(request)
    reference, why, paused = (_word(each) for each in (annotations.complete, annotations.fail, annotations.paused))
    if reference and reference != obeyed.complete:
        return Complete(reference)
    if why and why != obeyed.fail:
        return GiveUp(why)
    if _is_given_up(request) and obeyed.fail is not None:
        return GiveUp(obeyed.fail)
    return Hold(paused) if paused else None


def holds_anew(request: FulfillmentRequest, hold: Hold) -> bool:
    """Tell whether holding the order is news, to be shown. A failed one has nothing left that could be held."""
    status = request.status
    if status is None:
        return True
    if status.phase is Phase.FAILED:
        return False
    shown = status.reason == Reason.PAUSED and status.message.endswith(hold.why)
    return not shown or status.observed_generation != request.metadata.generation


def is_retry_asked(request: FulfillmentRequest) -> bool:
    """Tell whether a person asks for another try, and was not given it."""
    asked = _word(request.annotations.retry)
    return bool(asked) and asked != _obeyed(request).retry


def newest_retry(request: FulfillmentRequest) -> str:
    """Return the newest wish for another try, followed or not; empty when nobody asked."""
    return _word(request.annotations.retry) or _obeyed(request).retry or ""


def obeyed_by_looking(request: FulfillmentRequest) -> Obeyed | None:
    """Return what is obeyed once the order was looked at: a look is the other try that a person asks for."""
    asked, obeyed = _word(request.annotations.retry), _obeyed(request)
    obeyed = Obeyed(retry=asked or obeyed.retry, complete=obeyed.complete, fail=obeyed.fail)
    return obeyed if obeyed != Obeyed() else None


def obeyed_by_ending(request: FulfillmentRequest, done: Complete | GiveUp) -> Obeyed:
    """Return what is obeyed once a person's end of the order is written."""
    obeyed = _obeyed(request)
    match done:
        case Complete(reference):
            return Obeyed(retry=obeyed.retry, complete=reference, fail=obeyed.fail)
        case GiveUp(why):
            return Obeyed(retry=obeyed.retry, complete=obeyed.complete, fail=why)


def _is_given_up(request: FulfillmentRequest) -> bool:
    """Tell whether there is news of an order that a person gave up: only a person undoes that, by asking for a try."""
    status = request.status
    return (
        status is not None
        and status.reason == Reason.FAILED_BY_HAND
        and status.observed_generation != request.metadata.generation
        and not is_retry_asked(request)
    )


def _word(annotation: str) -> str:
    return annotation.strip()[:_KEPT]


def _obeyed(request: FulfillmentRequest) -> Obeyed:
    found = request.status.obeyed if request.status else None
    return found or Obeyed()
