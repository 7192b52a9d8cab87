"""How it is said in a few words where an order stands. Pure; loads next to nothing, as completion needs it."""

from fulfillment_api.resource import FulfillmentRequest

UNSEEN = "not reconciled yet"
"""Of an order that no operator has looked at: it is in no phase."""


def state_of(request: FulfillmentRequest) -> str:
    """Say an order's phase and reason: `failed (PaymentFailed)`."""
    status = request.status
    return f"{status.phase} ({status.reason})" if status else UNSEEN
