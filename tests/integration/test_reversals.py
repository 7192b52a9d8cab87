"""What comes after the sale, on a real API server with a running operator: refunds, disputes, expiries."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_api.names import GROUP, PLURAL
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, Expiry, PaymentStatus, ReversalKind
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason
from fulfillment_cli.output import request_page
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import AfterPayment, Mode, Order, Outcome
from fulfillment_local.fake_stripe.server import stripe_server
from fulfillment_local.fake_stripe.traffic import Alter, Fail
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_runtime.settings import Secret
from support.order_endpoint import order_endpoint
from support.repository import ROOT
from support.reversal_events import SOON, has, hint, reconciled, reverse, until
from support.running_operator import RULES, WITHIN, AtWork, Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")


class Endpoint:
    """A shop's endpoint: what came, and what is answered to each kind of event."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.given_back: list[str | None] = []
        """What each of them says of it."""
        self.answers: dict[str, list[int]] = {}
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        event = msgspec.json.decode(await request.read())
        kind = event["type"].removeprefix("dev.checkout-fulfillment.order.")
        assert event["id"] == request.headers["webhook-id"]
        self.came.append((kind, event["id"]))
        refunded = event["data"]["amountRefunded"]
        self.given_back.append(refunded and refunded["display"])
        left = self.answers.get(kind, [])
        return web.Response(status=left.pop(0) if left else 200)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    async with order_endpoint(endpoint.answer) as endpoint.url:
        yield endpoint


