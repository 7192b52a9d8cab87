"""`fulfillment operator` as a process in a rolling update: the old one ends, and the next one leads at once."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.programs import find_programs
from support.commands import fulfillment
from support.installed_crd import install_crd
from support.running_operator import Shop, open_shop

pytestmark = pytest.mark.usefixtures("crd")

AT_ONCE = 6.0  # seconds; it takes half a second, and a Lease that is not freed takes 15
NEXT_TRY = 2.0  # seconds between two tries of a standby for the Lease
DEFINITION = f"{names.PLURAL}.{names.GROUP}"
ENDS_WITHIN = 60.0  # seconds; kopf itself tries for 9


@asynccontextmanager
async def running(shop: Shop) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(fulfillment(), "operator"),
        env={
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": shop.stripe.url,
            "FULFILLMENT_MANAGEMENT_PORT": "0",
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.OPERATOR]),
        },
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def says(process: Process, event: str) -> None:
    """Wait until it writes a line of this name."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while json.loads(await process.stderr.readline())["event"] != event:
            pass


async def test_a_rolling_update_is_over_at_once(shop: Shop) -> None:
    """Told to stop it ends in order and frees the Lease, so the standby leads at its next try."""
    time = asyncio.get_running_loop().time
    async with running(shop) as old:
        await says(old, "operator.leading")
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
        async with running(shop) as new:
            await says(new, "operator.started")
            old.send_signal(signal.SIGTERM)
            told = time()
            assert await old.wait() == 0
            assert time() - told < AT_ONCE
            await says(new, "operator.leading")
            assert time() - told < AT_ONCE + NEXT_TRY
            await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)


@pytest.fixture
async def own_shop() -> AsyncIterator[Shop]:
    """Open a shop before an API server of its own, for what would disturb the shops of other tests."""
    async with ControlPlane.running(find_programs(os.environ)) as control_plane:
        await install_crd(control_plane)
        async with open_shop(control_plane, "default") as shop:
            yield shop


async def delete_definition(shop: Shop) -> None:
    """Delete the CustomResourceDefinition: the API server ends the watch, and answers 404."""
    await client.ApiextensionsV1Api(shop.api).delete_custom_resource_definition(DEFINITION)


async def take_rights_away(shop: Shop) -> None:
    """Take `list` and `watch` out of the Role, and end the watch: the API server answers 403 from then on."""
    rbac = client.RbacAuthorizationV1Api(shop.api)
    for role in (await rbac.list_namespaced_role(shop.namespace)).items:
        for rule in role.rules or ():
            if names.PLURAL in (rule.resources or ()):
                rule.verbs = [verb for verb in rule.verbs if verb not in {"list", "watch"}]
        assert role.metadata
        assert role.metadata.name
        await rbac.replace_namespaced_role(role.metadata.name, shop.namespace, role)
    # With each change of a definition the API server closes its watches.
    await client.ApiextensionsV1Api(shop.api).patch_custom_resource_definition(
        DEFINITION,
        [{"op": "remove", "path": "/spec/names/categories"}],
        _content_type="application/json-patch+json",
    )


@pytest.mark.parametrize("end_watch", [delete_definition, take_rights_away])
async def test_a_watch_that_ends_for_good_ends_the_process(
    own_shop: Shop, end_watch: Callable[[Shop], Awaitable[None]]
) -> None:
    """A leader that hears nothing more must not stay: Kubernetes starts it again, and another one leads."""
    async with running(own_shop) as operator:
        await says(operator, "operator.leading")
        await own_shop.becomes(await own_shop.sell(Order()), Phase.FULFILLED)
        await end_watch(own_shop)
        async with asyncio.timeout(ENDS_WITHIN):
            code = await operator.wait()
        assert operator.stderr is not None
        last = (await operator.stderr.read()).decode().splitlines()[-1]
    assert (code, last.partition(":")[0]) == (os.EX_UNAVAILABLE, "Error")
    assert "the watch of FulfillmentRequests ended" in last
