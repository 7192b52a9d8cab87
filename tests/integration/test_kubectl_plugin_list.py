"""`kubectl fulfillment list` prints what kubectl users expect of `-o`."""

import json

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.credentials import User
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
    assert listed["items"] == got["items"]
    assert (listed["apiVersion"], listed["kind"]) == (got["apiVersion"], got["kind"])
    said = await alice("list", "-o", "json", "--reason=PaymentFailed")
    assert (json.loads(said.output)["items"], said.errors) == ([], "")


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