def by_http(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    return {**SOON, "backend": "http", "FULFILLMENT_HTTP_URL": endpoint.url, **changes}


@pytest.mark.parametrize(
    ("kind", "reason", "condition"),
    [
        (ReversalKind.REFUNDED, "Refunded", ConditionType.REFUNDED),
        (ReversalKind.DISPUTED, "Disputed", ConditionType.DISPUTED),
    ],
)
async def test_what_comes_before_the_fulfillment_stops_it(
    shop: Shop, endpoint: Endpoint, kind: ReversalKind, reason: str, condition: ConditionType
) -> None:
    """The backend never hears of the order, and another try finds the same."""
    name = await shop.sell(Order())
    await reverse(shop, name, kind)
    async with at_work(shop, **by_http(endpoint)):
        request = await shop.becomes(name, Phase.FAILED, reason)
        assert has(request, condition)
        assert has(request, ConditionType.PAID)
        await shop.annotate(name, retry="1")
        await until(shop, name, lambda each: bool(each.status and each.status.last_handled), "tried again")
        assert (await shop.requests.get(name)).status.phase is Phase.FAILED  # type: ignore[union-attr] # it has one
    assert endpoint.came == []
    assert await shop.events(name) == [("Warning", reason)]


async def test_a_hint_outlasts_the_key_of_another_account(shop: Shop) -> None:
    """Such a key knows no Session: that says nothing of what came after the sale."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
    await reverse(shop, name, ReversalKind.REFUNDED)
    async with (
        stripe_server(new_world(seed=8)) as another,
        at_work(shop, **SOON, stripe_api_base=another.url) as operator,
        asyncio.timeout(WITHIN),
    ):
        while not await operator.metric("fulfillment_reconcile_errors_total", error="stripe-misconfigured"):  # noqa: ASYNC110 - a metric is no event
            await asyncio.sleep(0.05)
    async with at_work(shop, **SOON):
        await until(shop, name, lambda each: has(each, ConditionType.REFUNDED), "refunded")


class Row(NamedTuple):
    """A line of the table in docs/fulfillmentrequest.md: what came at Stripe, one after the other."""

    comes: tuple[ReversalKind, ...]
    condition: str
    """As it is shown, on an order that was fulfilled before and on one that was not."""
    told: tuple[str, ...]
    """What the backend of a fulfilled order is told."""
    before: str
    """What becomes of an order that was not fulfilled: its phase and reason."""


K = ReversalKind
ROWS = (
    Row((K.PARTIALLY_REFUNDED,), "Refunded=False PartiallyRefunded", ("partially-refunded",), "fulfilled Fulfilled"),
    Row((K.REFUNDED,), "Refunded=True Refunded", ("refunded",), "failed Refunded"),
    Row(
        (K.REFUNDED, K.REFUND_FAILED),
        "Refunded=False RefundFailed",
        ("refunded", "refund-failed"),
        "failed RefundFailed",
    ),
    Row((K.INQUIRY,), "Disputed=False Inquiry", (), "fulfilled Fulfilled"),
    Row((K.INQUIRY, K.INQUIRY_CLOSED), "Disputed=False InquiryClosed", (), "fulfilled Fulfilled"),
    Row((K.DISPUTED,), "Disputed=True Disputed", ("disputed",), "failed Disputed"),
    Row((K.INQUIRY, K.DISPUTED), "Disputed=True Disputed", ("disputed",), "failed Disputed"),
    Row((K.DISPUTED, K.DISPUTE_WON), "Disputed=False DisputeWon", ("disputed", "dispute-won"), "failed DisputeWon"),
    Row((K.DISPUTED, K.DISPUTE_LOST), "Disputed=True DisputeLost", ("disputed", "dispute-lost"), "failed DisputeLost"),
    Row(
        (K.DISPUTED, K.DISPUTE_PREVENTED),
        "Disputed=False DisputePrevented",
        ("disputed", "dispute-prevented"),
        "failed DisputePrevented",
    ),
    Row((K.FRAUD_WARNING,), "FraudWarning=True EarlyFraudWarning", (), "fulfilled Fulfilled"),
)


def test_the_page_and_these_rows_know_every_kind() -> None:
    """Each row of the page's table is tried, with the state that Stripe's object is in by then."""
    page = (ROOT / "docs/fulfillmentrequest.md").read_text()
    table = page.partition("### What Stripe says, and what follows")[2].partition("\n\nA dispute that")[0]
    lines = {line.split("|")[2].strip(" `"): line for line in table.splitlines() if line.startswith("| ")}
    assert lines.keys() - {"spec.reversal.kind", "---"} == set(ReversalKind) == {row.comes[-1] for row in ROWS}
    for row in ROWS:
        condition, reason = row.condition.split()
        kind, truth = condition.split("=")
        line = lines[row.comes[-1]]
        assert f"`{kind}` {truth.lower()}" in line
        assert reason == kind or f"`{reason}`" in line
        assert ("| not told |" in line) is not (row.comes[-1] in row.told)
        assert ("goes on" in line) is (row.before == "fulfilled Fulfilled")


def shown(request: FulfillmentRequest) -> list[str]:
    """Tell what a request shows of refunds and disputes."""
    types = {ConditionType.REFUNDED, ConditionType.DISPUTED, ConditionType.FRAUD_WARNING}
    found = request.status.conditions if request.status else []
    return [f"{each.type}={each.status} {each.reason}" for each in found if each.type in types]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.comes))
async def test_what_stripe_says_of_an_order_that_was_fulfilled(shop: Shop, endpoint: Endpoint, row: Row) -> None:
    """It stays so; each step is shown, told, and counted, once, however often it is hinted at."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order(amount=5900))
        await shop.becomes(name, Phase.FULFILLED)
        for kind in row.comes:
            await reverse(shop, name, kind)
            await reconciled(shop, name)
            await hint(shop, name, kind, event="evt_replayed")
            await reconciled(shop, name)
        request = await shop.requests.get(name)
        for kind in row.comes:
            await operator.reaches(1, "fulfillment_reversals_total", kind=kind)
    assert request.status is not None
    assert request.status.phase is Phase.FULFILLED
    assert shown(request) == [row.condition]
    assert [kind for kind, _ in endpoint.came] == ["paid", *row.told]
    assert [reason for _, reason in await shop.events(name)][-1] == row.condition.split()[1]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.comes))
