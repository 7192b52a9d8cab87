"""What comes after the sale, as Stripe knows it and the webhook service hints at it, and what shows of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Sale, SaleKind
from fulfillment_api.status import ConditionStatus, ConditionType
from fulfillment_local.stripe_world.model import AfterSale
from running_operator import WITHIN, Shop

SOON = {"after_sale_interval": timedelta(seconds=0.2)}
"""Settings by which an operator looks at fulfilled orders soon."""

_ENDED = {SaleKind.REFUNDED: AfterSale.REFUNDED, SaleKind.DISPUTED: AfterSale.DISPUTED}


async def hint(shop: Shop, name: str, kind: SaleKind, *, ago: timedelta = timedelta(0)) -> None:
    """Write the hint of an event, as the webhook service does."""
    observed = datetime.now(UTC).replace(microsecond=0) - ago
    await shop.requests.update(await shop.requests.get(name), Sale(kind=kind, event="evt_1", observed_at=observed))


async def come_after(shop: Shop, name: str, kind: SaleKind) -> None:
    """Let Stripe know of it, and hint at it."""
    request = await shop.requests.get(name)
    shop.stripe.world.come_after(request.spec.session.id, _ENDED[kind])
    await hint(shop, name, kind)


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


async def seen_to(shop: Shop, name: str, *conditions: ConditionType) -> FulfillmentRequest:
    """Wait until the newest hint was looked at, and the conditions show what it was about."""
    return await until(
        shop,
        name,
        lambda request: (
            request.status is not None
            and request.status.observed_generation == request.metadata.generation
            and all(has(request, each) for each in conditions)
        ),
        f"seen to, with {conditions}",
    )
