"""What a person asks for by annotations, or another controller in status, and whether it was handled. Pure.

Each value is handled once: `status.lastHandled` keeps the newest of each kind. `paused` holds as long as it is there.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from fulfillment_api.names import MANUAL_BACKEND
from fulfillment_api.resource import FulfillmentRequest, as_kept
from fulfillment_api.status import LastHandled, Phase, Reason


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing with the order."""

    why: str

    @property
    def message(self) -> str:
        """Say it in a sentence."""
        return f"a person holds the order: {self.why}"


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
class MarkFailed:
    """End the order as failed."""

    why: str
    patched: bool = False
    """Whether `status.manual` says so, and no annotation."""

    @property
    def who(self) -> str:
        """Call who says so."""
        return _who(self.patched)


ManualAction = Pause | Complete | MarkFailed


def manual_action(request: FulfillmentRequest) -> ManualAction | None:
    """Return what a person asks for and was not handled; what ends the order goes before what holds it."""
    annotations, last_handled = request.annotations, handled_before(request)
    if annotations.complete and annotations.complete != last_handled.complete:
        return Complete(annotations.complete)
    if annotations.fail and annotations.fail != last_handled.fail:
        return MarkFailed(annotations.fail)
    patch = _patch(request)
    if patch and _text(patch) != last_handled.manual:
        return patch
    failed_for = last_handled.fail or last_handled.manual
    if failed_for and _is_failed_again(request):
        return MarkFailed(failed_for, patched=last_handled.fail is None)
    return Pause(annotations.paused) if annotations.paused else None


def is_new_pause(request: FulfillmentRequest, pause: Pause) -> bool:
    """Tell whether a pause is yet to be shown. A failed order has nothing left that could be held."""
    status = request.status
    if status is None:
        return True
    if status.phase is Phase.FAILED:
        return False
    shown = (status.reason, status.message) == (Reason.PAUSED, pause.message)
    return not shown or request.has_unobserved_spec


def is_released(request: FulfillmentRequest) -> bool:
    """Tell whether a person said what becomes of an order that a backup brought back without its status.

    Annotations are restored as well. What ended the order ends it again; a retry that came with the backup says nothing
    of what was done since, nor does the failure that went before it.
    """
    match manual_action(request):
        case Complete():
            return True
        case MarkFailed() if request.status is None:
            return not request.annotations.retry
        case MarkFailed():
            return True
        case _:
            return request.status is not None and request.is_retry_requested


def handled_before(request: FulfillmentRequest) -> LastHandled:
    """Return what was handled so far: all that is, of an order that nothing was done with."""
    found = request.status.last_handled if request.status else None
    return found or LastHandled()


def handled_by_restore(request: FulfillmentRequest) -> LastHandled:
    """Return what is handled once a restored order is held: what a person asked for before the backup."""
    if request.status is not None:
        return handled_before(request)
    return LastHandled(retry=request.annotations.retry or None, fail=request.annotations.fail or None)


def has_unhandled_input(request: FulfillmentRequest) -> bool:
    """Tell whether the spec changed, or a person asks for something, and that was not handled."""
    return request.has_unobserved_spec or manual_action(request) is not None or request.is_retry_requested


def latest_retry(request: FulfillmentRequest) -> str:
    """Return the latest retry that a person asked for, handled or not; empty when nobody did."""
    return request.annotations.retry or handled_before(request).retry or ""


def handled_by_reconcile(request: FulfillmentRequest) -> LastHandled:
    """Return what is handled once the order was reconciled: that is the retry that a person asks for."""
    last_handled = handled_before(request)
    return replace(last_handled, retry=request.annotations.retry or last_handled.retry)


def handled_by_ending(request: FulfillmentRequest, done: Complete | MarkFailed) -> LastHandled:
    """Return what is handled once the end that a person asked for is written: also a retry that waited until then."""
    last_handled = handled_by_reconcile(request)
    match done:
        case Complete(patched=True) | MarkFailed(patched=True):
            return replace(last_handled, manual=_text(done))
        case Complete(reference):
            return replace(last_handled, complete=reference)
        case MarkFailed(why):
            return replace(last_handled, fail=why)


def repeats_failure(request: FulfillmentRequest, end: MarkFailed) -> bool:
    """Tell whether an order fails again as a person, or another controller, said before."""
    last_handled = handled_before(request)
    return _is_failed_again(request) and end.why in {last_handled.fail, last_handled.manual}


def _is_failed_again(request: FulfillmentRequest) -> bool:
    """Tell whether the spec of an order that a person failed changed: only a person undoes that, by a retry."""
    status = request.status
    return (
        status is not None
        and status.reason == Reason.MANUALLY_FAILED
        and request.has_unobserved_spec
        and not request.is_retry_requested
    )


def _patch(request: FulfillmentRequest) -> Complete | MarkFailed | None:
    """Read what another controller says of an order that the manual backend has."""
    status = request.status
    if status is None or status.manual is None or status.fulfillment is None:
        return None
    if status.fulfillment.backend != MANUAL_BACKEND:
        return None
    if reference := as_kept(status.manual.complete or ""):
        return Complete(reference, patched=True)
    if why := as_kept(status.manual.fail or ""):
        return MarkFailed(why, patched=True)
    return None


def _text(said: Complete | MarkFailed) -> str:
    return said.reference if isinstance(said, Complete) else said.why


def _who(patched: bool) -> str:  # noqa: FBT001 - the fact itself
    return "another controller" if patched else "a person"