async def test_what_stripe_says_of_an_order_before_it_is_fulfilled(shop: Shop, endpoint: Endpoint, row: Row) -> None:
    """All of it is found in Stripe's answer, but for the fraud warning; a retry goes by what Stripe says then."""
    first, *later = row.comes
    name = await shop.sell(Order(amount=5900))
    await reverse(shop, name, first)
    phase, reason = row.before.split()
    async with at_work(shop, **by_http(endpoint)):
        await reconciled(shop, name)
        for kind in later:
            await reverse(shop, name, kind)
            await reconciled(shop, name)
        request = await shop.requests.get(name)
        assert request.status is not None
        if later and first is K.INQUIRY:  # it was handed over by then
            assert request.status.phase is Phase.FULFILLED
        else:
            assert (request.status.phase, request.status.reason) == (phase, reason)
        assert shown(request) == [row.condition]
        if phase == Phase.FAILED and first is not K.INQUIRY:
            assert endpoint.came == []
            await shop.annotate(name, retry="now")
            undone = reason in {"RefundFailed", "DisputeWon", "DisputePrevented"}
            ends = (Phase.FULFILLED, "Fulfilled") if undone else (Phase.FAILED, reason)
            request = await until(
                shop, name, lambda each: bool(each.status and each.status.last_handled), "handled by a retry"
            )
            assert request.status is not None
            assert (request.status.phase, request.status.reason) == ends
            assert endpoint.came == ([("paid", name)] if undone else [])


async def test_a_partial_refund_is_seen_by_whoever_packs(shop: Shop, endpoint: Endpoint) -> None:
    """It stops nothing; the order document has the amount, and so has the status."""
    name = await shop.sell(Order(amount=5900, line_items=2))
    await reverse(shop, name, ReversalKind.PARTIALLY_REFUNDED)
    async with at_work(shop, **by_http(endpoint)):
        request = await shop.becomes(name, Phase.FULFILLED)
    assert endpoint.given_back == ["29.50 USD"]
    assert request.status is not None
    condition = request.status.condition(ConditionType.REFUNDED)
    assert condition is not None
    assert condition.message == "29.50 USD of 59.00 USD was given back"
    assert request.status.reversals is not None
    assert request.status.reversals.amount_refunded is not None
    assert request.status.reversals.amount_refunded.total == 2950
    assert "\nGiven back:   29.50 USD\n" in request_page(request, [], datetime.now(UTC))
    assert ("Normal", "PartiallyRefunded") in await shop.events(name)


async def test_a_partial_refund_is_told_to_a_backend_that_works_on_the_order(shop: Shop, endpoint: Endpoint) -> None:
    """It goes on with it, and is told of each once."""
    endpoint.answers = {"paid": [202], "partially-refunded": [503, 200, 200]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order(amount=6000))
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        for number, shown_amount in enumerate(("30.00 USD", "45.00 USD"), start=1):
            await reverse(shop, name, ReversalKind.PARTIALLY_REFUNDED, event=f"evt_{number}")
            await shop.says(name, ConditionType.REFUNDED, f"{shown_amount} of 60.00 USD was given back")
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    assert endpoint.came == [
        ("paid", name),
        ("partially-refunded", f"{name}.partially-refunded.3000"),
        ("partially-refunded", f"{name}.partially-refunded.3000"),
        ("partially-refunded", f"{name}.partially-refunded.4500.2"),
    ]
    assert endpoint.given_back == [None, "30.00 USD", "30.00 USD", "45.00 USD"]


async def test_a_refund_that_fails_a_retry_and_a_refund(shop: Shop, endpoint: Endpoint) -> None:
    """Stopped, held, handed over as a person says, and refunded all the same: that is news, and told."""
    name = await shop.sell(Order(amount=840))
    await reverse(shop, name, ReversalKind.REFUNDED)
    async with at_work(shop, **by_http(endpoint)):
        await shop.becomes(name, Phase.FAILED, "Refunded")
        await reverse(shop, name, ReversalKind.REFUND_FAILED)
        await shop.becomes(name, Phase.FAILED, "RefundFailed")
        await shop.annotate(name, retry="now")
        request = await shop.becomes(name, Phase.FULFILLED)
        assert shown(request) == ["Refunded=False RefundFailed"]
        await reverse(shop, name, ReversalKind.REFUNDED)
        request = await reconciled(shop, name, ConditionType.REFUNDED)
    assert endpoint.came == [("paid", name), ("refunded", f"{name}.refunded.2")]
    assert request.status is not None
    assert request.status.phase is Phase.FULFILLED


