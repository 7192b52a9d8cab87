"""Which callback is about the try that a backend has taken. Pure."""

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback
from fulfillment_api.status import Fulfillment


def callback_of(request: FulfillmentRequest, tries: Fulfillment | None) -> Callback | None:
    """Return the backend's callback, unless it is about an earlier try.

    Args:
        request: the object as it stands in the cluster.
        tries: what the backend did so far; None when it did nothing, or a person asks to begin anew.
    """
    callback = request.spec.callback
    if callback is None or tries is None or callback.observed_at is None or callback.observed_at < tries.started_at:
        return None
    return callback


def has_called_back(request: FulfillmentRequest) -> bool:
    """Tell whether the backend took the order, and has said since what became of it: asking it hands nothing over."""
    tries = request.status.fulfillment if request.status else None
    return tries is not None and tries.accepted_at is not None and callback_of(request, tries) is not None
