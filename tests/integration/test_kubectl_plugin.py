"""`kubectl fulfillment`, run by kubectl, on a real API server, with an operator that obeys and without one."""

import asyncio
import json
import os
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Status
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order, Outcome
from support.running_operator import Shop, at_work
from support.running_plugin import Plugin, Said

pytestmark = pytest.mark.usefixtures("crd")

RULES = (
    client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "list", "watch", "patch"]),
    client.V1PolicyRule(api_groups=[""], resources=["events"], verbs=["create", "list"]),
)
NOBODY_LISTENS = {"backend": "http", "FULFILLMENT_HTTP_URL": "http://localhost:9/", "backend_deadline": timedelta(0)}


@pytest.fixture
async def alice(shop: Shop) -> Plugin:
    await shop.control_plane.grant(User.ALICE, shop.namespace, RULES)
    return Plugin(shop)


async def failed(shop: Shop, count: int = 1) -> list[str]:
    """Sell something that no backend takes."""
    async with at_work(shop, **NOBODY_LISTENS):
        sold = [await shop.sell(Order()) for _ in range(count)]
        for name in sold:
            await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
    return sold


async def test_a_failed_order_is_tried_again(shop: Shop, alice: Plugin) -> None:
    """Its acknowledgement goes, the result stands in one line, and an Event says who asked."""
    (name,) = await failed(shop)
    session = (await shop.requests.get(name)).spec.session.id
    assert await alice("acknowledge", session, "--note", "told them") == Said(
        0, f"{name} acknowledged: failed (FulfillmentFailed): {await message(shop, name)}\n", ""
    )
    assert (await shop.requests.get(name)).is_acknowledged

    async with at_work(shop):
        assert await alice("retry", name) == Said(
            0, f"{name} retried: fulfilled (Fulfilled): the backend log fulfilled the order\n", ""
        )
    request = await shop.requests.get(name)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ by alice", request.annotations.retry)
    assert not request.annotations.acknowledged
    asked = [each for each in await shop.events(name) if each[1] in {"Acknowledged", "RetryRequested"}]
    assert asked == [("Normal", "Acknowledged"), ("Normal", "RetryRequested")]
    assert "retried by alice" in (await alice("show", name)).output


async def message(shop: Shop, name: str) -> str:
    status = (await shop.requests.get(name)).status
    return status.message if status else ""


async def test_all_failed_orders_are_tried_again_after_a_question(shop: Shop, alice: Plugin) -> None:
    """Of one reason only; an answer of no, and none at all, change nothing."""
    sold = await failed(shop, 3)
    question = f"retry 3 in the namespace {shop.namespace} (FulfillmentFailed: 3)? [y/N]: "
    for answer in ("n\n", ""):
        said = await alice("retry", "--all", "--reason=FulfillmentFailed", stdin=answer)
        assert (said.code, said.output) == (1, "")
        assert said.errors.startswith(question)
    assert await alice("retry", "--all", "--reason=PaymentFailed") == Said(
        0, "", f"nothing to retry in the namespace {shop.namespace}\n"
    )

    async with at_work(shop):
        said = await alice("retry", "--all", "--reason=FulfillmentFailed", stdin="y\n")
    assert (said.code, said.errors) == (0, question)
    assert sorted(line.split(" (")[0] for line in said.output.splitlines()) == sorted(
        f"{name} retried: fulfilled" for name in sold
    )


