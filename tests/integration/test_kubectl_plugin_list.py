"""`kubectl fulfillment list` prints what kubectl users expect of `-o`."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import yaml
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.credentials import User
from support import commands
from support.kubectl import kubectl
from support.running_operator import Shop
from support.running_plugin import Plugin

pytestmark = pytest.mark.usefixtures("crd")

MAY_LIST = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["list"])


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, [MAY_LIST])
    return Plugin(shop)


async def test_as_json_it_is_what_kubectl_gets(shop: Shop, alice: Plugin) -> None:
    """Every field of each, in a List; of none an empty one, and of some reasons those alone."""
    for session in ("cs_test_1", "cs_test_2"):
        await shop.make(session)
    got = json.loads(kubectl(shop.control_plane, "get", "fulfillmentrequests", "-n", shop.namespace, "-o", "json"))
    listed = json.loads((await alice("list", "-o", "json")).output)
    assert sorted(listed["items"], key=str) == sorted(got["items"], key=str)
    assert (listed["apiVersion"], listed["kind"]) == (got["apiVersion"], got["kind"])
    said = await alice("list", "-o", "json", "--reason=PaymentFailed")
    assert (json.loads(said.output)["items"], said.errors) == ([], "")


async def test_orders_that_do_not_decode_are_not_hidden(shop: Shop, alice: Plugin) -> None:
    """As for kubectl they are there; a table cannot show them, and a line below it names them."""
    good = await shop.make("cs_test_1")
    bad = await shop.make_undecodable("cs_test_2")
    got = json.loads(kubectl(shop.control_plane, "get", "fulfillmentrequests", "-n", shop.namespace, "-o", "json"))
    listed = json.loads((await alice("list", "-o", "json")).output)
    assert sorted(listed["items"], key=str) == sorted(got["items"], key=str)
    named = (await alice("list", "-o", "name")).output.split()
    assert {each.rpartition("/")[2] for each in named} == {good, bad}

    line = f"1 order does not decode: {bad} (kubectl get fulfillmentrequests -n {shop.namespace} {bad} -o yaml)\n"
    said = await alice("list")
    assert (said.code, said.output.splitlines()[1].split()[0], said.errors) == (0, good, line)
    assert len(said.output.splitlines()) == 2
    await shop.requests.delete(good)
    said = await alice("list")
    assert (said.code, said.output, said.errors) == (0, "", line)


async def test_a_wide_table_tells_more(shop: Shop, alice: Plugin) -> None:
    """The backend and its reference, the Session, and the message."""
    name = await shop.make("cs_test_1")
    status = Status(
        phase=Phase.FAILED,
        reason=Reason.SESSION_NOT_FOUND,
        message="no such Session",
        observed_generation=1,
        conditions=[],
    )
    await shop.requests.patch_status(name, status)
    wide = (await alice("list", "-o", "wide")).output.splitlines()
    assert [line.split() for line in wide] == [
        [
            "NAME",
            "PHASE",
            "REASON",
            "AMOUNT",
            "ATTEMPTS",
            "AGE",
            "MANUAL",
            "BACKEND",
            "REFERENCE",
            "SESSION",
            "MESSAGE",
        ],
        [name, "failed", "SessionNotFound", wide[1].split()[3], "cs_test_1", "no", "such", "Session"],
    ]


async def test_as_yaml_it_is_the_same(shop: Shop, alice: Plugin) -> None:
    """One document, a List."""
    await shop.make("cs_test_1")
    listed = yaml.safe_load((await alice("list", "-o", "yaml")).output)
    assert listed == json.loads((await alice("list", "-o", "json")).output)


async def test_the_oldest_comes_first(shop: Shop, alice: Plugin) -> None:
    """Whatever their names, which tell nothing."""
    names = [await shop.make("cs_test_1")]
    await asyncio.sleep(1.1)  # an API server writes when an object was created in whole seconds
    names += [await shop.make(f"cs_test_{number}") for number in range(2, 5)]
    listed = (await alice("list", "-o", "name")).output.splitlines()
    assert listed[0].rpartition("/")[2] == names[0]
    assert sorted(each.rpartition("/")[2] for each in listed) == sorted(names)


async def test_an_order_is_found_by_its_session(shop: Shop, alice: Plugin) -> None:
    """By the plugin, and by kubectl itself."""
    name = await shop.make("cs_test_1")
    await shop.make("cs_test_2")
    said = await alice("list", "-o", "name", "--field-selector", "spec.session.id=cs_test_1")
    assert said.output == f"fulfillmentrequest.checkout-fulfillment.dev/{name}\n"
    selected = ("--field-selector", "spec.session.id=cs_test_1")
    assert kubectl(shop.control_plane, "get", "fr", "-n", shop.namespace, "-o", "name", *selected) == said.output
    said = await alice("list", "--field-selector", "spec.colour=red")
    assert (said.code, said.errors.count("\n")) == (1, 1)
    assert "spec.colour" in said.errors


async def test_of_every_namespace(shop: Shop) -> None:
    """Each says which is its own; without the right to that it says so."""
    name = await shop.make("cs_test_1")
    said = await Plugin(shop, User.ADMIN)("list", "-A")
    rows = [line.split() for line in said.output.splitlines()]
    assert rows[0][:2] == ["NAMESPACE", "NAME"]
    assert [shop.namespace, name] in [row[:2] for row in rows]
    assert (await Plugin(shop, User.NOBODY)("list", "-A")).code == 77


@asynccontextmanager
async def watching(shop: Shop, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """Have a person watch, and end it by Ctrl-C."""
    environ = {
        **os.environ,
        "PATH": f"{commands.plugins()}:{os.environ['PATH']}",
        "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.ADMIN]),
    }
    process = await asyncio.create_subprocess_exec(
        commands.plugins() / "kubectl-fulfillment",
        *("list", "--watch", "-n", shop.namespace, *arguments),
        env=environ,
        stdout=PIPE,
    )
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def test_a_watch_shows_what_changes(shop: Shop) -> None:
    """First what there is, then each order once more whenever it changes."""
    name = await shop.make("cs_test_1")
    async with asyncio.timeout(60), watching(shop) as lines:
        head, first = await lines.readline(), await lines.readline()
        status = Status(
            phase=Phase.FAILED, reason=Reason.PAYMENT_FAILED, message="m", observed_generation=1, conditions=[]
        )
        await shop.requests.patch_status(name, status)
        changed = await lines.readline()
        other = await shop.make("cs_test_2")
        made = await lines.readline()
    assert head.split()[:2] == [b"NAME", b"PHASE"]
    assert [first.split()[0], made.split()[0]] == [name.encode(), other.encode()]
    assert changed.split()[:3] == [name.encode(), b"failed", b"PaymentFailed"]
