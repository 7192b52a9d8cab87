"""The payment is given back while a Job is at work on the order."""

import base64

import yaml

from fulfillment_api.names import GROUP
from fulfillment_api.status import Phase, Reason
from fulfillment_local.fake_stripe.model import AfterPayment
from fulfillment_local.webhook_sender import Plan, Webhook, send
from support.live_cluster import RELEASE, LiveCluster, eventually
from support.stand_ins import StandIns


async def test_a_refund_stops_the_job(cluster: LiveCluster, shop: StandIns) -> None:
    """Its pod ends, nothing of it is left, and the order is not fulfilled."""
    session = await cluster.sell("paid", "--metadata", "ship=parcel", "--metadata", "slowly=yes")
    name = (await cluster.order_in(session, Phase.FULFILLING)).metadata.name
    selector = f"--selector={GROUP}/request={name}"

    async def pods() -> str:
        return await cluster.kubectl("get", "pods", selector, "--output=jsonpath={.items[*].status.phase}")

    await eventually(pods, lambda phases: phases == "Running", within=60, what="the Job's pod runs")
    refund = await shop.stripe.play_after_payment(session, AfterPayment.REFUNDED)
    found = yaml.safe_load(await cluster.kubectl("get", "secret", "stripe", "--output=yaml"))
    secret = base64.b64decode(found["data"]["webhook-secrets"]).decode()
    url = f"{cluster.url}{cluster.service(f'{RELEASE}-webhook')}/webhook"
    (answer,) = await send([refund], Plan(), shop.stripe, Webhook(url=url, secrets=(secret,), http=cluster.http))
    assert answer.acknowledged

    order = await cluster.order_in(session, Phase.FAILED, within=60)
    assert order.status
    assert order.status.reason == Reason.REFUNDED
    assert await cluster.kubectl("get", "jobs,pods", selector, "--output=name") == ""
