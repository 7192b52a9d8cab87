"""`fulfillment self-test`, before a service, an operator and a Stripe that work, and before those that do not."""

import asyncio
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import fields
from typing import Any

import pytest
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL, request_name
from fulfillment_api.self_test import self_test_session
from fulfillment_api.status import Phase, Reason
from fulfillment_cli.self_test import EventSender, SelfTest
from fulfillment_cli.self_test_order import SelfTestError
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.settings import Secret
from support.commands import fulfillment
from support.running_operator import ADDRESS, Shop, at_work, open_shop
from support.running_webhook import OLD_SECRET, RULES, SECRET, running_webhook, service_settings
from support.stripe_events import snapshot

pytestmark = pytest.mark.usefixtures("crd")

EVENTS = "fulfillment_webhook_events_total"
LAST_EVENT = "fulfillment_webhook_last_event_timestamp_seconds"
RIGHTS = client.V1PolicyRule(api_groups=[GROUP], resources=[PLURAL], verbs=["get", "delete"])
"""What the chart's Role allows `helm test`: no more is needed."""


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    async with open_shop(control_plane, namespace) as shop:
        yield shop


def self_test(shop: Shop, port: int, **changes: Any) -> SelfTest:
    facts: dict[str, Any] = {
        "webhook_url": f"http://localhost:{port}/webhook",
        "secrets": (SECRET, OLD_SECRET),
        "livemode": False,
        "namespace": shop.namespace,
        "http": shop.http,
        **changes,
    }
    sender = EventSender(**{field.name: facts[field.name] for field in fields(EventSender) if field.name in facts})
    return SelfTest(
        sender=sender,
        namespace=facts["namespace"],
        requests=changes.get("requests", shop.requests),
        timeout=changes.get("timeout", 30.0),
        report=lambda _line: None,
        session=changes.get("session", ""),
    )


async def left(shop: Shop) -> list[Any]:
    """List the requests that are still there."""
    found: Any = await client.CustomObjectsApi(shop.api).list_namespaced_custom_object(
        **ADDRESS, namespace=shop.namespace
    )
    return list(found["items"])


async def start(shop: Shop, port: int) -> Process:
    """Start the command as `helm test` does."""
    await shop.control_plane.grant(User.SELF_TEST, shop.namespace, [RIGHTS])
    return await asyncio.create_subprocess_exec(
        *(fulfillment(), "self-test", "--webhook-url", f"http://localhost:{port}/webhook", "--within", "30"),
        env={
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_WEBHOOK_SECRETS": f"{SECRET},{OLD_SECRET}",
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.SELF_TEST]),
        },
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_an_installation_that_works(shop: Shop) -> None:
    """It says what was seen, step by step, and leaves nothing behind."""
    settings = service_settings(shop.control_plane, shop.namespace)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook, at_work(shop):
        last_event = await webhook.metric(LAST_EVENT)
        process = await start(shop, webhook.port)
        output, errors = await process.communicate()
        assert await webhook.metric(LAST_EVENT) == last_event  # it was no event of Stripe's
        for outcome in ("created", "unchanged"):
            assert await webhook.metric(EVENTS, type="checkout.session.completed", outcome=outcome) == 0
    assert (process.returncode, errors.decode()) == (0, "")
    took, ended, deleted, last = output.decode().splitlines()
    assert took == "ok  the webhook took the event, signed with each signing secret (2)"
    name = deleted.removeprefix("ok  ").removesuffix(" is deleted")
    assert ended.startswith(
        f"ok  {name} appeared, the operator asked Stripe, and Stripe does not know cs_test_selftest"
    )
    assert last == "The installation works: the next step is an order of Stripe's own."
    assert await left(shop) == []


