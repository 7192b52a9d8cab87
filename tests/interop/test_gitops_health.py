"""How GitOps tools judge an order in each phase, as the operator wrote it: by what docs/gitops.md says they go by."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml
from kubernetes.aio import client

from fulfillment_api.names import request_name
from fulfillment_api.spec import Expiry, Payment, PaymentStatus, Session, Spec
from fulfillment_api.status import Phase, Reason
from fulfillment_local.fake_stripe.model import Order, Outcome
from fulfillment_operator.policy.retention import TRIMMED_AFTER, trimmed
from support.repository import ROOT
from support.running_operator import ADDRESS, LEASE_THAT_IS_KEPT, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

PAGE = (ROOT / "docs/gitops.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (?P<order>[^|]+) \| (\w+) \| (\w+) \| (\w+) \|$", re.MULTILINE)


class Health(NamedTuple):
    """What each tool says of one order."""

    kstatus: str
    flux: str
    argo: str


UNSEEN, UNDER_WAY, PAUSED, RESTORED, FULFILLED, FAILED = (Health(*row[1:]) for row in _ROW.findall(PAGE))
"""The rows of the page's table."""


class Judge(NamedTuple):
    """Has objects judged by the tools."""

    program: Path
    flux: Path
    lua: Path

    def of(self, *objects: dict[str, Any]) -> list[Health]:
        lines = "".join(f"{json.dumps(each)}\n" for each in objects)
        run = subprocess.run(  # noqa: S603 - our own arguments
            [self.program, self.flux, self.lua], input=lines, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")
        said = [json.loads(line) for line in run.stdout.splitlines()]
        return [Health(each["kstatus"], each["flux"], each["argo"]["status"]) for each in said]


@pytest.fixture(scope="module")
def judge(go_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Give the tools what the page says: the expressions to Flux, and the check to Argo CD."""
    folder = tmp_path_factory.mktemp("checks")
    (expressions,) = yaml.safe_load(block("yaml"))["healthCheckExprs"]
    flux, lua = folder / "flux.yaml", folder / "health.lua"
    flux.write_text(yaml.safe_dump(expressions), encoding="utf-8")
    lua.write_text(block("lua"), encoding="utf-8")
    return Judge(go_programs / "health", flux, lua)


def block(language: str) -> str:
    """Return the first block of a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


async def read(shop: Shop, name: str) -> dict[str, Any]:
    """Read an order as the tools do."""
    found = await client.CustomObjectsApi(shop.api).get_namespaced_custom_object(
        **ADDRESS, namespace=shop.namespace, name=name
    )
    assert isinstance(found, dict)
    return found


async def test_an_order_is_judged_by_its_phase(shop: Shop, judge: Judge) -> None:
    """Each that the operator brought into a phase, and one that it has not seen, is what the page's table says."""
    session, _ = shop.stripe.world.play(Order())
    name = await shop.make(session.id)
    unseen = await read(shop, name)
    restored = await restored_order(shop)
    async with at_work(shop, LEASE_THAT_IS_KEPT, backend="manual"):
        awaiting = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        unknown = await shop.make("cs_test_that_nobody_knows")
        await shop.becomes(name, Phase.FULFILLING, Reason.DISPATCHED)
        fulfilling = await read(shop, name)
        await shop.annotate(name, complete="by-hand-7")
        await shop.becomes(name, Phase.FULFILLED)
        await shop.becomes(awaiting, Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)
        waiting = await read(shop, awaiting)
        await shop.annotate(awaiting, paused="the address is odd")
        await shop.becomes(awaiting, Phase.AWAITING_PAYMENT, Reason.PAUSED)
        await shop.becomes(unknown, Phase.FAILED, Reason.SESSION_NOT_FOUND)
        await shop.becomes(restored, Phase.FULFILLING, Reason.RESTORED)
        others = [await read(shop, each) for each in (awaiting, restored, name, unknown)]
    found = judge.of(unseen, waiting, fulfilling, *others)
    assert found == [UNSEEN, UNDER_WAY, UNDER_WAY, PAUSED, RESTORED, FULFILLED, FAILED]


async def test_an_order_that_ended_long_ago_is_judged_as_it_was(shop: Shop, judge: Judge) -> None:
    """What retention takes from its status changes no verdict."""
    async with at_work(shop, LEASE_THAT_IS_KEPT):
        fulfilled, failed = await shop.sell(Order()), await shop.make("cs_test_that_nobody_knows")
        requests = [await shop.becomes(fulfilled, Phase.FULFILLED), await shop.becomes(failed, Phase.FAILED)]
    old = []
    for request in requests:
        rest = trimmed(request, datetime.now(UTC) + 2 * TRIMMED_AFTER)
        assert rest is not None
        old.append(await read(shop, request.metadata.name) | {"status": msgspec.to_builtins(rest)})
    assert judge.of(*old) == [FULFILLED, FAILED]


async def test_a_newer_spec_is_no_news_until_the_operator_has_seen_it(shop: Shop, judge: Judge) -> None:
    """A failed order whose payment is heard of again is under way, whatever its conditions still say."""
    async with at_work(shop, LEASE_THAT_IS_KEPT):
        name = await shop.make("cs_test_that_nobody_knows")
        await shop.becomes(name, Phase.FAILED)
    await shop.patch_spec(name, Expiry(observed_at=datetime.now(UTC)))
    (found,) = judge.of(await read(shop, name))
    assert (found.kstatus, found.flux, found.argo) == UNDER_WAY


async def restored_order(shop: Shop) -> str:
    """Make an order as a backup brings it back: it was observed long before it was made."""
    session, _ = shop.stripe.world.play(Order())
    payment = Payment(status=PaymentStatus.PAID, observed_at=datetime.now(UTC) - timedelta(days=1))
    spec = Spec(session=Session(id=session.id, livemode=False), payment=payment)
    name = request_name(session.id)
    await shop.requests.create(name, spec)
    return name
