"""Following an order at a real API server, whose watches are cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import LastHandled, Phase, Reason, Status
from fulfillment_cli import follow as module
from fulfillment_cli.action_client import ActionClient
from fulfillment_cli.actions import Action, Actor, Verb
from fulfillment_cli.follow import follow
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, NotFoundError, UndecodableError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rest import Answer, Method
from support.builders import make_status
from support.running_operator import BEFORE_THE_YEAR_1, WITHIN, Shop

pytestmark = pytest.mark.usefixtures("crd")

WAITING = make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
FULFILLED = make_status(Phase.FULFILLED, Reason.FULFILLED)


class Cut:
    """A connection to the API server, of which the first watches are cut after something happened."""

    def __init__(self, shop: Shop, *meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._rest = LibraryRestClient(shop.api)
        self._meanwhile = list(meanwhile)
        self.watches = 0
        self.is_away = False

    async def request(self, method: Method, path: str, **how: Any) -> Answer:
        if self.is_away:
            await broken()
        return await self._rest.request(method, path, **how)

    @asynccontextmanager
    async def stream(self, path: str, **how: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        self.watches += 1
        if self._meanwhile:
            await self._meanwhile.pop(0)()
            yield nothing()
            return
        async with self._rest.stream(path, **how) as lines:
            yield lines


async def nothing() -> AsyncIterator[bytes]:
    for each in tuple[bytes, ...]():
        yield each


async def broken() -> None:
    raise ApiUnavailableError("the Kubernetes API is away")


def client(shop: Shop, rest: Cut) -> FulfillmentRequestClient:
    return FulfillmentRequestClient(rest, shop.namespace, timeout=10)


def within(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def statuses(requests: FulfillmentRequestClient, name: str, deadline: float) -> list[Status | None]:
    return [each.status async for each in follow(requests, name, deadline)]


async def test_a_watch_that_is_cut_is_begun_anew(shop: Shop) -> None:
    """Whether it broke or just ended: what changed in between is read, and what changes later is told."""
    name = await shop.make("cs_test_1")

    async def changes() -> None:
        await shop.requests.patch_status(name, WAITING)

    rest, told = Cut(shop, broken, changes), list[Status | None]()
    async with asyncio.timeout(WITHIN):
        async for each in follow(client(shop, rest), name, within(60)):
            told.append(each.status)
            if each.status == FULFILLED:
                break
            if rest.watches == 3:
                await shop.requests.patch_status(name, FULFILLED)
    assert [told[0], told[-1]] == [None, FULFILLED]
    assert WAITING in told


async def test_an_order_that_is_deleted_between_two_watches_is_gone(shop: Shop) -> None:
    """No watch tells of it, so it is read before each."""
    name = await shop.make("cs_test_1")

    async def deletes() -> None:
        await shop.requests.delete(name)

    with pytest.raises(NotFoundError, match=f"^{name} was deleted$"):
        await statuses(client(shop, Cut(shop, deletes)), name, within(60))


async def test_at_the_deadline_the_order_is_read_once_more(shop: Shop) -> None:
    """A watch that tells nothing may have been cut without a word."""
    name = await shop.make("cs_test_1")

    async def hangs() -> None:
        await shop.requests.patch_status(name, FULFILLED)
        await asyncio.Event().wait()

    assert await statuses(client(shop, Cut(shop, hangs)), name, within(5)) == [None, FULFILLED]
    assert await statuses(shop.requests, name, within(0)) == [FULFILLED]


async def test_an_api_server_that_is_away_at_the_deadline_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it is asked again, some time after each failure."""
    monkeypatch.setattr(module, "BETWEEN_WATCHES", 0.1)
    name = await shop.make("cs_test_1")
    rest = Cut(shop, *(broken for _ in range(1000)))
    told = await statuses(client(shop, rest), name, within(3))
    assert set(told) == {None}
    assert 1 < rest.watches < 32
    rest.is_away = True
    with pytest.raises(ApiUnavailableError, match="is away"):
        await statuses(client(shop, rest), name, within(0.2))


async def test_watches_that_end_at_once_are_begun_no_sooner(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind what answers each with an empty stream: the API server is not asked without a pause."""
    monkeypatch.setattr(module, "BETWEEN_WATCHES", 0.5)
    name = await shop.make("cs_test_1")

    async def ends() -> None:
        pass

    rest = Cut(shop, *(ends for _ in range(1000)))
    assert set(await statuses(client(shop, rest), name, within(2))) == {None}
    assert rest.watches <= 5


async def test_an_api_server_that_hangs_holds_nobody_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read ends with the deadline, or a few seconds after it."""
    monkeypatch.setattr(module, "_LAST_READ", 0.5)
    name = await shop.make("cs_test_1")
    with shop.control_plane.hanging(), pytest.raises(ApiUnavailableError, match="did not answer in time"):
        await statuses(shop.requests, name, within(1))


async def test_an_order_that_decodes_no_more_is_told(shop: Shop) -> None:
    """As where a newer version writes it while it is followed: by its watch, and where it is read."""
    name = await shop.make("cs_test_1")
    rest = Cut(shop)

    async def spoil() -> None:
        async for _ in follow(client(shop, rest), name, within(WITHIN)):
            if rest.watches:
                await shop.observed_at(name, BEFORE_THE_YEAR_1)

    for _ in ("watched", "read"):
        with pytest.raises(UndecodableError, match=f"^{name} cannot be read"):
            await spoil()
    assert rest.watches == 1


async def test_an_action_is_waited_for_though_its_watch_is_cut(shop: Shop) -> None:
    """Nothing of the order is over yet."""
    name = await shop.make("cs_test_1")
    failed = make_status(Phase.FAILED, Reason.FULFILLMENT_FAILED)
    request = await shop.requests.patch_status(name, failed)
    handled = list[FulfillmentRequest]()

    async def handles() -> None:
        retry = LastHandled(retry="2026-11-24T16:00:00Z by alice")
        status = replace(make_status(Phase.FULFILLING, Reason.DISPATCHED), last_handled=retry)
        handled.append(await shop.requests.patch_status(name, status))

    requests = client(shop, Cut(shop, broken, handles))
    acting = ActionClient(requests, None, Actor(datetime(2026, 11, 24, 16, tzinfo=UTC), "alice"))
    requested = await acting.request_action(Action(Verb.RETRY), request)
    found = await acting.wait_until_handled(requested, within(60))
    assert [found] == handled
