"""Refunds and disputes, as Stripe knows them and the webhook service hints at them, and what shows of them."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Reversal, ReversalKind
from fulfillment_api.status import ConditionStatus, ConditionType
from fulfillment_local.fake_stripe.model import AfterPayment
from support.running_operator import WITHIN, Shop

SOON = {"reversal_interval": timedelta(seconds=0.2)}
"""Settings by which an operator sweeps fulfilled orders soon."""

_NUMBERS = itertools.count(1)
_COMES = {
    ReversalKind.REFUNDED: AfterPayment.REFUNDED,
    ReversalKind.PARTIALLY_REFUNDED: AfterPayment.PARTLY_REFUNDED,
    ReversalKind.REFUND_FAILED: AfterPayment.REFUND_FAILED,
    ReversalKind.INQUIRY: AfterPayment.INQUIRY,
    ReversalKind.INQUIRY_CLOSED: AfterPayment.INQUIRY_CLOSED,
    ReversalKind.DISPUTED: AfterPayment.DISPUTED,
    ReversalKind.DISPUTE_WON: AfterPayment.DISPUTE_WON,
    ReversalKind.DISPUTE_LOST: AfterPayment.DISPUTE_LOST,
    ReversalKind.DISPUTE_PREVENTED: AfterPayment.DISPUTE_PREVENTED,
    ReversalKind.FRAUD_WARNING: AfterPayment.FRAUD_WARNING,
}


async def hint(
    shop: Shop, name: str, kind: ReversalKind, *, ago: timedelta = timedelta(0), event: str | None = None
) -> None:
    """Write the hint of an event, as the webhook service does."""
    event = event or f"evt_{next(_NUMBERS)}"
    observed = datetime.now(UTC).replace(microsecond=0) - ago
    await shop.patch_spec(name, Reversal(kind=kind, event=event, observed_at=observed))


async def reverse(shop: Shop, name: str, kind: ReversalKind, *, event: str | None = None) -> None:
    """Let Stripe know of it, and hint at it."""
    request = await shop.requests.get(name)
    shop.stripe.world.play_after_payment(request.spec.session.id, _COMES[kind])
    await hint(shop, name, kind, event=event)


async def until(shop: Shop, name: str, holds: Callable[[FulfillmentRequest], bool], what: str) -> FulfillmentRequest:
    """Wait until something holds of a request."""
    last: FulfillmentRequest | None = None
    try:
        async with asyncio.timeout(WITHIN), shop.watching(name) as changes:
            async for request in changes:
                if holds(request):
                    return request
                last = request
    except TimeoutError:
        pass
    raise AssertionError(f"{name} was not {what}: it was {last}")


def has(request: FulfillmentRequest, kind: ConditionType) -> bool:
    """Tell whether a condition is true."""
    found = request.status and request.status.condition(kind)
    return bool(found and found.status is ConditionStatus.TRUE)


def is_handled(request: FulfillmentRequest) -> bool:
    """Tell whether the newest hint was checked with Stripe, and the backend knows what came of it."""
    reversals = request.status.reversals if request.status else None
    return (
        reversals is not None
        and reversals.handled == (request.spec.reversal and request.spec.reversal.id)
        and not reversals.untold
    )


async def reconciled(shop: Shop, name: str, *conditions: ConditionType) -> FulfillmentRequest:
    """Wait until the newest hint was handled, with the backend notified, and the conditions show what it was about."""
    generation = (await shop.requests.get(name)).metadata.generation  # a watch may begin with an older one
    return await until(
        shop,
        name,
        lambda request: (
            request.status is not None
            and request.status.observed_generation == generation
            and is_handled(request)
            and all(has(request, each) for each in conditions)
        ),
        f"seen to, with {conditions}",
    )
