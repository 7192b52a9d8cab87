"""Orders that a backup brings back, without their status and with it, on a real API server with an operator at work."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio import client
from msgspec.structs import replace

from fulfillment_api.names import API_VERSION, KIND, RESTORING, request_name
from fulfillment_api.spec import PaymentStatus, Reversal, ReversalKind
from fulfillment_api.status import ConditionType, LastHandled, Phase, Reason, Status
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import AfterPayment, Order, Outcome, Settlement
from fulfillment_runtime.commands import restoring
from fulfillment_runtime.commands.backup import BackedUpMetadata, BackedUpRequest
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rest import Answer, Method
from support.backups import backup_of
from support.builders import make_request, make_status
from support.commands import fulfillment
from support.order_endpoint import order_endpoint
from support.repository import ROOT
from support.running_operator import ADDRESS, WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

OF_EACH = 4
"""Orders of each kind."""
YESTERDAY = timedelta(days=1)
FULFILLED = make_status(Phase.FULFILLED, Reason.FULFILLED)
FULFILLING = make_status(Phase.FULFILLING, Reason.DISPATCHED)
REJECTED = make_status(Phase.FAILED, Reason.FULFILLMENT_FAILED)
UNPAID = make_status(Phase.FAILED, Reason.PAYMENT_FAILED)


@dataclass
class Endpoint:
    """A shop's endpoint."""

    url: str = ""
    keys: Counter[str] = field(default_factory=Counter)
    answers: dict[str, int] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["webhook-id"]
        self.keys[key] += 1
        return web.Response(status=self.answers.get(key, 200))


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint


async def sold(shop: Shop, endpoint: Endpoint, kind: str) -> str:
    """Sell an order, and bring it where its kind says; return its name."""

    async def answered(status: int) -> str:
        session, _ = shop.stripe.world.play(Order())
        endpoint.answers[request_name(session.id)] = status
        return await shop.make(session.id)

    match kind:
        case "fulfilled":
            name = await shop.sell(Order())
            await shop.becomes(name, Phase.FULFILLED)
        case "refunded":
            session, _ = shop.stripe.world.play(Order())
            name = await shop.make(session.id)
            await shop.becomes(name, Phase.FULFILLED)
            shop.stripe.world.play_after_payment(session.id, AfterPayment.REFUNDED)
            now = datetime.now(UTC).replace(microsecond=0)
            await shop.patch_spec(name, Reversal(kind=ReversalKind.REFUNDED, observed_at=now))
        case "payment failed":
            name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
            waiting = await shop.becomes(name, Phase.AWAITING_PAYMENT)
            shop.stripe.world.settle(waiting.spec.session.id, Settlement.FAILED)
            await shop.hint(name, PaymentStatus.FAILED)
            await shop.becomes(name, Phase.FAILED, Reason.PAYMENT_FAILED)
        case "awaiting payment":
            name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
            await shop.becomes(name, Phase.AWAITING_PAYMENT)
        case "rejected":
            name = await answered(400)
            await shop.becomes(name, Phase.FAILED, Reason.FULFILLMENT_FAILED)
        case _:
            name = await answered(503)
            await shop.becomes(name, Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)
    return name


KINDS = ("fulfilled", "refunded", "payment failed", "awaiting payment", "rejected", "unavailable")


async def lost(shop: Shop) -> list[dict[str, Any]]:
    """Back all orders up, and delete them."""
    objects = client.CustomObjectsApi(shop.api)
    where = {**ADDRESS, "namespace": shop.namespace}
    found: Any = await objects.list_namespaced_custom_object(**where)
    for each in found["items"]:
        await objects.delete_namespaced_custom_object(**where, name=each["metadata"]["name"])
    return backup_of(found["items"], datetime.now(UTC) - YESTERDAY)


