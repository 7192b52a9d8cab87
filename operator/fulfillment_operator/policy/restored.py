"""Which requests a backup brought back, without their status or with it. Pure.

The API server drops the status of an object that is created, so a restored order looks as new as one that was just
placed. Its spec tells: what it says was observed before the object was there. Where a tool writes the status as well,
as Velero may, it is of the generations of the object before, which the API server counts anew.
"""

from datetime import timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Status
from fulfillment_operator.policy.conditions import of_generation

_CLOCKS_DIFFER = timedelta(minutes=10)
"""At most, of the service, which notes when it observed something, and the API server, which notes the creation.

An event whose signature is five minutes from the service's clock is rejected (Stripe's own tolerance; the service
allows nine at most), so that clock is no further off; nor should the API server's be. A new order is created seconds
after its event was observed, by a recovery as well, which notes when it received the event.
"""


def is_restored(request: FulfillmentRequest) -> bool:
    """Tell whether a backup brought a request back without its status.

    Any of the times of its spec says so: what came since the restore, such as a refund, must not make it a new order.
    """
    spec, created = request.spec, request.metadata.creation_timestamp
    hints = (spec.payment, spec.callback, spec.rejected_callback, spec.reversal, spec.expiry)
    times = [hint.observed_at for hint in hints if hint is not None and hint.observed_at is not None]
    return request.status is None and any(created - time > _CLOCKS_DIFFER for time in times)


def adopted_status(request: FulfillmentRequest) -> Status | None:
    """Return the status of an object before as one of this object's spec; None where it is this object's own.

    Else it would look as if the spec had changed: now, so that a failed order is handed over again; and not when an
    event does change it, and the generations meet.
    """
    status, generation = request.status, request.metadata.generation
    if status is None or status.observed_generation <= generation:
        return None
    return of_generation(status, generation)