async def test_its_order_alerts_nobody(shop: Shop) -> None:
    """Should it be left behind, it is labelled, its failure is acknowledged, and the operator counts it so."""
    name = request_name(session_id := self_test_session("0" * 24, livemode=False))
    settings = service_settings(shop.control_plane, shop.namespace)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook, at_work(shop) as operator:
        await webhook.send(snapshot(session={"id": session_id, "livemode": False}))
        request = await shop.becomes(name, Phase.FAILED, Reason.SESSION_NOT_FOUND)
        failed = {"phase": "failed", "reason": "SessionNotFound"}
        await operator.reaches(1, "fulfillment_requests", **failed, acknowledged="true")
        assert await operator.metric("fulfillment_requests", **failed, acknowledged="false") == 0
    assert request.is_acknowledged
    (found,) = await left(shop)
    assert found["metadata"]["labels"] == {f"{GROUP}/self-test": "true"}


async def test_its_order_is_missed_by_nobody(shop: Shop) -> None:
    """With a wrong API key it is deleted before its end, and the operator counts no order that nobody fulfills."""
    settings = service_settings(shop.control_plane, shop.namespace)
    wrong = Secret("sk_test_unknown")
    async with (
        running_webhook(shop.control_plane, shop.namespace, settings) as webhook,
        at_work(shop, stripe_api_key=wrong) as operator,
    ):
        with pytest.raises(SelfTestError):
            await self_test(shop, webhook.port).run()
        waiting = {"phase": "awaiting-payment", "reason": "StripeMisconfigured", "acknowledged": "false"}
        await operator.reaches(0, "fulfillment_requests", **waiting)
        assert await operator.metric("fulfillment_unfinished_requests_deleted_total") == 0


async def test_its_event_passes_the_filters(shop: Shop) -> None:
    """Of several apps that share an account it is this one's."""
    filters = {"payment_links": ("plink_1", "plink_2"), "metadata": ("app=shop",)}
    settings = service_settings(shop.control_plane, shop.namespace, **filters)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook, at_work(shop):
        with pytest.raises(SelfTestError, match=r"the webhook ignored the event \(payment-link\): mend its filters"):
            await self_test(shop, webhook.port).run()
        await self_test(shop, webhook.port, payment_link="plink_1", metadata={"app": "shop"}).run()
    assert await left(shop) == []


@pytest.mark.parametrize(
    ("service", "operator", "changes", "message"),
    [
        (
            {"webhook_secrets": (Secret(SECRET),)},
            {},
            {},
            (
                "the webhook rejects an event that is signed with signing secret 2 of 2: it has other secrets than "
                "this test. If the Secret has just changed, it takes the kubelet a minute to bring it: try again"
            ),
        ),
        (
            {"allowed_sources": ("3.18.12.63",)},
            {},
            {},
            (
                "the webhook takes events from Stripe's addresses only: while you test, add to "
                "stripe.allowedSources.addresses (STRIPE_ALLOWED_SOURCES) those of the pods, and for doctor, which "
                "sends from the webhook's own, 127.0.0.1 and ::1"
            ),
        ),
        (
            {},
            {},
            {"clock": lambda: time.time() - 4000},
            "the webhook rejects the event (stale-signature): the signature is 40",
        ),
        (
            {"livemode": True},
            {},
            {},
            (
                "the webhook ignores test events, but the API key is a test key: set stripe.livemode "
                "(STRIPE_LIVEMODE) to false, or take the other key"
            ),
        ),
        (
            {},
            {},
            {"webhook_url": "http://127.0.0.1:1/webhook", "timeout": 0.1},
            "the webhook cannot be reached at http://127.0.0.1:1/webhook (Cannot connect to host",
        ),
        (
            {},
            None,
            {"timeout": 1.0},
            "the order appeared, but no operator has picked it up: does one run, and does it hold the Lease? kubectl",
        ),
        (
            {},
            {"stripe_api_key": Secret("sk_test_unknown")},
            {},
            "Stripe does not know the API key: mend STRIPE_API_KEY (stripe.existingSecret) (request req_",
        ),
        (
            {},
            {"stripe_api_key": Secret(POWERLESS_KEY)},
            {},
            "Stripe does not allow this API key to read Checkout Sessions, PaymentIntents, Charges and Disputes, ",
        ),
        (
            {},
            {"stripe_api_key": Secret(LIVE_KEY)},
            {},
            "the operator's API key is of the other mode than this test's. If the Secret has just changed",
        ),
        (
            {},
            {"stripe_api_base": "http://127.0.0.1:1"},
            {"timeout": 15.0},
            (
                "Stripe's API cannot be reached: may the operator's pods reach it (NetworkPolicy, proxy, "
                "stripe.apiBase)?"
            ),
        ),
    ],
)
async def test_what_does_not_work_is_one_line_that_says_what_to_do(
    shop: Shop, service: dict[str, Any], operator: dict[str, Any] | None, changes: dict[str, Any], message: str
) -> None:
    """Whatever it is, the order is gone afterwards."""
    async with AsyncExitStack() as stack:
        settings = service_settings(shop.control_plane, shop.namespace, **service)
        webhook = await stack.enter_async_context(running_webhook(shop.control_plane, shop.namespace, settings))
        if operator is not None:
            at_it = await stack.enter_async_context(at_work(shop, **operator))
            await at_it.reaches(1, "fulfillment_leader")
        with pytest.raises(SelfTestError) as caught:
            await self_test(shop, webhook.port, **changes).run()
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message
    assert await left(shop) == []


