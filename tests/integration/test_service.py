"""The webhook service before a real API server: every row of the design's event table, in every order."""

import asyncio
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.aio import client

from fulfillment_api.event_types import StripeEventType
from fulfillment_api.names import GROUP, PLURAL, VERSION, request_name
from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.repository import SHARED
from support.running_webhook import OLD_SECRET, RULES, SECRET, RunningWebhook, running_webhook, service_settings, sign
from support.stripe_events import SESSION, snapshot, thin

PAYLOADS = SHARED / "payloads" / "events"
NAME = request_name(SESSION["id"])


def completed(payment_status: str, **session: Any) -> dict[str, Any]:
    return snapshot(session={"payment_status": payment_status, **session})


def succeeded(**session: Any) -> dict[str, Any]:
    return snapshot("checkout.session.async_payment_succeeded", session={"payment_status": "paid", **session})


def declined(**session: Any) -> dict[str, Any]:
    return snapshot("checkout.session.async_payment_failed", session={"payment_status": "unpaid", **session})


@pytest.mark.parametrize(
    ("events", "results", "payment"),
    [
        ([completed("paid")], ["created"], "paid"),
        ([completed("no_payment_required", amount_total=0)], ["created"], "no_payment_required"),
        ([completed("unpaid")], ["created"], "unpaid"),
        ([succeeded()], ["created"], "paid"),
        ([declined()], ["created"], "failed"),
        ([completed("unpaid"), succeeded()], ["created", "updated"], "paid"),
        ([completed("unpaid"), declined()], ["created", "updated"], "failed"),
        ([completed("unpaid"), declined(), succeeded()], ["created", "updated", "updated"], "paid"),
        ([completed("paid"), completed("paid")], ["created", "unchanged"], "paid"),
        ([completed("paid"), completed("unpaid"), declined()], ["created", "unchanged", "unchanged"], "paid"),
        ([succeeded(), completed("unpaid")], ["created", "unchanged"], "paid"),
        ([succeeded(), declined()], ["created", "unchanged"], "paid"),
        ([declined(), completed("unpaid")], ["created", "unchanged"], "failed"),
        ([declined(), declined()], ["created", "unchanged"], "failed"),
        ([completed("no_payment_required"), declined()], ["created", "unchanged"], "no_payment_required"),
        ([thin()], ["created"], "unpaid"),
        ([thin(), completed("paid")], ["created", "updated"], "paid"),
        ([completed("paid"), thin()], ["created", "unchanged"], "paid"),
        ([completed("unpaid"), thin("v1.checkout.session.async_payment_succeeded")], ["created", "updated"], "paid"),
        ([completed("unpaid"), thin("v1.checkout.session.async_payment_failed")], ["created", "updated"], "failed"),
    ],
)
async def test_events_become_one_request(
    webhook: RunningWebhook, events: Sequence[dict[str, Any]], results: Sequence[str], payment: str
) -> None:
    """Whatever comes in whatever order, there is one request, and it never takes a step back."""
    answers = [await webhook.send(event) for event in events]
    assert answers == [(200, {"result": result, "request": NAME}) for result in results]
    assert (await webhook.stored(NAME)).spec.payment.status == payment


async def test_the_request_is_what_kubectl_shows(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """The stored object, field by field as users see it, without anything personal."""
    await webhook.send(completed("paid", customer={"id": "cus_1", "email": "jenny@example.com"}))
    async with control_plane.connect() as api:
        stored: Any = await client.CustomObjectsApi(api).get_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURAL, NAME
        )
    assert stored["spec"]["payment"].pop("observedAt").endswith("Z")
    assert stored["spec"] == {
        "session": {
            "id": SESSION["id"],
            "livemode": False,
            "mode": "payment",
            "createdAt": "2026-11-02T06:12:20Z",
            "paymentIntent": "pi_1MhUT5E0b6fckueS",
            "customer": "cus_1",
        },
        "payment": {"status": "paid", "event": "evt_1MhUT6E0b6fckueS"},
        "amount": {"total": 1099, "currency": "usd", "display": "10.99 USD"},
    }
    assert not [each for each in ("jenny", "cart-17", "navy") if each in json.dumps(stored).lower()]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (snapshot("checkout.session.expired"), "expired"),
        (snapshot(session={"mode": "setup"}), "setup-mode"),
        (snapshot("invoice.paid"), "event-type"),
        (snapshot(livemode=True), "livemode"),
        (snapshot(account="acct_2"), "account"),
    ],
)
@pytest.mark.usefixtures("crd")
async def test_ignored_events_are_acknowledged(
    control_plane: ControlPlane, namespace: str, event: dict[str, Any], reason: str
) -> None:
    """Else Stripe would send them for days; the reason is answered and counted, and nothing is made."""
    await control_plane.grant(User.SERVICE, namespace, [RULES])
    filtering = service_settings(control_plane, namespace, livemode=False, accounts=("acct_1",))
    async with running_webhook(control_plane, namespace, filtering) as webhook:
        kind = event["type"] if event["type"].startswith("checkout.") else "other"
        labels = {"type": kind, "outcome": reason}
        before = await webhook.metric("fulfillment_webhook_events_total", **labels)
        assert await webhook.send(event) == (200, {"result": "ignored", "reason": reason})
        after = await webhook.metric("fulfillment_webhook_events_total", **labels)
    assert (before, after) == (0, 1)
    async with control_plane.connect() as api:
        stored: Any = await client.CustomObjectsApi(api).list_namespaced_custom_object(
            GROUP, VERSION, namespace, PLURAL
        )
    assert stored["items"] == []