async def test_an_order_is_paused_and_resumed(shop: Shop, alice: Plugin) -> None:
    """While it is held the list says so, and nothing else may be tried with it."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
        said = await alice("pause", name, "--reason", "the address is odd")
        assert (said.code, said.errors) == (0, "")
        assert said.output.startswith(f"{name} paused: awaiting-payment (Paused): a person holds the order: ")
        assert re.search(r" paused\n$", (await alice("list", "--phase=awaiting-payment")).output)
        refused = await alice("retry", name)
        assert (refused.code, refused.output) == (1, "")
        assert refused.errors.startswith(f"{name} is paused (the address is odd (20")
        said = await alice("resume", "--all", "--yes")
        assert said.output.startswith(f"{name} resumed: awaiting-payment (PaymentProcessing): ")
    assert await alice("resume", name) == Said(1, "", f"{name} is not paused\n")


async def test_an_order_is_completed_by_hand(shop: Shop, alice: Plugin) -> None:
    """One that is not paid only after a question; and nothing changes it afterwards."""
    async with at_work(shop):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT, "PaymentProcessing")
        said = await alice("complete", name, "--reference=parcel 7", stdin="n\n")
        question = f"{name} is not paid, as far as Stripe was asked: complete it all the same? [y/N]: "
        assert (said.code, said.output) == (1, "")
        assert said.errors.startswith(question)
        assert await alice("complete", name, "--reference=parcel 7", stdin="y\n") == Said(
            0,
            f"{name} completed: fulfilled (ManuallyCompleted): a person says that the order is fulfilled: parcel 7\n",
            question,
        )
    done = "is fulfilled (ManuallyCompleted): nothing changes it any more"
    for command in ("retry", "pause", "complete", "acknowledge", "fail"):
        why = ["--reason=late"] if command == "fail" else []
        assert await alice(command, name, *why) == Said(1, "", f"{name} {done}\n")


async def test_an_order_is_failed_by_hand_and_yet_tried_again(shop: Shop, alice: Plugin) -> None:
    """With a reason, which the annotation keeps with who gave it, until another try is asked for."""
    (name,) = await failed(shop)
    assert (await alice("fail", name)).code == 2
    async with at_work(shop):
        said = await alice("fail", name, "--reason", "sold out")
        assert said.output.startswith(f"{name} failed: failed (ManuallyFailed): a person says that ")
        value = (await shop.requests.get(name)).annotations.fail
        assert re.fullmatch(r"sold out \(20\S+Z by alice\)", value)
        assert "fulfilled (Fulfilled)" in (await alice("retry", name)).output
    assert not (await shop.requests.get(name)).annotations.fail


async def test_when_nobody_obeys_it_says_what_to_check(shop: Shop, alice: Plugin) -> None:
    """The wish stands, and is followed once an operator runs; who does not wait is told nothing of it."""
    (name,) = await failed(shop)
    said = await alice("retry", name, "--wait=0.5")
    assert (said.code, said.output) == (1, f"{name} retry requested, and not handled yet\n")
    assert said.errors.startswith("nobody handled it within 0.5 s: is the operator running, and for this namespace? ")
    assert await alice("retry", name, "--wait=0") == Said(0, f"{name} retry requested\n", "")
    async with at_work(shop):
        await shop.becomes(name, Phase.FULFILLED)


@pytest.mark.parametrize(
    ("words", "ends_as", "why"),
    [
        (["fail", "--reason=sold out"], Phase.FULFILLED, "was fulfilled meanwhile: nothing changes it any more"),
        (["pause"], Phase.FAILED, "failed meanwhile (Ended): nothing is left to pause"),
    ],
)
async def test_an_action_that_comes_too_late_is_not_waited_for(
    shop: Shop, alice: Plugin, words: list[str], ends_as: Phase, why: str
) -> None:
    """The operator was quicker, so it says at once that nothing will come of it, and blames nobody."""
    name = await shop.make("cs_test_1")
    acting = asyncio.create_task(alice(*words, name, "--wait=600"))
    async with shop.watching(name) as changes:
        async for request in changes:
            if request.metadata.annotations:
                break
    status = Status(phase=ends_as, reason="Ended", message="m", observed_generation=1, conditions=[])
    await shop.requests.patch_status(name, status)
    assert await acting == Said(1, "", f"{name} {why}\n")


async def test_one_that_is_missing_stops_none_of_the_others(shop: Shop, alice: Plugin) -> None:
    """Each is told of by itself, and the exit code says that it was not all."""
    (name,) = await failed(shop)
    said = await alice("retry", "cs-nobody", name, "--wait=0")
    assert (said.code, said.output) == (1, f"{name} retry requested\n")
    elsewhere = "kubectl fulfillment list -A has those of all namespaces"
    assert said.errors == f"no order cs-nobody is in the namespace {shop.namespace}; {elsewhere}\n"


async def test_without_the_right_to_post_events_it_goes_on(shop: Shop) -> None:
    """One line says that there is no Event."""
    await shop.control_plane.grant(User.ALICE, shop.namespace, RULES[:1])
    (name,) = await failed(shop)
    said = await Plugin(shop)("retry", name, "--wait=0")
    assert (said.code, said.output) == (0, f"{name} retry requested\n")
    assert said.errors.startswith('without an Event about it: RBAC forbids it: events is forbidden: User "alice"')
    assert len(said.errors.splitlines()) == 1
    shown = await Plugin(shop)("show", name)
    assert (shown.code, shown.errors.splitlines()[0][:40]) == (0, "without Events: RBAC forbids it: events ")


async def test_without_any_right_it_says_so(shop: Shop) -> None:
    """In one line, as whom it was refused."""
    said = await Plugin(shop, User.NOBODY)("list")
    assert (said.code, said.output) == (os.EX_NOPERM, "")
    assert said.errors.startswith(f'Error: RBAC forbids it: {PLURAL}.{GROUP} is forbidden: User "nobody" cannot list')


async def test_show_tells_the_whole_story(shop: Shop, alice: Plugin) -> None:
    """For people, and as JSON; by the Session's id, too."""
    (name,) = await failed(shop)
    request = await shop.requests.get(name)
    page = (await alice("show", request.spec.session.id)).output
    assert page.startswith(f"Name:         {name}\n")
    assert re.search(r"\n20\S+Z   \d+s +Dispatched +first dispatched to the backend http; once\n", page)
    assert re.search(r"\n20\S+Z   \d+s +Fulfilled=False +FulfillmentFailed: ", page)
    found = json.loads((await alice("show", name, "-o", "json")).output)
    assert found["request"]["metadata"]["name"] == name
    assert {"at", "what", "detail"} == set(found["timeline"][0])


