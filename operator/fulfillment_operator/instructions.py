"""What a person asks for by annotations, or another controller in status, and whether it was followed. Pure.

Each value is followed once: `status.obeyed` keeps the newest of each kind. `paused` holds for as long as it is there.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Obeyed, Phase, Reason

MANUAL = "manual"
"""The backend whose orders another controller may end by a patch of status."""

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
    patched: bool = False
    """Whether `status.manual` says so, and no annotation."""

    @property
    def who(self) -> str:
        """Call who says so."""
        return _who(self.patched)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End the order as failed."""

    why: str
    patched: bool = False
    """Whether `status.manual` says so, and no annotation."""

    @property
    def who(self) -> str:
        """Call who says so."""
        return _who(self.patched)


Instruction = Hold | Complete | GiveUp


def instruction(request: FulfillmentRequest) -> Instruction | None:
    """Tell what a person asks for, and was not done; what ends the order goes before what holds it."""
    annotations, obeyed = request.annotations, _obeyed(request)
    reference, why, paused = (_word(each) for each in (annotations.complete, annotations.fail, annotations.paused))
    if reference and reference != obeyed.complete:
        return Complete(reference)
    if why and why != obeyed.fail:
        return GiveUp(why)
    patch = _patch(request)
    if patch and _text(patch) != obeyed.manual:
        return patch
    given_up_for = obeyed.fail or obeyed.manual
    if given_up_for and _is_given_up(request):
        return GiveUp(given_up_for, patched=obeyed.fail is None)
    return Hold(paused) if paused else None


def holds_anew(request: FulfillmentRequest, hold: Hold) -> bool:
    """Tell whether holding the order is news, to be shown. A failed one has nothing left that could be held."""
    status = request.status
    if status is None:
        return True
    if status.phase is Phase.FAILED:
        return False
    shown = status.reason == Reason.PAUSED and status.message.endswith(hold.why)
    return not shown or request.has_news


def is_retry_asked(request: FulfillmentRequest) -> bool:
    """Tell whether a person asks for another try, and was not given it."""
    asked = _word(request.annotations.retry)
    return bool(asked) and asked != _obeyed(request).retry


def is_open(request: FulfillmentRequest) -> bool:
    """Tell whether an order has news, or a person asks something of it, that was not seen to yet."""
    return request.has_news or instruction(request) is not None or is_retry_asked(request)


def newest_retry(request: FulfillmentRequest) -> str:
    """Return the newest wish for another try, followed or not; empty when nobody asked."""
    return _word(request.annotations.retry) or _obeyed(request).retry or ""


def obeyed_by_looking(request: FulfillmentRequest) -> Obeyed | None:
    """Return what is obeyed once the order was looked at: a look is the other try that a person asks for."""
    asked, obeyed = _word(request.annotations.retry), _obeyed(request)
    obeyed = replace(obeyed, retry=asked or obeyed.retry)
    return obeyed if obeyed != Obeyed() else None


def obeyed_by_ending(request: FulfillmentRequest, done: Complete | GiveUp) -> Obeyed:
    """Return what is obeyed once a person's end of the order is written."""
    obeyed = _obeyed(request)
    match done:
        case Complete(patched=True) | GiveUp(patched=True):
            return replace(obeyed, manual=_text(done))
        case Complete(reference):
            return replace(obeyed, complete=reference)
        case GiveUp(why):
            return replace(obeyed, fail=why)


def _is_given_up(request: FulfillmentRequest) -> bool:
    """Tell whether there is news of an order that a person gave up: only a person undoes that, by asking for a try."""
    status = request.status
    return (
        status is not None
        and status.reason == Reason.FAILED_BY_HAND
        and request.has_news
        and not is_retry_asked(request)
    )


def _patch(request: FulfillmentRequest) -> Complete | GiveUp | None:
    """Read what another controller says of an order that the manual backend has."""
    status = request.status
    if status is None or status.manual is None or status.fulfillment is None:
        return None
    if status.fulfillment.backend != MANUAL:
        return None
    if reference := _word(status.manual.complete or ""):
        return Complete(reference, patched=True)
    if why := _word(status.manual.fail or ""):
        return GiveUp(why, patched=True)
    return None


def _text(said: Complete | GiveUp) -> str:
    return said.reference if isinstance(said, Complete) else said.why


def _who(patched: bool) -> str:  # noqa: FBT001 - the fact itself
    return "another controller" if patched else "a person"


def _word(annotation: str) -> str:
    return annotation.strip()[:_KEPT]


def _obeyed(request: FulfillmentRequest) -> Obeyed:
    found = request.status.obeyed if request.status else None
    return found or Obeyed()