async def test_a_second_refund_after_one_that_failed_is_told_again_and_once(shop: Shop, endpoint: Endpoint) -> None:
    """With another key: the endpoint answers 409 to the first one's."""
    endpoint.answers = {"refunded": [200, 503, 200]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        for kind in (ReversalKind.REFUNDED, ReversalKind.REFUND_FAILED, ReversalKind.REFUNDED):
            await reverse(shop, name, kind)
            await reconciled(shop, name)
    assert endpoint.came[1:] == [
        ("refunded", f"{name}.refunded"),
        ("refund-failed", f"{name}.refund-failed"),
        ("refunded", f"{name}.refunded.2"),
        ("refunded", f"{name}.refunded.2"),
    ]


async def test_a_stopped_order_stays_so_while_its_backend_cannot_be_told_that_the_refund_failed(
    shop: Shop, endpoint: Endpoint
) -> None:
    """It says so at once, is not handed over, and the backend is told when it can be."""
    endpoint.answers = {"paid": [202], "refund-failed": [503, 503, 200]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await reverse(shop, name, ReversalKind.REFUNDED)
        await shop.becomes(name, Phase.FAILED, "Refunded")
        await reverse(shop, name, ReversalKind.REFUND_FAILED)
        await reconciled(shop, name)
        await shop.becomes(name, Phase.FAILED, "RefundFailed")
    assert [kind for kind, _ in endpoint.came] == ["paid", "refunded", *["refund-failed"] * 3]
    assert {reason for _, reason in await shop.events(name)} == {"Dispatched", "Refunded", "RefundFailed"}


async def test_an_order_that_the_backend_works_on_is_stopped_and_the_backend_told(
    shop: Shop, endpoint: Endpoint
) -> None:
    """It took the order; until it knows of the refund it is notified again, with one key."""
    endpoint.answers = {"paid": [202], "refunded": [503, 200]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await reverse(shop, name, ReversalKind.REFUNDED)
        waiting = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        assert waiting.status is not None
        assert waiting.status.message == (
            "the payment was refunded before the order was fulfilled, and the backend does not know: "
            "the endpoint answered 503; it is tried again"
        )
        request = await shop.becomes(name, Phase.FAILED, "Refunded")
        assert has(request, ConditionType.REFUNDED)
    assert endpoint.came == [("paid", name), ("refunded", f"{name}.refunded"), ("refunded", f"{name}.refunded")]


async def test_a_fulfilled_order_shows_what_came_after_it_and_the_backend_is_told_once(
    shop: Shop, endpoint: Endpoint
) -> None:
    """First a dispute, then a refund: two conditions, two Events, two posts; it stays fulfilled."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        assert await operator.metric("fulfillment_reversals_total", kind="disputed") == 0
        await reverse(shop, name, ReversalKind.DISPUTED)
        await reconciled(shop, name, ConditionType.DISPUTED)
        await reverse(shop, name, ReversalKind.REFUNDED)
        request = await reconciled(shop, name, ConditionType.REFUNDED, ConditionType.DISPUTED)
        await hint(shop, name, ReversalKind.DISPUTED)  # a replay of Stripe's
        await reconciled(shop, name)
        await operator.reaches(1, "fulfillment_reversals_total", kind="disputed")
        await operator.reaches(1, "fulfillment_reversals_total", kind="refunded")
    assert request.status is not None
    assert (request.status.phase, request.status.reason) == (Phase.FULFILLED, "Fulfilled")
    assert endpoint.came == [("paid", name), ("disputed", f"{name}.disputed"), ("refunded", f"{name}.refunded")]
    assert await shop.events(name) == [("Normal", "Fulfilled"), ("Warning", "Disputed"), ("Normal", "Refunded")]


async def test_news_that_came_while_no_operator_worked_are_seen_to_by_the_next(shop: Shop, endpoint: Endpoint) -> None:
    """Many at once, each once; and only the charges of those are asked for."""
    async with at_work(shop, **by_http(endpoint)):
        sold = [await shop.sell(Order()) for _ in range(12)]
        for name in sold:
            await shop.becomes(name, Phase.FULFILLED)
    for name in sold[2:]:
        await reverse(shop, name, ReversalKind.REFUNDED)
    endpoint.came.clear()
    async with at_work(shop, **by_http(endpoint)):
        for name in sold[2:]:
            await reconciled(shop, name, ConditionType.REFUNDED)
    assert sorted(endpoint.came) == sorted(("refunded", f"{name}.refunded") for name in sold[2:])


@pytest.mark.parametrize(
    ("answers", "ago", "tries", "message"),
    [
        ([503, 429, 200], timedelta(0), 3, "all of the payment was given back"),
        (
            [400],
            timedelta(0),
            1,
            "all of the payment was given back; the backend does not know: the endpoint refused the order with 400",
        ),
        (
            [503],
            timedelta(days=4),
            1,
            "all of the payment was given back; the backend does not know: the endpoint answered 503",
        ),
    ],
)
async def test_a_backend_that_cannot_be_told(
    shop: Shop, endpoint: Endpoint, answers: list[int], ago: timedelta, tries: int, message: str
) -> None:
    """A passing fault is tried again until the deadline; what is refused for good, or too late, is shown."""
    endpoint.answers = {"refunded": answers}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
        shop.stripe.world.play_after_payment(request.spec.session.id, AfterPayment.REFUNDED)
        await hint(shop, name, ReversalKind.REFUNDED, ago=ago)
        request = await reconciled(shop, name, ConditionType.REFUNDED)
    assert request.status is not None
    found = request.status.condition(ConditionType.REFUNDED)
    assert found is not None
    assert found.message == message
    assert endpoint.came[1:] == [("refunded", f"{name}.refunded")] * tries


async def test_a_backend_is_told_once_however_long_the_status_cannot_be_written(shop: Shop, endpoint: Endpoint) -> None:
    """What was done is kept, and written when it is allowed again."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
        roles = client.RbacAuthorizationV1Api(shop.api)
        await roles.delete_collection_namespaced_role_binding(shop.namespace)
        allowed = [each for each in RULES if each.resources != [f"{PLURAL}/status"]]
        await shop.control_plane.grant(User.OPERATOR, shop.namespace, allowed)
        await shop.forbidden(verb="patch", group=GROUP, resource=PLURAL, subresource="status")
        shop.stripe.world.play_after_payment(request.spec.session.id, AfterPayment.REFUNDED)
        await hint(shop, name, ReversalKind.REFUNDED)
        async with asyncio.timeout(WITHIN):
            while (await operator.metric("fulfillment_reconcile_errors_total", error="kubernetes") or 0) < 4:  # noqa: ASYNC110 - a metric is asked
                await asyncio.sleep(0.05)
        await shop.control_plane.grant(User.OPERATOR, shop.namespace, RULES)
        assert has(await reconciled(shop, name), ConditionType.REFUNDED)
    assert endpoint.came[1:] == [("refunded", f"{name}.refunded")]


async def test_an_answer_that_cannot_be_read_is_shown_and_asked_for_no_more(shop: Shop, endpoint: Endpoint) -> None:
    """After three tries; what the event said is neither shown as true nor forgotten, and the next one is looked at."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
        session = request.spec.session.id
        shop.stripe.world.play_after_payment(session, AfterPayment.REFUNDED)
        shop.stripe.faults.set([Alter(path=session, fields={"payment_status": "odd"})])
        await hint(shop, name, ReversalKind.REFUNDED)
        request = await reconciled(shop, name)
        assert request.status is not None
        found = request.status.condition(ConditionType.REFUNDED)
        assert found is not None
        assert (found.status, found.reason) == (ConditionStatus.UNKNOWN, Reason.SESSION_UNREADABLE)
        assert await operator.metric("fulfillment_reconcile_errors_total", error="session-unreadable") == 3
        shop.stripe.faults.set([])
        await hint(shop, name, ReversalKind.REFUNDED, event="evt_2")
        assert has(await reconciled(shop, name), ConditionType.REFUNDED)
    assert endpoint.came[1:] == [("refunded", f"{name}.refunded")]


async def test_one_answer_that_cannot_be_read_after_an_outage_is_no_reason_to_ask_no_more(
    shop: Shop, endpoint: Endpoint
) -> None:
    """As a proxy's own page, while Stripe comes back: the backend is told of the refund."""
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        session = (await shop.becomes(name, Phase.FULFILLED)).spec.session.id
        shop.stripe.world.play_after_payment(session, AfterPayment.REFUNDED)
        odd = Alter(path=session, fields={"payment_status": "odd"}, times=1)
        shop.stripe.faults.set([Fail(path=session, status=503, times=2), odd])
        await hint(shop, name, ReversalKind.REFUNDED)
        assert has(await reconciled(shop, name), ConditionType.REFUNDED)
        assert await operator.metric("fulfillment_reconcile_errors_total", error="stripe-unavailable") == 2
        assert await operator.metric("fulfillment_reconcile_errors_total", error="session-unreadable") == 1
    assert endpoint.came[1:] == [("refunded", f"{name}.refunded")]


@pytest.mark.parametrize("answer", [200, 202, 400], ids=["fulfilled", "dispatched", "failed"])
async def test_what_stripe_does_not_show_yet_is_asked_for_again(shop: Shop, endpoint: Endpoint, answer: int) -> None:
    """An answer may lag the event about a dispute: that is not taken for its end, whatever phase the order is in."""
    endpoint.answers = {"paid": [answer]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        request = await until(shop, name, lambda each: bool(each.status), "dispatched")
        asked = len(shop.stripe.traffic.requests)
        await hint(shop, name, ReversalKind.DISPUTED)
        async with asyncio.timeout(WITHIN):
            while len(shop.stripe.traffic.requests) == asked:  # noqa: ASYNC110 - a stand-in is asked
                await asyncio.sleep(0.05)
        shop.stripe.world.play_after_payment(request.spec.session.id, AfterPayment.DISPUTED)
        request = await reconciled(shop, name, ConditionType.DISPUTED)
    assert ("disputed", f"{name}.disputed") in endpoint.came


async def test_a_dispute_is_shown_while_its_backend_cannot_be_told(shop: Shop, endpoint: Endpoint) -> None:
    """At once, with its Event; the backend is told when it can be, and then nothing says that it does not know."""
    endpoint.answers = {"disputed": [503] * 2}
    async with at_work(shop, **by_http(endpoint)) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        await reverse(shop, name, ReversalKind.DISPUTED)
        request = await until(shop, name, lambda each: has(each, ConditionType.DISPUTED), "disputed")
        assert shown(request) == ["Disputed=True Disputed"]
        assert request.status is not None
        found = request.status.condition(ConditionType.DISPUTED)
        assert found is not None
        assert found.message == (
            "the buyer disputes the payment; the backend does not know yet: the endpoint answered 503"
        )
        request = await reconciled(shop, name)
        assert request.status is not None
        found = request.status.condition(ConditionType.DISPUTED)
        assert found is not None
        assert found.message == "the buyer disputes the payment"
        assert await operator.metric("fulfillment_reversals_total", kind="disputed") == 1
    assert endpoint.came[1:] == [("disputed", f"{name}.disputed")] * 3


async def test_a_refund_of_another_mode_is_shown_as_unknown_until_its_key_is_back(shop: Shop) -> None:
    """A shop that went live has refunds of test orders: no alert about the key, and nothing lost."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
    await reverse(shop, name, ReversalKind.REFUNDED)
    asked = len(shop.stripe.traffic.requests)
    async with at_work(shop, **SOON, stripe_api_key=Secret("sk_live_another")) as operator:
        request = await until(
            shop, name, lambda each: bool(each.status and each.status.condition(ConditionType.REFUNDED)), "looked at"
        )
        assert shown(request) == ["Refunded=Unknown LivemodeMismatch"]
        assert await operator.metric("fulfillment_reconcile_errors_total", error="stripe-misconfigured") == 0
    assert len(shop.stripe.traffic.requests) == asked
    async with at_work(shop, **SOON):
        await reconciled(shop, name, ConditionType.REFUNDED)


async def test_a_refund_that_stripe_may_not_tell_of_is_shown_as_unknown_until_it_may(shop: Shop) -> None:
    """Such as of an account that is connected no more: a person sees it, and Stripe is asked ever less often."""
    errors = "fulfillment_reconcile_errors_total"
    async with at_work(shop, **SOON) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        shop.stripe.faults.set([Fail(status=403)])
        await reverse(shop, name, ReversalKind.REFUNDED)
        request = await until(
            shop, name, lambda each: bool(each.status and each.status.condition(ConditionType.REFUNDED)), "looked at"
        )
        assert shown(request) == ["Refunded=Unknown StripeMisconfigured"]
        async with asyncio.timeout(WITHIN):
            while (await operator.metric(errors, error="stripe-misconfigured") or 0) < 2:  # noqa: ASYNC110 - it is asked
                await asyncio.sleep(0.05)
        shop.stripe.faults.set([])
        assert has(await reconciled(shop, name), ConditionType.REFUNDED)


async def test_a_partial_refund_that_cannot_be_told_hides_no_end(shop: Shop, endpoint: Endpoint) -> None:
    """The backend that accepted the order calls back while it does not take the notice: the order is fulfilled."""
    endpoint.answers = {"paid": [202], "partially-refunded": [503] * 3}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await reverse(shop, name, ReversalKind.PARTIALLY_REFUNDED)
        request = await until(
            shop, name, lambda each: bool(each.status and each.status.condition(ConditionType.REFUNDED)), "refunded"
        )
        assert shown(request) == ["Refunded=False PartiallyRefunded"]
        assert request.status is not None
        assert request.status.reason == "Dispatched"
        now = datetime.now(UTC).replace(microsecond=0)
        await shop.patch_spec(name, Callback(result=CallbackResult.DONE, reference="parcel-1", observed_at=now))
        await shop.becomes(name, Phase.FULFILLED)
        await reconciled(shop, name)
    notices = [key for kind, key in endpoint.came if kind == "partially-refunded"]
    assert (len(notices), len(set(notices))) == (4, 1)


async def test_of_an_order_completed_by_hand_no_backend_is_told(shop: Shop, endpoint: Endpoint) -> None:
    """None had it; the condition shows the dispute all the same."""
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order(outcome=Outcome.UNPAID), PaymentStatus.UNPAID)
        await shop.becomes(name, Phase.AWAITING_PAYMENT)
        await shop.annotate(name, complete="cash")
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
        await hint(shop, name, ReversalKind.REFUNDED, ago=timedelta(hours=2))
        await reconciled(shop, name)
        assert not has(await shop.requests.get(name), ConditionType.REFUNDED)  # Stripe knows of none
        assert request.status is not None
    assert endpoint.came == []


async def becomes(operator: AtWork, kind: str, expected: tuple[float, float]) -> None:
    """Wait until so many are there: not acknowledged, and acknowledged."""
    last: object = None
    try:
        async with asyncio.timeout(WITHIN):
            while last != expected:
                last = (
                    await operator.metric("fulfillment_reversed_requests", kind=kind, acknowledged="false"),
                    await operator.metric("fulfillment_reversed_requests", kind=kind, acknowledged="true"),
                )
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"(open, dealt with) became {last}, and not {expected}") from None


async def test_a_dispute_is_a_level_until_it_is_acknowledged(shop: Shop) -> None:
    """It has a deadline, so no restart of the operator hides it."""
    async with at_work(shop, **SOON) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        await reverse(shop, name, ReversalKind.DISPUTED)
        await becomes(operator, "disputed", (1, 0))
    async with at_work(shop, **SOON) as operator:
        await becomes(operator, "disputed", (1, 0))
        await shop.annotate(name, acknowledged="Disputed: evidence sent")
        await becomes(operator, "disputed", (0, 1))
        await becomes(operator, "refunded", (0, 0))


async def test_a_dispute_and_a_refund_that_failed_are_acknowledged_together(shop: Shop) -> None:
    """There is one annotation: what it does not name stays open, or is so again."""
    async with at_work(shop, **SOON) as operator:
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLED)
        for kind in (ReversalKind.REFUNDED, ReversalKind.REFUND_FAILED, ReversalKind.DISPUTED):
            await reverse(shop, name, kind)
            await reconciled(shop, name)
        await shop.annotate(name, acknowledged="Disputed: evidence sent")
        await becomes(operator, "disputed", (0, 1))
        await becomes(operator, "refund-failed", (1, 0))
        await shop.annotate(name, acknowledged="Disputed,RefundFailed: called the customer")
        await becomes(operator, "refund-failed", (0, 1))
        await becomes(operator, "disputed", (0, 1))


async def test_what_failed_is_not_handed_over_again_for_what_comes_later(shop: Shop, endpoint: Endpoint) -> None:
    """A person may have fulfilled it since: the fraud warning is shown, and a retry alone hands it over."""
    endpoint.answers = {"paid": [422]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        failed = await shop.becomes(name, Phase.FAILED, "FulfillmentFailed")
        await reverse(shop, name, ReversalKind.FRAUD_WARNING)
        request = await reconciled(shop, name, ConditionType.FRAUD_WARNING)
        assert request.status is not None
        assert failed.status is not None
        assert (request.status.reason, request.status.message) == (failed.status.reason, failed.status.message)
        assert has(request, ConditionType.PAID)
        assert endpoint.came == [("paid", name)]
        await shop.annotate(name, retry="now")
        await shop.becomes(name, Phase.FULFILLED)
    assert endpoint.came == [("paid", name)] * 2


async def test_a_dispute_that_comes_while_an_order_is_paused_is_shown_when_it_is_completed(shop: Shop) -> None:
    """Neither the pause nor who completes it asks Stripe: its deadline would pass unseen."""
    name = await shop.sell(Order())
    await shop.annotate(name, paused="fraud check")
    async with at_work(shop, **SOON) as operator:
        await shop.becomes(name, Phase.FULFILLING, "Paused")
        await reverse(shop, name, ReversalKind.DISPUTED)
        await until(shop, name, lambda each: not each.has_unobserved_spec, "paused in its new generation")
        await shop.annotate(name, complete="parcel-9")
        await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
        request = await reconciled(shop, name, ConditionType.DISPUTED)
        assert shown(request) == ["Disputed=True Disputed"]
        await becomes(operator, "disputed", (1, 0))


async def test_a_callback_after_a_refund_says_that_the_goods_are_gone(shop: Shop, endpoint: Endpoint) -> None:
    """The backend had the order, and was done before it heard: the record says both."""
    endpoint.answers = {"paid": [202]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await reverse(shop, name, ReversalKind.REFUNDED)
        await shop.becomes(name, Phase.FAILED, "Refunded")
        done = Callback(result=CallbackResult.DONE, reference="parcel-9", observed_at=datetime.now(UTC))
        await shop.patch_spec(name, done)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "parcel-9"
    assert has(request, ConditionType.REFUNDED)
    assert [kind for kind, _ in endpoint.came] == ["paid", "refunded"]


async def test_a_refund_is_not_shown_as_told_while_its_backend_is_gone(shop: Shop, endpoint: Endpoint) -> None:
    """It took the order, and was taken out of the settings: whoever has the order does not know."""
    endpoint.answers = {"paid": [202]}
    async with at_work(shop, **by_http(endpoint)):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
    async with at_work(shop, **SOON, backend="log"):
        await reverse(shop, name, ReversalKind.REFUNDED)
        request = await shop.becomes(name, Phase.FULFILLING, "BackendUnavailable")
        assert request.status is not None
        assert "the backend does not know: the backend http had the order, and is gone" in request.status.message
    async with at_work(shop, **by_http(endpoint)):
        await shop.becomes(name, Phase.FAILED, "Refunded")
    assert [kind for kind, _ in endpoint.came] == ["paid", "refunded"]


async def test_a_session_that_expired_ends_its_request(shop: Shop) -> None:
    """One that somebody made before the buyer completed it: it need not wait for the next recheck."""
    async with at_work(shop, recheck_interval=timedelta(hours=6)):
        name = await shop.sell(Order(outcome=Outcome.OPEN), PaymentStatus.UNPAID)
        request = await shop.becomes(name, Phase.AWAITING_PAYMENT)
        shop.stripe.world.expire(request.spec.session.id)
        await shop.patch_spec(name, Expiry(event="evt_1"))
        await shop.becomes(name, Phase.FAILED, "SessionExpired")
    assert shop.mailbox.mails == ()


async def test_the_refund_of_a_subscription_is_its_invoices(shop: Shop) -> None:
    """The payment that no event named stands in status, so that the refund's event finds the order."""
    async with at_work(shop, **SOON):
        name = await shop.sell(Order(mode=Mode.SUBSCRIPTION))
        request = await shop.becomes(name, Phase.FULFILLED)
        session = request.spec.session.id
        intent = shop.stripe.world.payment_of(session)
        assert intent is not None
        assert [name] == [each.metadata.name for each in await shop.requests.list_by_payment_intent(intent.id)]
        shop.stripe.world.play_after_payment(session, AfterPayment.REFUNDED)
        await hint(shop, name, ReversalKind.REFUNDED)
        assert has(await reconciled(shop, name), ConditionType.REFUNDED)
