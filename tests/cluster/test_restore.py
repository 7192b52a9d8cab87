"""A backup of the orders is restored: without their status, as most tools do, and with it."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fulfillment_api.names import API_VERSION, COMPLETE, FAIL, PLURAL, RETRY
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason
from support.backups import backup_of
from support.commands import PROGRAMS
from support.live_cluster import RELEASE, LiveCluster, eventually, run
from support.stand_ins import StandIns

REJECTED = 10
"""Orders that the shop refuses."""
SOLD = {
    "paid": (80, Phase.FULFILLED),
    "async-succeeded": (30, Phase.FULFILLED),
    "free": (20, Phase.FULFILLED),
    "async-failed": (30, Phase.FAILED),
    "unpaid": (30, Phase.AWAITING_PAYMENT),
}
"""How many of each scenario, and where they end."""
HELD = f"status.reason={Reason.RESTORED}"
WITHIN = 180.0  # seconds


async def test_restored_orders_are_held_until_a_person_says_what_they_are(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """Of 200 in every phase none is handed over and nobody is mailed, until some were done and others were not."""
    await delete_all(cluster)  # of the tests before
    await cluster.until_served()
    await sell_in_every_phase(cluster, shop)
    handed_over, mailed = await shop.hand_overs(), len(await shop.mails())
    found = json.loads(await cluster.kubectl("get", PLURAL, "--output=json"))["items"]
    assert len(found) == 200

    await delete_all(cluster)
    start = time.monotonic()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await cluster.kubectl("create", "-f", "-", manifests=backup_of(found, yesterday))
    await held(cluster, HELD, 200)
    figure("a restore without status", f"{time.monotonic() - start:.0f} s until each of 200 orders is held")
    new = await cluster.sell("paid")
    fresh = {(await cluster.order_in(new, Phase.FULFILLED)).metadata.name: 1}
    assert handed_over | fresh == await shop.hand_overs()
    assert mailed == len(await shop.mails())

    done, told = f"{COMPLETE}=before the restore", f"{FAIL}=told before the restore"
    for payment, said in (("paid", done), ("no_payment_required", done), ("failed", told)):
        selector = f"{HELD},spec.payment.status={payment}"
        await cluster.kubectl("annotate", PLURAL, f"--field-selector={selector}", said)
        await held(cluster, selector, 0)
    settled_early = [f"{PLURAL}/{each['metadata']['name']}" for each in found if is_fulfilled(each) and is_unpaid(each)]
    if settled_early:  # as whoever fulfills knows
        await cluster.kubectl("annotate", *settled_early, done)
    await held(cluster, HELD, SOLD["unpaid"][0])
    await cluster.kubectl("annotate", PLURAL, f"--field-selector={HELD}", f"{RETRY}=not done before the restore")
    await held(cluster, HELD, 0)

    phases = Counter(each.status.phase for each in (await cluster.orders()).values() if each.status)
    assert phases == {Phase.FULFILLED: 141, Phase.FAILED: 30, Phase.AWAITING_PAYMENT: 30}
    assert handed_over | fresh == await shop.hand_overs()
    assert mailed == len(await shop.mails())


async def test_orders_come_back_with_their_status(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """As the docs say: exported by the operator's pod, restored by a person; none is held, each is as it was."""
    before, handed_over, mailed = await cluster.orders(), await shop.hand_overs(), len(await shop.mails())
    backup, kubeconfig = tmp_path / "orders.jsonl", tmp_path / "kubeconfig"
    backup.write_text(await cluster.kubectl("exec", f"deploy/{RELEASE}-operator", "--", "fulfillment", "export"))
    kubeconfig.write_text(await cluster.kubectl("config", "view", "--minify", "--raw", "--flatten"))
    await delete_all(cluster)

    start = time.monotonic()
    environ = (f"KUBECONFIG={kubeconfig}", f"FULFILLMENT_NAMESPACE={cluster.namespace}")
    said = await run("env", *environ, PROGRAMS / "fulfillment", "restore", backup)
    figure("a restore with status", f"{time.monotonic() - start:.0f} s for {len(before)} orders")

    assert said == f"{len(before)} found: {len(before)} restored, 0 exists, 0 rejected\n"
    new = await cluster.sell("paid")
    fresh = (await cluster.order_in(new, Phase.FULFILLED)).metadata.name
    after = await cluster.orders()
    assert {session: ends(order) for session, order in before.items()} == {each: ends(after[each]) for each in before}
    assert handed_over | {fresh: 1} == await shop.hand_overs()
    assert mailed == len(await shop.mails())


def is_fulfilled(order: Mapping[str, Any]) -> bool:
    return bool(order["status"]["phase"] == Phase.FULFILLED)


def is_unpaid(order: Mapping[str, Any]) -> bool:
    """Tell whether the last event said so: Stripe's answer may have told of a delayed payment sooner than its event."""
    return bool(order["spec"]["payment"]["status"] == PaymentStatus.UNPAID)


async def delete_all(cluster: LiveCluster) -> None:
    """Delete every order by one request: kubectl makes one for each, at its own pace."""
    status, body = await cluster.ask("DELETE", f"/apis/{API_VERSION}/namespaces/{cluster.namespace}/{PLURAL}")
    assert status == HTTPStatus.OK, body
    await eventually(cluster.orders, lambda found: not found, within=WITHIN, what="every order is deleted")


async def sell_in_every_phase(cluster: LiveCluster, shop: StandIns) -> None:
    """Sell orders, and wait until each is where it ends."""
    await shop.refuse_orders(HTTPStatus.BAD_REQUEST, REJECTED)
    await sell(cluster, "paid", REJECTED, Phase.FAILED)
    for scenario, (count, phase) in SOLD.items():
        await sell(cluster, scenario, count, phase)


async def sell(cluster: LiveCluster, scenario: str, count: int, phase: Phase) -> None:
    said = await cluster.trigger(scenario, f"--count={count}", "--concurrency=4")
    sessions = set(re.findall(r"\bcs_\w+", said))
    assert len(sessions) == count
    await cluster.orders_in(sessions, phase, within=WITHIN)


async def held(cluster: LiveCluster, selector: str, count: int) -> None:
    """Wait until the API server selects so many."""

    async def names() -> list[str]:
        return (await cluster.kubectl("get", PLURAL, f"--field-selector={selector}", "--output=name")).splitlines()

    await eventually(names, lambda found: len(found) == count, within=WITHIN, what=f"{count} orders have {selector}")


def ends(order: FulfillmentRequest) -> tuple[str, str, str, bool]:
    """Tell how an order stands."""
    assert order.status
    return order.status.phase, order.status.reason, order.status.message, order.has_unobserved_spec