async def test_an_order_of_a_connected_account_is_another_order(webhook: RunningWebhook) -> None:
    """The account is part of the order's identity."""
    own = await webhook.send(completed("paid"))
    connected = await webhook.send(snapshot(account="acct_1"))
    assert connected == (200, {"result": "created", "request": request_name(SESSION["id"], "acct_1")})
    assert own[1]["request"] != connected[1]["request"]
    assert (await webhook.stored(connected[1]["request"])).spec.session.account == "acct_1"


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_any_of_the_secrets_will_do(webhook: RunningWebhook, secret: str) -> None:
    """So that one can be rolled without losing an event."""
    assert (await webhook.send(completed("paid"), secret))[0] == 200


async def test_late_news_leave_a_fulfilled_order_alone(webhook: RunningWebhook) -> None:
    """The operator watches it no more, so a new generation would look unfinished for ever."""
    await webhook.send(completed("unpaid"))
    await webhook.requests.patch_status(
        NAME,
        Status(phase=Phase.FULFILLED, reason=Reason.FULFILLED, message="done", observed_generation=1, conditions=[]),
    )
    assert await webhook.send(succeeded()) == (200, {"result": "unchanged", "request": NAME})
    assert (await webhook.stored(NAME)).metadata.generation == 1


async def test_an_order_that_was_deleted_is_made_again(
    webhook: RunningWebhook, control_plane: ControlPlane, namespace: str
) -> None:
    """While events of one order come and someone keeps deleting it, each is answered, and the last status stands."""

    async def delete() -> None:
        async with control_plane.connect() as api:
            objects = client.CustomObjectsApi(api)
            for _ in range(8):
                await objects.delete_collection_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL)

    events = [completed("unpaid"), succeeded(), declined()] * 4
    answers, _ = await asyncio.gather(asyncio.gather(*map(webhook.send, events)), delete())
    assert {status for status, _ in answers} == {200}
    await webhook.send(succeeded())
    assert (await webhook.stored(NAME)).spec.payment.status == "paid"


BETTER = ("unpaid", "failed", "paid")
sessions = (f"cs_test_history{number}" for number in count())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statuses=st.lists(st.sampled_from(BETTER), min_size=1, max_size=7), at_once=st.booleans())
async def test_every_history_ends_the_same(webhook: RunningWebhook, statuses: list[str], at_once: bool) -> None:
    """Any order, any duplicate, any loss, one by one or at once: the best status that came is the end."""
    session = {"id": next(sessions)}
    name = request_name(session["id"])
    events = {
        "unpaid": completed("unpaid", **session),
        "failed": declined(**session),
        "paid": succeeded(**session),
    }
    if at_once:
        answers = await asyncio.gather(*(webhook.send(events[each]) for each in statuses))
        assert {status for status, _ in answers} == {200}
        assert [answer["result"] for _, answer in answers].count("created") == 1
    else:
        reached = 0
        for each in statuses:
            assert (await webhook.send(events[each]))[0] == 200
            now = BETTER.index((await webhook.stored(name)).spec.payment.status)
            assert now >= reached
            reached = now
    assert (await webhook.stored(name)).spec.payment.status == max(statuses, key=BETTER.index)


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payloads of public projects are not here")
@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("checkout.session.*.json")), ids=lambda path: path.stem)
async def test_real_events_about_sessions(webhook: RunningWebhook, path: Path) -> None:
    """Each becomes a request, in a namespace of its own as ids repeat; but for the one that sold nothing."""
    body = path.read_text()  # noqa: ASYNC240 - a few kilobytes
    session = json.loads(body)["data"]["object"]
    answer = await webhook.post(body.encode(), sign(body))
    if session.get("mode") == "setup":
        assert answer == (200, {"result": "ignored", "reason": "setup-mode"})
    else:
        name = request_name(session["id"])
        assert answer == (200, {"result": "created", "request": name})
        assert "@" not in msgspec.json.encode((await webhook.stored(name)).spec).decode()  # no e-mail address


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the payloads of public projects are not here")
async def test_real_events_about_other_things(webhook: RunningWebhook) -> None:
    """Each is acknowledged and ignored, whatever its shape."""
    bodies = {path.name: path.read_text() for path in PAYLOADS.glob("*.json")}
    for name, body in bodies.items():
        if not name.startswith(tuple(StripeEventType)):
            answer = await webhook.post(body.encode(), sign(body))
            assert answer == (200, {"result": "ignored", "reason": "event-type"}), name
