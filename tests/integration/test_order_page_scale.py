"""What a visit costs does not grow with the orders that there are."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from fulfillment_api.names import request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_local.control_plane import ControlPlane
from support.namespaces import make_namespace
from support.running_operator import Shop, open_shop
from support.running_page import RunningOrderPage, order_page

ORDERS = int(os.environ.get("ORDER_PAGE_ORDERS", "1000"))
_VISITS = 40


@pytest.fixture
async def other_shop(control_plane: ControlPlane) -> AsyncIterator[Shop]:
    """Open a shop in a namespace of its own."""
    async with open_shop(control_plane, await make_namespace(control_plane)) as shop:
        yield shop


async def first_byte(page: RunningOrderPage, session_id: str, visitor: int) -> float:
    """Measure the seconds from a visit to the first byte of its page."""
    began = time.perf_counter()
    headers = {"X-Forwarded-For": f"203.0.113.{visitor}"}
    async with page.http.get(page.url(session_id), headers=headers) as response:
        await response.content.readany()
        took = time.perf_counter() - began
        assert response.status == 200
    return took


async def test_the_page_is_as_quick_with_many_orders(
    shop: Shop,
    other_shop: Shop,
    crd: None,  # noqa: ARG001 - it must be there
) -> None:
    """At most twice the time of a shop with one order, to the first byte; both are visited in turn."""
    session, other = (f"cs_test_a1{'0' * 50}{place:06}" for place in (0, 1))
    at_once = asyncio.Semaphore(8)

    async def make(place: int) -> None:
        session_id = f"{other}x{place}"
        spec = Spec(session=Session(id=session_id, livemode=False), payment=Payment(status=PaymentStatus.PAID))
        async with at_once:
            await other_shop.requests.create(request_name(session_id), spec)

    await asyncio.gather(shop.make(session), other_shop.make(session), *map(make, range(ORDERS)))
    few, many = [], []
    async with order_page(shop) as quiet, order_page(other_shop) as busy:
        for visitor in range(_VISITS):
            few.append(await first_byte(quiet, session, visitor))
            many.append(await first_byte(busy, session, visitor))
    # What else the machine does only ever adds to a visit.
    figures = f"{min(few) * 1000:.1f} ms of one order, {min(many) * 1000:.1f} ms of {ORDERS:,}"
    print(f"first byte: {figures}")  # noqa: T201 - the figure
    assert min(many) <= 2 * min(few)