async def test_one_that_is_not_there_hides_none_of_the_others(shop: Shop, alice: Plugin) -> None:
    """What is there is shown, and the exit code says that it was not all; a Session is named as the person named it."""
    (name,) = await failed(shop)
    said = await alice("show", "cs_test_none", name, "")
    assert said.code == 1
    assert said.output.startswith(f"Name:         {name}\n")
    assert said.errors == (
        f"Error: no order of cs_test_none is in the namespace {shop.namespace}; if a connected account sold it, say "
        "which by --account\nError: '' names no order\n"
    )
    asked = await alice("acknowledge", name, f"fr/{name}", "cs_test_none", "--account=acct_1")
    assert (asked.code, asked.output.count("acknowledged")) == (1, 1)
    assert asked.errors == f"no order of cs_test_none is in the namespace {shop.namespace}\n"


async def test_list_prints_names_for_other_commands(shop: Shop, alice: Plugin) -> None:
    """Which take them as they are; and an empty namespace is said to be one."""
    sold = await failed(shop, 2)
    listed = (await alice("list", "-o", "name", "--reason=FulfillmentFailed")).output.split()
    assert sorted(listed) == sorted(f"fulfillmentrequest.{GROUP}/{name}" for name in sold)
    assert (await alice("show", *listed)).output.count("Name: ") == 2
    assert await alice("list", "--phase=fulfilled") == Said(
        0, "", f"No resources found in {shop.namespace} namespace.\n"
    )


async def test_open_prints_the_dashboards_address(shop: Shop, alice: Plugin) -> None:
    """Of the payment, if the event named it."""
    name = await shop.make("cs_test_open1", payment_intent="pi_1")
    assert await alice("open", name, "--print") == Said(0, "https://dashboard.stripe.com/test/payments/pi_1\n", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("retry",), "Error: Name the requests, or give --all."),
        (("retry", "cs-1", "--all"), "Error: Name the requests, or give --all."),
        (("retry", "cs-1", "--reason=X"), "Error: --reason and --field-selector go with --all."),
        (("fail", "cs-1", "--reason= "), "Error: Invalid value for '--reason': say something"),
        (("fail", "cs-1", f"--reason={'x' * 501}"), "Error: Invalid value for '--reason': 501 characters are too many"),
        (("list", "--context=nowhere"), "Error: no Kubernetes API to talk to: the kubeconfig is wrong: "),
    ],
)
async def test_a_wrong_command_line_is_refused(shop: Shop, arguments: Sequence[str], expected: str) -> None:
    """In one line, before the cluster is asked for anything."""
    said = await Plugin(shop)(*arguments)
    assert (said.output, said.code in {2, os.EX_CONFIG}) == ("", True)
    assert said.errors.splitlines()[-1].startswith(expected)


async def test_the_namespace_is_the_contexts(shop: Shop) -> None:
    """As kubectl has it; -n may also stand before the command."""
    await shop.control_plane.grant(User.ALICE, "default", RULES)
    assert (await Plugin(shop)("list", namespace="")).errors == "No resources found in default namespace.\n"
    said = await Plugin(shop, User.ADMIN)("-n", shop.namespace, "list", namespace="")
    assert said.errors == f"No resources found in {shop.namespace} namespace.\n"