async def restore(shop: Shop, backup: list[dict[str, Any]]) -> None:
    """Create them again, as `kubectl create -f backup.yaml` does: the API server drops the status."""
    objects = client.CustomObjectsApi(shop.api)
    for each in backup:
        created: Any = await objects.create_namespaced_custom_object(**ADDRESS, namespace=shop.namespace, body=each)
        assert ("status" in each, "status" in created) == (True, False)


async def held(operator: AtWork, count: int) -> None:
    """Wait until so many orders are held, by the operator's own count."""
    async with asyncio.timeout(WITHIN):
        while True:
            phases = (Phase.AWAITING_PAYMENT, Phase.FULFILLING)
            counts = [
                await operator.metric("fulfillment_requests", phase=each, reason="Restored", acknowledged="false")
                for each in phases
            ]
            if sum(each or 0 for each in counts) == count:
                return
            await asyncio.sleep(0.05)


def asks(shop: Shop) -> int:
    """Count how often Stripe was asked about an order."""
    return sum("/sessions" in each.path for each in shop.stripe.traffic.requests)


async def test_orders_in_every_phase_are_held_until_a_person_says_what_they_are(shop: Shop, endpoint: Endpoint) -> None:
    """None is handed over or mailed, or asked of Stripe; then each goes as the person says, and shows its refund."""
    settings: dict[str, Any] = {"FULFILLMENT_HTTP_URL": endpoint.url, "reversal_interval": timedelta(seconds=0.1)}
    async with at_work(shop, backend="http", **settings):
        names = {kind: await asyncio.gather(*(sold(shop, endpoint, kind) for _ in range(OF_EACH))) for kind in KINDS}
        for each in names["refunded"]:
            await shop.says(each, ConditionType.REFUNDED, "all of the payment was given back")
    asked, mailed, handed_over = asks(shop), len(shop.mailbox.mails), endpoint.keys.copy()
    assert mailed == OF_EACH
    backup = await lost(shop)

    async with at_work(shop, backend="http", **settings) as operator:
        await restore(shop, backup)
        await held(operator, OF_EACH * len(KINDS))
        for name in (each for kind in KINDS for each in names[kind]):
            request = await shop.requests.get(name)
            assert request.status
            assert request.status.reason == Reason.RESTORED
        assert asks(shop) == asked

        done = [*names["fulfilled"], *names["refunded"], *names["payment failed"]]
        for name in done:
            await shop.annotate(name, complete="before the restore")
        for name in done:
            await shop.becomes(name, Phase.FULFILLED, Reason.MANUALLY_COMPLETED)
        for name in names["refunded"]:
            await shop.says(name, ConditionType.REFUNDED, "all of the payment was given back")
        assert endpoint.keys == handed_over
        assert asks(shop) == asked + len(done) + OF_EACH  # which PaymentIntent it is, and what became of the refunded

        for name in names["awaiting payment"]:
            await shop.annotate(name, retry="it was not done")
            await shop.becomes(name, Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
        for name in names["rejected"]:
            await shop.annotate(name, retry="it was not done")
            await shop.becomes(name, Phase.FAILED, Reason.FULFILLMENT_FAILED)
        await held(operator, OF_EACH)
    assert len(shop.mailbox.mails) == mailed
    assert endpoint.keys - handed_over == Counter(names["rejected"])
    for name in (each for kind in KINDS for each in names[kind]):
        assert (await shop.events(name)).count(("Warning", "Restored")) == 1


(ROLE,) = (
    yaml.safe_load(each)
    for each in re.findall(r"```yaml\n(.*?)\n```", (ROOT / "docs/backup.md").read_text(), re.DOTALL)
)
ARGUMENTS = {"apiGroups": "api_groups", "resources": "resources", "verbs": "verbs"}


async def run(shop: Shop, *arguments: str, stdin: str = "", user: User = User.ALICE) -> tuple[int | None, str, str]:
    """Run `fulfillment`: exit code, standard output and standard error."""
    environ = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(shop.control_plane.kubeconfigs[user]),
        "FULFILLMENT_NAMESPACE": shop.namespace,
    }
    process = await asyncio.create_subprocess_exec(
        fulfillment(), *arguments, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate(stdin.encode())
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
async def alice(shop: Shop) -> User:
    """Allow a person what the page says."""
    rules = [client.V1PolicyRule(**{ARGUMENTS[key]: value for key, value in rule.items()}) for rule in ROLE["rules"]]
    await shop.control_plane.grant(User.ALICE, shop.namespace, rules)
    return User.ALICE


async def statuses(shop: Shop) -> dict[str, Any]:
    objects = client.CustomObjectsApi(shop.api)
    found: Any = await objects.list_namespaced_custom_object(**ADDRESS, namespace=shop.namespace)
    return {each["metadata"]["name"]: each for each in found["items"]}


def without_generations(status: dict[str, Any]) -> dict[str, Any]:
    bare = [{key: value for key, value in each.items() if key != "observedGeneration"} for each in status["conditions"]]
    return {key: value for key, value in status.items() if key != "observedGeneration"} | {"conditions": bare}


@pytest.mark.parametrize("source", ["export", "kubectl"])
@pytest.mark.usefixtures("alice")
async def test_orders_come_back_with_their_status(shop: Shop, endpoint: Endpoint, source: str) -> None:
    """With an operator at work, which takes each as it was: nothing is handed over, mailed or asked."""
    settings: dict[str, Any] = {"FULFILLMENT_HTTP_URL": endpoint.url, "reversal_interval": timedelta(seconds=0.1)}
    kinds = [each for each in KINDS if each != "unavailable"]  # the one that the operator is to try again
    async with at_work(shop, backend="http", **settings):
        names = {kind: await asyncio.gather(*(sold(shop, endpoint, kind) for _ in range(3))) for kind in kinds}
        rejected = names["rejected"][0]
        for each in names["refunded"]:
            await shop.says(each, ConditionType.REFUNDED, "all of the payment was given back")
        await shop.annotate(rejected, retry="1")
        async with asyncio.timeout(WITHIN), shop.watching(rejected) as changes:
            async for request in changes:
                if request.status and request.status.last_handled:
                    break
        before = await statuses(shop)
        if source == "export":
            code, backup, _ = await run(shop, "export", user=User.OPERATOR)
            assert code == 0
        else:
            backup = json.dumps({"kind": "List", "apiVersion": "v1", "items": [*before.values()]}, indent=4)
        await lost(shop)
        asked, mailed, handed_over = asks(shop), len(shop.mailbox.mails), endpoint.keys.copy()

        preview = await run(shop, "restore", "--dry-run", stdin=backup)
        assert await statuses(shop) == {}
        code, output, errors = await run(shop, "restore", stdin=backup)
        assert (code, output, errors) == (0, "15 found: 15 restored, 0 exists, 0 rejected\n", "")
        assert preview == (0, f"Dry run, nothing is written: {output}", "")
        again = await run(shop, "restore", stdin=backup)
        assert again[:2] == (0, "15 found: 0 restored, 15 exists, 0 rejected\n")
        assert sorted(again[2].splitlines()) == sorted(f"{each} exists: it is left alone" for each in before)

        new = await shop.sell(Order())
        await shop.becomes(new, Phase.FULFILLED)  # whatever the restored ones ask for was asked before
        after = await statuses(shop)
    for name, each in before.items():
        assert without_generations(after[name]["status"]) == without_generations(each["status"])
        assert after[name]["spec"] == each["spec"]
        assert after[name]["metadata"]["generation"] == after[name]["status"]["observedGeneration"] == 1
        assert {each["observedGeneration"] for each in after[name]["status"]["conditions"]} == {1}
        assert RESTORING not in after[name]["metadata"].get("annotations", {})
    assert after[rejected]["status"]["lastHandled"] == {"retry": "1"}
    assert endpoint.keys - handed_over == Counter([new])
    assert (asks(shop) - asked, len(shop.mailbox.mails)) == (1, mailed)  # about the new one


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("is_there", [False, True], ids=["lost again", "still there"])
async def test_a_backup_that_was_taken_during_a_restore_strands_no_order(
    shop: Shop, endpoint: Endpoint, is_there: bool
) -> None:
    """Its object has the mark of that restore, and no status: it is held for a person, as any without one."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await sold(shop, endpoint, "fulfilled")
        (kept,) = await lost(shop)
        kept["metadata"]["annotations"] = {RESTORING: "fulfillment restore"}
        await restore(shop, [kept])
        _, backup, _ = await run(shop, "export", user=User.OPERATOR)
        if not is_there:
            await lost(shop)
        said = await run(shop, "restore", stdin=backup)
        assert said[:2] == (0, "1 found: 1 restored, 0 exists, 0 rejected\n")
        await shop.becomes(name, Phase.FULFILLING, "Restored")


@pytest.mark.usefixtures("alice")
async def test_a_restore_that_broke_is_brought_to_its_end(shop: Shop, endpoint: Endpoint) -> None:
    """Nobody acts on an object that has not got its status yet; the next run writes it."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url) as operator:
        name = await sold(shop, endpoint, "fulfilled")
        (before,) = (await statuses(shop)).values()
        _, backup, _ = await run(shop, "export", user=User.OPERATOR)
        (kept,) = await lost(shop)
        kept["metadata"]["annotations"] = {RESTORING: "fulfillment restore"}
        await restore(shop, [kept])
        await shop.becomes(await shop.sell(Order()), Phase.FULFILLED)
        assert (await shop.requests.get(name)).status is None
        await operator.reaches(1, "fulfillment_requests", phase="", reason="", acknowledged="false")
        said = await run(shop, "restore", stdin=backup)
        assert said[:2] == (0, "1 found: 1 restored, 0 exists, 0 rejected\n")
        after = await shop.becomes(name, Phase.FULFILLED)
    assert after.metadata.uid != before["metadata"]["uid"]
    assert endpoint.keys[name] == 1


@pytest.mark.usefixtures("alice")
async def test_a_change_that_nobody_had_handled_is_handled_after_the_restore(shop: Shop, endpoint: Endpoint) -> None:
    """The status of a spec that it has not seen is restored as one that has not seen it."""
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        name = await sold(shop, endpoint, "awaiting payment")
    shop.stripe.world.settle((await shop.requests.get(name)).spec.session.id, Settlement.SUCCEEDED)
    await shop.hint(name, PaymentStatus.PAID)
    _, backup, _ = await run(shop, "export", user=User.OPERATOR)
    await lost(shop)
    assert (await run(shop, "restore", stdin=backup))[0] == 0
    request = await shop.requests.get(name)
    assert request.status is not None
    assert (request.status.phase, request.status.observed_generation) == (Phase.AWAITING_PAYMENT, 0)
    async with at_work(shop, backend="http", FULFILLMENT_HTTP_URL=endpoint.url):
        await shop.becomes(name, Phase.FULFILLED)
    assert endpoint.keys == Counter([name])


@pytest.mark.usefixtures("alice")
async def test_what_cannot_be_restored_is_said(shop: Shop) -> None:
    """One that is rejected, or that does not decode, here or there, stops no other; what is no backup stops all."""
    good, bad = await shop.make("cs_test_1"), await shop.make("cs_test_2")
    _, backup, _ = await run(shop, "export", user=User.OPERATOR)
    undecodable = await shop.make_undecodable("cs_test_3")
    _, whole, _ = await run(shop, "export", user=User.OPERATOR)
    await lost(shop)
    code, output, errors = await run(shop, "restore", stdin=whole.replace(bad, "by-hand"))
    assert (code, output) == (1, "3 found: 1 restored, 0 exists, 2 rejected\n")
    assert sorted(line.partition(":")[0] for line in errors.splitlines()) == [
        "by-hand is rejected",
        f"{undecodable} is rejected",
    ]
    assert f"{undecodable} is rejected: it does not decode: Invalid RFC3339" in errors
    assert [*await statuses(shop)] == [good]

    there = await shop.make_undecodable("cs_test_2")
    await shop.requests.delete(good)
    code, output, errors = await run(shop, "restore", stdin=backup)
    assert (code, output) == (1, "2 found: 1 restored, 0 exists, 1 rejected\n")
    assert errors.startswith(f"{there} is rejected: one is there that does not decode")
    assert sorted(await statuses(shop)) == sorted([good, there])

    for text, why in (
        ('{"kind": "Pod"}', "line 1 is no FulfillmentRequest"),
        (backup + "{", "line 3 is no FulfillmentRequest"),
        (backup.replace("FulfillmentRequest", "Order"), "line 1 is of the kind Order of"),
        (backup + backup.replace(shop.namespace, "another"), "the orders are of several namespaces"),
    ):
        code, output, errors = await run(shop, "restore", stdin=text)
        assert (code, output) == (1, "")
        assert why in errors
    assert (await run(shop, "restore", stdin=backup, user=User.SERVICE))[0] == os.EX_NOPERM


@pytest.mark.usefixtures("alice")
async def test_exports_that_overlap_bring_back_the_newest_state(shop: Shop) -> None:
    """In whichever order they come; and where nobody can tell which is the newest, none is restored."""
    name = await shop.make("cs_test_1")
    await shop.requests.patch_status(name, FULFILLING)
    _, yesterday, _ = await run(shop, "export", user=User.OPERATOR)
    await shop.requests.patch_status(name, FULFILLED)
    _, today, _ = await run(shop, "export", user=User.OPERATOR)
    await lost(shop)
    code, output, errors = await run(shop, "restore", stdin=yesterday + re.sub('"uid":"[^"]*",', "", today))
    assert (code, output) == (1, "")
    assert f"of {name} there are several states" in errors
    for backup, repeated in (
        (yesterday + today, "1 repeated line is"),
        (today + yesterday * 2, "2 repeated lines are"),
    ):
        said = await run(shop, "restore", stdin=backup)
        newest = f"{repeated} left out: of each order the newest state is taken\n"
        assert said == (0, "1 found: 1 restored, 0 exists, 0 rejected\n", newest)
        assert (await shop.requests.get(name)).status == FULFILLED
        await lost(shop)


async def test_a_tool_that_writes_the_status_afterwards_needs_the_operator_away(shop: Shop, endpoint: Endpoint) -> None:
    """As Velero does with `--status-include-resources`: create, then status. The next operator goes on as before."""
    kinds = [each for each in KINDS if each not in {"unavailable", "awaiting payment"}]
    settings: dict[str, Any] = {"FULFILLMENT_HTTP_URL": endpoint.url, "reversal_interval": timedelta(seconds=0.1)}
    async with at_work(shop, backend="http", **settings):
        names = [each for kind in kinds for each in await asyncio.gather(*(sold(shop, endpoint, kind) for _ in "ab"))]
        for name in names[2 * kinds.index("refunded") :][:2]:
            await shop.says(name, ConditionType.REFUNDED, "all of the payment was given back")
    backup = await lost(shop)
    assert {each["status"]["observedGeneration"] for each in backup} == {1, 2}
    asked, mailed, handed_over = asks(shop), len(shop.mailbox.mails), endpoint.keys.copy()
    await restore(shop, backup)
    objects = client.CustomObjectsApi(shop.api)
    for each in backup:
        await objects.patch_namespaced_custom_object_status(
            **ADDRESS,
            namespace=shop.namespace,
            name=each["metadata"]["name"],
            body={"status": each["status"]},
            _content_type="application/merge-patch+json",
        )

    async with at_work(shop, backend="http", **settings):
        new = await shop.sell(Order())
        await shop.becomes(new, Phase.FULFILLED)
    after = await statuses(shop)
    for each in backup:
        found = after[each["metadata"]["name"]]
        assert without_generations(found["status"]) == without_generations(each["status"])
        if found["status"]["phase"] == Phase.FAILED:
            assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 1
    assert len(after) == len(names) + 1
    assert endpoint.keys - handed_over == Counter([new])
    assert (asks(shop) - asked, len(shop.mailbox.mails)) == (1, mailed)


def backed_up(shop: Shop, session: str, status: Status | None) -> BackedUpRequest:
    metadata = BackedUpMetadata(name=request_name(session), namespace=shop.namespace)
    spec = make_request(session_id=session).spec
    return BackedUpRequest(api_version=API_VERSION, kind=KIND, metadata=metadata, spec=spec, status=status)


@pytest.mark.parametrize(
    ("before", "here", "message"),
    [
        (FULFILLED, None, "it is fulfilled in the backup, and not reconciled yet here"),
        (FULFILLED, FULFILLING, "it is fulfilled in the backup, and fulfilling (Dispatched) here"),
        (FULFILLED, REJECTED, "it is fulfilled in the backup, and failed (FulfillmentFailed) here"),
        (FULFILLED, FULFILLED, ""),
        (REJECTED, FULFILLING, "it is failed (FulfillmentFailed) in the backup, and fulfilling (Dispatched) here"),
        (REJECTED, replace(FULFILLING, last_handled=LastHandled(retry="1")), ""),
        (REJECTED, UNPAID, ""),
        (REJECTED, FULFILLED, ""),
        (UNPAID, FULFILLING, ""),  # it may be paid since, and Stripe says whether it is
        (FULFILLING, None, ""),
        (None, None, ""),
    ],
)
async def test_an_order_that_had_ended_and_was_made_anew_before_its_restore_is_told(
    shop: Shop, before: Status | None, here: Status | None, message: str
) -> None:
    """It might be fulfilled twice, or in spite of a person: the line says what to do; all else is left alone."""
    name = await shop.make("cs_test_1")
    if here is not None:
        await shop.requests.patch_status(name, here)
    backup = [backed_up(shop, "cs_test_1", before)]
    for dry_run in (True, False):
        (done,) = await restoring.restore(shop.requests, backup, dry_run=dry_run)
        expected = restoring.Outcome.REJECTED if message else restoring.Outcome.EXISTS
        assert (done.outcome, done.message.partition(" here")[0]) == (expected, message.partition(" here")[0])
        if message:
            verb = "complete" if before is FULFILLED else "fail"
            assert f", kubectl fulfillment {verb} {name} --namespace {shop.namespace} --re" in done.message
    assert (await shop.requests.get(name)).status == here


class Lossy:
    """An API server whose first answer to the last write of a restore does not come through."""

    def __init__(self, rest: LibraryRestClient) -> None:
        self._rest = rest
        self.lost = 0
        self.stream = rest.stream

    async def request(self, method: Method, path: str, **parts: Any) -> Answer:
        answer = await self._rest.request(method, path, **parts)
        if method is Method.PATCH and not path.endswith("/status") and not self.lost:
            self.lost += 1
            raise ApiUnavailableError("the Kubernetes API did not answer in time")
        return answer


async def test_an_order_whose_last_answer_was_lost_is_restored_all_the_same(shop: Shop) -> None:
    """It is not told as one that was there before."""
    backup = backed_up(shop, "cs_test_1", FULFILLED)
    lossy = Lossy(LibraryRestClient(shop.api))
    (done,) = await restoring.restore(
        FulfillmentRequestClient(lossy, shop.namespace, timeout=10), [backup], dry_run=False
    )
    (again,) = await restoring.restore(shop.requests, [backup], dry_run=False)
    assert (lossy.lost, done.outcome, again.outcome) == (1, restoring.Outcome.RESTORED, restoring.Outcome.EXISTS)
    found = await shop.requests.get(backup.metadata.name)
    assert (found.status and found.status.phase, found.metadata.annotations) == (Phase.FULFILLED, {})
