"""Annotations of ours that are invalid. Pure."""

import difflib

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase

_PREFIX = f"{names.GROUP}/"
_MEANT = {
    names.PAUSED: "say why the order is held",
    names.RETRY: "give it a value that it did not have before, such as the time",
    names.COMPLETE: "give it the reference of what was done",
    names.FAIL: "say why the order is not to be fulfilled",
    names.ACKNOWLEDGED: "give it the reason of the failure",
}


def annotation_errors(request: FulfillmentRequest) -> tuple[str, ...]:
    """Say what is wrong with a request's annotations, in sentences for the person who wrote them."""
    ours = {name: value for name, value in request.metadata.annotations.items() if name.startswith(_PREFIX)}
    return tuple(error for name, value in sorted(ours.items()) if (error := _error(request, name, value)))


def _error(request: FulfillmentRequest, name: str, value: str) -> str | None:
    if name not in _MEANT:
        close = difflib.get_close_matches(name, _MEANT, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(_MEANT))}"
        return f"the annotation {name} means nothing: {hint}"
    if not value.strip():
        return f"the annotation {name} is empty: {_MEANT[name]}"
    status = request.status
    failed = status is not None and status.phase is Phase.FAILED
    if name == names.ACKNOWLEDGED and status is not None and failed and not request.is_acknowledged:
        return f"the annotation {name} acknowledges nothing: to be heard it must name {status.reason}, before a colon"
    return None
