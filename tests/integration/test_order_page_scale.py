"""What a visit costs does not grow with the orders that there are."""

import asyncio
import os
import time

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from support.running_operator import Shop
from support.running_page import RunningOrderPage, order_page

ORDERS = int(os.environ.get("ORDER_PAGE_ORDERS", "1000"))
_VISITS = 40


async def first_byte(page: RunningOrderPage, session_id: str) -> float:
    """Measure the seconds from a visit to the first byte of its page: the shortest, which nothing else delayed."""
    took = []
    for place in range(_VISITS):
        began = time.perf_counter()
        headers = {"X-Forwarded-For": f"203.0.113.{place}"}
        async with page.http.get(page.url(session_id), headers=headers) as response:
            await response.content.readany()
            took.append(time.perf_counter() - began)
            assert response.status == 200
    return min(took)


async def test_the_page_is_as_quick_with_many_orders(shop: Shop, crd: None) -> None:  # noqa: ARG001 - it must be there
    """At most twice the time of an empty cluster, to the first byte."""
    session, other = (f"cs_test_a1{'0' * 50}{place:06}" for place in (0, 1))
    await shop.make(session)
    async with order_page(shop) as page:
        few = await first_byte(page, session)
        at_once = asyncio.Semaphore(8)

        async def make(place: int) -> None:
            session_id = f"{other}x{place}"
            spec = Spec(session=Session(id=session_id, livemode=False), payment=Payment(status=PaymentStatus.PAID))
            async with at_once:
                await shop.requests.create(request_name(session_id), spec)

        await asyncio.gather(*map(make, range(ORDERS)))
        many = await first_byte(page, session)
    print(f"first byte: {few * 1000:.1f} ms of one order, {many * 1000:.1f} ms of {ORDERS:,}")  # noqa: T201 - the figure
    assert many <= 2 * few
