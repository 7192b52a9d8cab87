"""Signed events go through the Service, and their orders end as they should: what a person sees of each."""

import re
from http import HTTPStatus

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_api.names import ACKNOWLEDGED
from fulfillment_api.status import Phase
from support.live_cluster import LiveCluster, eventually
from support.stand_ins import StandIns

COLUMNS = ["NAME", "PHASE", "REASON", "AMOUNT", "PAYMENT", "AGE"]


async def row(cluster: LiveCluster, name: str) -> dict[str, str]:
    """Read what `kubectl get fulfillmentrequests` shows of a request, by column."""
    head, line = (await cluster.kubectl("get", "fulfillmentrequests", name)).splitlines()
    return dict(zip(cells(head), cells(line), strict=True))


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


@pytest.mark.parametrize(
    ("scenario", "phase", "reason", "amount", "payment", "handed_over", "mailed"),
    [
        ("paid", Phase.FULFILLED, "Fulfilled", "42.50 EUR", "Paid", 1, 0),
        ("free", Phase.FULFILLED, "Fulfilled", "0.00 EUR", "NoPaymentRequired", 1, 0),
        ("async-succeeded", Phase.FULFILLED, "Fulfilled", "42.50 EUR", "Paid", 1, 0),
        ("unpaid", Phase.AWAITING_PAYMENT, "PaymentProcessing", "42.50 EUR", "PaymentProcessing", 0, 0),
        ("async-failed", Phase.FAILED, "PaymentFailed", "42.50 EUR", "PaymentFailed", 0, 1),
    ],
    ids=["paid", "free", "async-succeeded", "unpaid", "async-failed"],
)
async def test_an_order_ends_as_it_should(
    cluster: LiveCluster,
    shop: StandIns,
    scenario: str,
    phase: Phase,
    reason: str,
    amount: str,
    payment: str,
    handed_over: int,
    mailed: int,
) -> None:
    """Kubernetes shows it in one line; the shop is handed what is paid for, and whose payment failed is told, once."""
    buyer = f"{scenario}@buyer.example"

    session = await cluster.sell(scenario, "--email", buyer, "--amount", "4250", "--currency", "eur")

    order = await cluster.order_in(session, phase)
    name = order.metadata.name
    shown = await row(cluster, name)
    assert list(shown) == COLUMNS
    assert shown.pop("AGE")
    assert shown == {"NAME": name, "PHASE": phase, "REASON": reason, "AMOUNT": amount, "PAYMENT": payment}
    assert handed_over == (await shop.hand_overs()).get(name, 0)
    assert mailed == len([mail for mail in await shop.mails() if buyer in mail.recipients])


async def test_duplicates_in_any_order_are_one_order(cluster: LiveCluster, shop: StandIns) -> None:
    """Both events of an order come three times over, mixed, two at a time, and the shop sees it once."""
    session = await cluster.sell("async-succeeded", "--duplicates=2", "--shuffle", "--concurrency=2")

    order = await cluster.order_in(session, Phase.FULFILLED)

    assert (await shop.hand_overs())[order.metadata.name] == 1


async def test_the_shop_is_told_again_after_a_passing_fault(cluster: LiveCluster, shop: StandIns) -> None:
    """The order is fulfilled at the second try, with the shop's own reference."""
    await shop.refuse_orders(HTTPStatus.SERVICE_UNAVAILABLE, 1)

    session = await cluster.sell("paid")

    order = await cluster.order_in(session, Phase.FULFILLED, within=60)
    assert order.status
    assert order.status.fulfillment
    name = order.metadata.name
    assert (2, f"order-of-{name}") == (order.status.fulfillment.attempts, order.status.fulfillment.reference)
    assert (await shop.hand_overs())[name] == 1


async def test_the_customer_is_told_in_the_shops_name(cluster: LiveCluster, shop: StandIns) -> None:
    """The mail on a failed payment names shop and amount; a person acknowledges the failure, and kubectl shows that."""
    buyer = "told@buyer.example"
    session = await cluster.sell("async-failed", "--email", buyer, "--amount", "1099")
    order = await cluster.order_in(session, Phase.FAILED)

    (mail,) = (mail for mail in await shop.mails() if buyer in mail.recipients)
    assert ("orders@shop.example", (buyer,)) == (mail.sender, mail.recipients)
    assert mail.text
    assert "Harbour Goods" in mail.text
    assert "10.99 USD" in mail.text

    said = "PaymentFailed: told by telephone"
    await cluster.kubectl("annotate", "fulfillmentrequests", order.metadata.name, f"{ACKNOWLEDGED}={said}")
    assert said in await cluster.kubectl("get", "fulfillmentrequests", order.metadata.name, "--output=wide")
    assert (await cluster.orders())[session].is_acknowledged


@pytest.mark.usefixtures("shop")
async def test_what_stripe_did_not_sign_is_refused(cluster: LiveCluster) -> None:
    """A wrong signature and an old one are answered 400, and make no order."""
    before = await cluster.orders()

    said = [await cluster.trigger("paid", flaw) for flaw in ("--bad-signature", "--old")]

    assert [400, 400] == [int(line.split()[0]) for line in said]
    assert before == await cluster.orders()


@pytest.mark.usefixtures("shop")
async def test_metrics_of_every_pod_move(cluster: LiveCluster) -> None:
    """Each pod is asked by way of the API server; what happened to one order is told by both workloads."""
    created = ("fulfillment_webhook_events_total", {"outcome": "created"})
    fulfilled = ("fulfillment_transitions_total", {"phase": "fulfilled"})
    handed_over = ("fulfillment_backend_attempts_total", {"backend": "http", "result": "done"})

    async def totals() -> list[float]:
        return [await total(cluster, each) for each in (created, fulfilled, handed_over)]

    before = await totals()

    for _ in range(3):
        await cluster.order_in(await cluster.sell("paid"), Phase.FULFILLED)

    expected = [each + 3 for each in before]  # a transition counts once the API server has answered, a moment later
    await eventually(totals, lambda found: found == expected, within=60, what=f"the metrics are {expected}")


async def total(cluster: LiveCluster, wanted: tuple[str, dict[str, str]]) -> float:
    """Sum up a metric over all pods of the release, by a part of its labels."""
    name, labels = wanted
    pods = [pod for component in ("webhook", "operator") for pod in await cluster.pods(component)]
    texts = [(await cluster.get(cluster.pod(pod.name, 8081) + "/metrics")).decode() for pod in pods]
    samples = (sample for text in texts for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(float(each.value) for each in samples if each.name == name and labels.items() <= each.labels.items())
