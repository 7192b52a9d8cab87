"""The operator in a rolling update, and when the API server refuses its watch."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from kubernetes.aio import client

from fulfillment_api import names
from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.programs import find_programs
from support.commands import fulfillment
from support.installed_crd import install_crd
from support.kubelet import MountedVolume
from support.order_jobs import TEMPLATE, open_shop_with_jobs
from support.running_operator import RULES, WITHIN, AtWork, Shop, at_work, open_shop

pytestmark = pytest.mark.usefixtures("crd")

AT_ONCE = 12.0  # seconds; it takes half a second, and a Lease that is not freed takes 15
NEXT_TRY = 2.0  # seconds between two tries of a standby for the Lease
DEFINITION = f"{names.PLURAL}.{names.GROUP}"

Change: TypeAlias = Callable[[Shop], Awaitable[None]]


@asynccontextmanager
async def running(shop: Shop, **environ: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(fulfillment(), "operator"),
        env={
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": shop.stripe.url,
            "FULFILLMENT_MANAGEMENT_PORT": "0",
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.OPERATOR]),
            **environ,
        },
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def says(process: Process, event: str) -> dict[str, Any]:
    """Wait until it writes a line of this name, and return that."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while True:
            line: dict[str, Any] = json.loads(await process.stderr.readline())
            if line["event"] == event:
                return line


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


async def test_a_template_that_the_api_server_refuses_stops_no_operator(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """It goes on with the one before, and says why; once that is mended it begins anew with the new one."""
    volume = MountedVolume(tmp_path, {"template": TEMPLATE})
    settings = {"FULFILLMENT_BACKEND": "job", "FULFILLMENT_JOB_TEMPLATE_FILE": str(tmp_path / "template")}
    async with open_shop_with_jobs(control_plane, namespace) as shop, running(shop, **settings) as operator:
        await says(operator, "operator.leading")
        volume.change({"template": TEMPLATE.replace("image:", "imgae:")})
        refused = (await says(operator, "settings.not_reloaded"))["message"]
        assert refused.startswith("FULFILLMENT_JOB_TEMPLATE (backend.job.template): the API server refuses the Job")
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLING, "Dispatched")
        volume.change({"template": TEMPLATE.replace("ship:7", "ship:8")})
        await says(operator, "settings.reloaded")
        await says(operator, "operator.leading")


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
    await shop.forbidden(verb="watch", group=names.GROUP, resource=names.PLURAL)
    # With each change of a definition the API server closes its watches.
    await client.ApiextensionsV1Api(shop.api).patch_custom_resource_definition(
        DEFINITION,
        [{"op": "remove", "path": "/spec/names/categories"}],
        _content_type="application/json-patch+json",
    )


async def install_definition(shop: Shop) -> None:
    """Install the CustomResourceDefinition again."""
    await shop.control_plane.install(custom_resource_definition())


async def give_rights_back(shop: Shop) -> None:
    """Grant the operator's rules once more."""
    await shop.control_plane.grant(User.OPERATOR, shop.namespace, RULES)


@pytest.mark.parametrize(
    ("refuse", "says_why", "allow"),
    [
        (delete_definition, "the cluster has no fulfillmentrequests", install_definition),
        (take_rights_away, "403", give_rights_back),
    ],
)
async def test_a_watch_that_is_refused_is_told_as_that_and_goes_on_when_it_is_allowed(
    own_shop: Shop, refuse: Change, says_why: str, allow: Change
) -> None:
    """It is not ready, says why, goes on leading, and takes up what was sold meanwhile by itself."""
    async with at_work(own_shop) as operator:
        await own_shop.becomes(await own_shop.sell(Order()), Phase.FULFILLED)
        assert await ready(own_shop, operator) == (200, "ok\n")
        await refuse(own_shop)
        async with asyncio.timeout(WITHIN):
            while says_why not in (await ready(own_shop, operator))[1]:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.1)
        assert (await ready(own_shop, operator))[0] == 503
        assert await operator.metric("fulfillment_watch_refused") == 1
        await allow(own_shop)
        await own_shop.becomes(await own_shop.sell(Order()), Phase.FULFILLED)
        async with asyncio.timeout(WITHIN):  # the order may have been listed, and the watch that follows is to begin
            while await ready(own_shop, operator) != (200, "ok\n"):  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.1)
        assert await operator.metric("fulfillment_watch_refused") == 0
        assert await operator.metric("fulfillment_leader") == 1


async def ready(shop: Shop, operator: AtWork) -> tuple[int, str]:
    async with shop.http.get(f"{operator.url}/readyz") as response:
        return response.status, await response.text()
