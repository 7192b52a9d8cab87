"""etcd is put back to an older state under a running operator."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.cuttable_proxy import CuttableProxy, cuttable_proxy
from fulfillment_local.fake_stripe.model import Order, Outcome, Settlement
from fulfillment_local.programs import find_programs
from fulfillment_operator.main import running_operator
from fulfillment_runtime.fatal_errors import UnavailableError
from support.installed_crd import install_crd
from support.order_endpoint import order_endpoint
from support.running_operator import LEASE_THAT_IS_KEPT, WITHIN, Shop, open_shop

FORGOTTEN = 20
"""Orders after the backup: so far do resource versions go back that nothing soon catches up with them."""


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """Open a shop in a cluster of its own, since its past is changed."""
    async with ControlPlane.running(find_programs(os.environ)) as control_plane:
        await install_crd(control_plane)
        async with control_plane.connect() as api:
            metadata = client.V1ObjectMeta(name="shop")
            await client.CoreV1Api(api).create_namespace(client.V1Namespace(metadata=metadata))
        async with open_shop(control_plane, "shop") as shop:
            yield shop


@pytest.fixture
async def proxy(shop: Shop, tmp_path: Path) -> AsyncIterator[CuttableProxy]:
    """Stand between the operator and the API server."""
    port = shop.control_plane.server.rpartition(":")[2]
    async with cuttable_proxy(int(port)) as proxy:
        own = shop.control_plane.kubeconfigs[User.OPERATOR].read_text()
        (tmp_path / "kubeconfig").write_text(own.replace(f":{port}", f":{proxy.port}"))
        yield proxy


@asynccontextmanager
async def kept_running(shop: Shop, url: str, kubeconfig: Path) -> AsyncIterator[list[str]]:
    """Run an operator, and another one when it ends, as Kubernetes does; yield why each ended."""
    settings, ends = shop.settings(backend="http", kubeconfig=str(kubeconfig)), list[str]()

    async def run() -> None:
        while True:
            with suppress(UnavailableError):
                environ = {**os.environ, "FULFILLMENT_HTTP_URL": url}
                async with running_operator(settings, environ, LEASE_THAT_IS_KEPT) as operator:
                    try:
                        await operator.ended
                    except UnavailableError as error:
                        ends.append(str(error))

    running = asyncio.create_task(run())
    try:
        yield ends
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def write_on(shop: Shop, until: int) -> None:
    """Let others in the cluster write, until the API server is at a resource version."""
    configmaps, name = client.CoreV1Api(shop.api), client.V1ObjectMeta(generate_name="busy-")
    while True:
        made = await configmaps.create_namespaced_config_map(shop.namespace, client.V1ConfigMap(metadata=name))
        assert made.metadata
        if int(made.metadata.resource_version or 0) > until:
            return


@pytest.mark.parametrize("busy", [False, True], ids=["a quiet cluster", "a busy cluster"])
async def test_an_etcd_that_is_put_back_leaves_no_order_unseen(
    shop: Shop, proxy: CuttableProxy, tmp_path: Path, busy: bool
) -> None:
    """Resource versions go back with it, so what is new looks old; the operator sees that, and reads all anew.

    In a busy cluster, or by `etcdutl snapshot restore --bump-revision`, the API server is soon as far as it was; an
    order that the operator holds is not.
    """
    handed_over = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        handed_over[request.headers["webhook-id"]] += 1
        return web.Response()

    async with order_endpoint(answer) as url, kept_running(shop, url, tmp_path / "kubeconfig") as ends:
        done = await shop.sell(Order())
        await shop.becomes(done, Phase.FULFILLED)
        waiting = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        before = await shop.becomes(waiting, Phase.AWAITING_PAYMENT)
        with ExitStack() as unreachable:
            async with shop.control_plane.forgetting():
                await shop.annotate(waiting, paused="a call")
                await shop.becomes(waiting, Phase.AWAITING_PAYMENT, "Paused")
                names = [await shop.sell(Order()) for _ in range(FORGOTTEN)]
                last, *_ = [await shop.becomes(name, Phase.FULFILLED) for name in reversed(names)]
                assert ends == []
                if busy:
                    unreachable.enter_context(proxy.cut())
            if busy:
                await write_on(shop, until=int(last.metadata.resource_version) + 10 * FORGOTTEN)
        shop.stripe.world.settle(before.spec.session.id, Settlement.SUCCEEDED)
        new = await shop.sell(Order())
        await shop.becomes(new, Phase.FULFILLED)
        async with asyncio.timeout(WITHIN):
            while not ends:  # noqa: ASYNC110 - as long as the order that it holds is not changed again, it sees that
                await asyncio.sleep(0.1)
        await shop.hint(waiting, PaymentStatus.PAID)
        await shop.becomes(waiting, Phase.FULFILLED)
    assert [each.split("(")[0] for each in ends] == ["the operator failed: OlderStateError"]
    assert {each: handed_over[each] for each in (done, waiting, new)} == {done: 1, waiting: 1, new: 1}
