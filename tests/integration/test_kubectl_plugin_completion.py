"""A shell completes `kubectl fulfillment`: kubectl's own completion asks the program that is installed for it."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PAUSED, PLURAL
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.credentials import User
from support.running_operator import WITHIN, Shop
from support.running_plugin import Plugin, Said

pytestmark = pytest.mark.usefixtures("crd")

MAY_LIST = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["list"])
ONLY_THESE = ":4"
ERROR = ":1"


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, [MAY_LIST])
    return Plugin(shop)


async def lines(plugin: Plugin, *words: str) -> list[str]:
    """Return the candidates, each with its description, and the directive."""
    said = await plugin.candidates(*words)
    assert said.code == 0
    return said.output.splitlines()


async def completes(plugin: Plugin, *words: str, to: list[str]) -> Said:
    """Ask until these are the candidates: where the cluster is too slow to be waited for there are none."""
    until = time.monotonic() + WITHIN
    while (said := await plugin.candidates(*words)).output.splitlines() != to and time.monotonic() < until:
        pass
    assert (said.code, said.output.splitlines()) == (0, to)
    return said


async def order(shop: Shop, session: str, phase: Phase, reason: Reason) -> str:
    name = await shop.make(session)
    status = Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[])
    await shop.requests.patch_status(name, status)
    return name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["resume", "retry", ONLY_THESE]),
        (["list", "--p"], ["--phase", ONLY_THESE]),
        (["list", "--phase", "f"], ["fulfilling", "fulfilled", "failed", ONLY_THESE]),
        (["list", "--phase=a"], ["awaiting-payment", ONLY_THESE]),
        (["list", "-o", ""], ["table", "wide", "name", "json", "yaml", ONLY_THESE]),
        (["list", "--kubeconfig", ""], [":0"]),
        (["list", "--context", "no"], [ONLY_THESE]),
        (["pause", "--reason", ""], [ONLY_THESE]),
    ],
)
async def test_what_needs_no_cluster_is_completed(shop: Shop, words: Sequence[str], expected: Sequence[str]) -> None:
    """Commands, options, and what an option may be; of files it says that the shell shall look for them."""
    assert [line.partition("\t")[0] for line in await lines(Plugin(shop), *words)] == expected


async def test_the_names_are_those_that_the_command_can_be_asked_of(shop: Shop, alice: Plugin) -> None:
    """Each with its state; none that the line holds already, or that begins otherwise."""
    failed = await order(shop, "cs_test_1", Phase.FAILED, Reason.FULFILLMENT_FAILED)
    fulfilled = await order(shop, "cs_test_2", Phase.FULFILLED, Reason.FULFILLED)
    paused = await order(shop, "cs_test_3", Phase.AWAITING_PAYMENT, Reason.PAUSED)
    await shop.requests.annotate(await shop.requests.get(paused), {PAUSED: "a call"})
    states = {
        failed: f"{failed}\tfailed (FulfillmentFailed)",
        fulfilled: f"{fulfilled}\tfulfilled (Fulfilled)",
        paused: f"{paused}\tawaiting-payment (Paused)",
    }
    where = ["-n", shop.namespace]
    await completes(alice, "show", *where, "", to=[*(states[each] for each in sorted(states)), ONLY_THESE])
    await completes(alice, "show", *where, failed[:8], to=[states[failed], ONLY_THESE])
    await completes(alice, "retry", *where, "", to=[states[failed], ONLY_THESE])
    await completes(alice, "retry", *where, failed, "", to=[ONLY_THESE])
    await completes(alice, *where, "resume", "cs-", to=[states[paused], ONLY_THESE])
    await completes(alice, "list", *where, "--reason", "F", to=["Fulfilled", "FulfillmentFailed", ONLY_THESE])
    await completes(alice, "retry", *where, "--all", "--reason=", to=["FulfillmentFailed", ONLY_THESE])


async def test_namespaces_and_contexts_are_completed(shop: Shop) -> None:
    """As those of kubectl's own commands are."""
    plugin = Plugin(shop, User.ADMIN)
    await completes(plugin, "list", "-n", shop.namespace[:-1], to=[shop.namespace, ONLY_THESE])
    (context, directive) = await lines(plugin, "list", "--context", "")
    assert (bool(context), directive) == (True, ONLY_THESE)


async def test_what_the_cluster_refuses_to_tell_is_not_completed(shop: Shop) -> None:
    """The shell shows nothing, and `kubectl __complete` says why."""
    said = await completes(Plugin(shop, User.NOBODY), "retry", "-n", shop.namespace, "", to=[ERROR])
    assert f"\nError: RBAC forbids it: {PLURAL}.{GROUP} is forbidden: " in said.errors


async def test_a_cluster_that_does_not_answer_is_not_waited_for(shop: Shop, alice: Plugin) -> None:
    """Who pressed a key gets the shell back, with nothing completed."""
    async with asyncio.timeout(60):
        with shop.control_plane.hanging():
            assert await lines(alice, "retry", "-n", shop.namespace, "") == [ONLY_THESE]