async def test_a_webhook_without_rights_is_told_by_its_log(shop: Shop) -> None:
    """503: the answer says nothing of the cluster, the log does."""
    settings = service_settings(shop.control_plane, shop.namespace)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook:
        await client.RbacAuthorizationV1Api(shop.api).delete_collection_namespaced_role_binding(shop.namespace)
        async with asyncio.timeout(60):
            while (await webhook.send(snapshot()))[0] == 200:  # the API server does not go by it yet
                pass
        with pytest.raises(SelfTestError) as caught:
            await self_test(shop, webhook.port).run()
    assert caught.value.message.startswith("the webhook cannot record the event (503), and its log says why: kubectl")


async def test_a_webhook_of_another_namespace_is_found_out(shop: Shop, control_plane: ControlPlane) -> None:
    """The event was taken, and the order is nowhere to be seen."""
    settings = service_settings(control_plane, shop.namespace)
    elsewhere = FulfillmentRequestClient(LibraryRestClient(shop.api), "default", timeout=10)
    async with running_webhook(control_plane, shop.namespace, settings) as webhook:
        with pytest.raises(SelfTestError) as caught:
            await self_test(shop, webhook.port, namespace="default", requests=elsewhere).run()
    assert caught.value.message.startswith("the webhook took the event, but the namespace default has no ")


async def test_what_is_no_webhook_is_found_out(shop: Shop) -> None:
    """Something else answers."""
    with pytest.raises(SelfTestError) as caught:
        await self_test(shop, 0, webhook_url=f"{shop.stripe.url}/webhook").run()
    assert caught.value.message == "the webhook URL answers 404: is it the webhook's, with /webhook at its end?"


async def test_a_stripe_that_knows_everything_is_found_out(shop: Shop) -> None:
    """An order that ends in any other way proves nothing."""
    session, _ = shop.stripe.world.play(Order())
    settings = service_settings(shop.control_plane, shop.namespace)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook, at_work(shop):
        with pytest.raises(SelfTestError) as caught:
            await self_test(shop, webhook.port, session=session.id).run()
    assert caught.value.message.startswith("the order became fulfilled (Fulfilled: the backend log fulfilled the order")
    assert await left(shop) == []


async def test_one_that_is_stopped_cleans_up(shop: Shop) -> None:
    """Helm's patience ends, and the pod is told to go: the order goes with it."""
    settings = service_settings(shop.control_plane, shop.namespace)
    async with running_webhook(shop.control_plane, shop.namespace, settings) as webhook:
        process = await start(shop, webhook.port)
        while not await left(shop):
            pass
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (1, "Aborted!\n")
    assert await left(shop) == []


async def test_without_rights_it_does_not_begin(shop: Shop) -> None:
    """One line names the right that is lacking."""
    process = await asyncio.create_subprocess_exec(
        *(fulfillment(), "self-test"),
        env={
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            "FULFILLMENT_NAMESPACE": shop.namespace,
            "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.NOBODY]),
        },
        stderr=PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 77
    assert errors.decode() == (
        f"Error: RBAC does not allow this process to get {PLURAL} in the namespace {shop.namespace}: "
        "give its service account the Role of the chart\n"
    )
