"""A signing secret is rolled at Stripe."""

import base64
import time
from collections.abc import Callable, Sequence

import msgspec
import yaml

from fulfillment_cli.signing import webhook_headers
from fulfillment_local.fake_stripe.model import Order
from support.live_cluster import LiveCluster, Pod, eventually
from support.stand_ins import StandIns

NEW = "whsec_rolled_0123456789abcdef"
WITHIN = 180.0
"""Seconds: the kubelet looks at a Secret about once a minute, or later."""


async def test_a_new_secret_needs_no_restart(
    cluster: LiveCluster, shop: StandIns, figure: Callable[[str, str], None]
) -> None:
    """Put beside the old one into the Secret, it is taken by every pod that runs, and so is the old one."""
    pods = await cluster.pods("webhook")
    (played,) = await shop.stripe.play(Order())
    assert played.event
    body = bytes(played.event.snapshot)
    found = yaml.safe_load(await cluster.kubectl("get", "secret", "stripe", "--output=yaml"))
    old = base64.b64decode(found["data"]["webhook-secrets"]).decode()
    assert [400, 400] == await answers(cluster, pods, body, NEW)

    change = msgspec.json.encode({"stringData": {"webhook-secrets": f"{old}\n{NEW}\n"}}).decode()
    start = time.monotonic()
    await cluster.kubectl("patch", "secret", "stripe", "--patch", change)
    await eventually(
        lambda: answers(cluster, pods, body, NEW),
        lambda statuses: statuses == [200, 200],
        within=WITHIN,
        what="every pod takes what the new secret signed",
    )

    figure("a new signing secret", f"{time.monotonic() - start:.1f} s until every pod takes it, with no restart")
    assert [200, 200] == await answers(cluster, pods, body, old.split(",")[0])
    assert pods == await cluster.pods("webhook")


async def answers(cluster: LiveCluster, pods: Sequence[Pod], body: bytes, secret: str) -> list[int]:
    """Post an event to each pod by way of the API server, and return how they answer."""
    headers = webhook_headers(body, (secret,), now=time.time())
    return [(await cluster.ask("POST", cluster.pod(pod.name, 4242) + "/webhook", body, **headers))[0] for pod in pods]
