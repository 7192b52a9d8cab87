"""The order page before a real API server and a stand-in for Stripe: what buyers see, and what guesses cost."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes.aio import client
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from fulfillment_api.names import request_name
from fulfillment_api.spec import PaymentStatus
from fulfillment_api.status import Phase, Reason
from fulfillment_local.credentials import User
from fulfillment_local.cuttable_proxy import cuttable_proxy
from fulfillment_local.fake_stripe.api import OWN_ACCOUNT
from fulfillment_local.fake_stripe.model import Mode, Order, Outcome, Settlement
from fulfillment_local.fake_stripe.traffic import Cut, Fail, Fault, Hang, Slow
from fulfillment_page.budgets import Budget, Rate
from fulfillment_page.main import running_page
from fulfillment_page.metrics import PageMetrics
from fulfillment_page.session_id import SessionId
from fulfillment_page.session_lookup import LookupOutcome, SessionLookup
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.kubernetes.errors import NotFoundError
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader
from fulfillment_service.events.filters import Filters
from fulfillment_service.events.rules import EventRules
from fulfillment_service.request_store import RequestStore
from fulfillment_service.settings import EventSettings
from support.builders import make_status
from support.running_operator import Shop, at_work
from support.running_page import PAGE_RULES, RunningOrderPage, order_page, page_settings

UNKNOWN = "cs_test_a1" + "0" * 56
SESSION = "/v1/checkout/sessions/"


@pytest.fixture
async def page(shop: Shop, crd: None) -> AsyncIterator[RunningOrderPage]:  # noqa: ARG001 - it must be there
    async with order_page(shop) as page:
        yield page


def asked(shop: Shop) -> int:
    """Count the questions to Stripe about Sessions."""
    return sum(each.path.startswith(SESSION) for each in shop.stripe.traffic.requests)


async def test_a_buyer_sees_their_order(shop: Shop, page: RunningOrderPage) -> None:
    """Its items, its amount and its state, in their language; and programs the same as JSON."""
    async with at_work(shop):
        session, _ = shop.stripe.world.play(Order(line_items=2, currency="eur"))
        name = await shop.make(session.id)
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status
    assert request.status.order

    status, html = await page.visit(session.id, Accept_Language="de-DE,de;q=0.9")
    _, told = await page.read(session.id)

    assert status == 200
    assert '<html lang="de"' in html
    assert "Danke, Ihre Bestellung ist abgeschlossen" in html
    for item in request.status.order.line_items:
        assert (item.description or "") in html
    assert (told["state"], told["reference"]) == ("fulfilled", name)
    assert told["total"]["total"] == request.status.order.amount.total if request.status.order.amount else None
    assert len(told["items"]) == 2
    assert shop.stripe.traffic.at(SESSION + session.id)[1:] == []  # the operator's question alone


async def test_a_visit_makes_the_order_that_no_event_made(shop: Shop, page: RunningOrderPage) -> None:
    """Once, by one question to Stripe, however many visit at once; and it becomes an order like any other."""
    session, _ = shop.stripe.world.play(Order())

    answers = await asyncio.gather(*(page.visit(session.id) for _ in range(10)))

    assert {status for status, _ in answers} == {200}
    assert asked(shop) == 1
    request = await shop.requests.get(request_name(session.id))
    assert (request.spec.session.id, request.spec.payment.status) == (session.id, PaymentStatus.PAID)
    async with at_work(shop):
        await shop.becomes(request.metadata.name, Phase.FULFILLED)
    made = await page.metric("fulfillment_page_lookups_total", outcome="made")
    assert made is not None
    assert 1 <= made <= 10  # who comes a moment later finds it


async def test_a_visit_changes_nothing_of_an_order_that_is_there(shop: Shop, page: RunningOrderPage) -> None:
    """Stripe is not asked, and the request stays as it is."""
    session, _ = shop.stripe.world.play(Order())
    name = await shop.make(session.id, PaymentStatus.UNPAID)
    before = await shop.requests.get(name)
    await page.visit(session.id)
    assert await shop.requests.get(name) == before
    assert asked(shop) == 0


async def test_whatever_is_no_order_gets_the_same_page(shop: Shop, page: RunningOrderPage) -> None:
    """Nothing tells whether a Session exists, and nothing is asked twice."""
    world = shop.stripe.world
    expired = world.open(Order())
    world.expire(expired.id)
    setup, _ = world.play(Order(mode=Mode.SETUP))
    live, _ = world.play(Order(livemode=True))
    named_wrongly = UNKNOWN.replace("00", "11")
    await shop.make("cs_test_another", name=request_name(named_wrongly))
    sessions = {
        "unknown": UNKNOWN,
        "malformed": "cs_test_../../etc/passwd",
        "empty": "",
        "expired": expired.id,
        "open": world.open(Order()).id,
        "setup": setup.id,
        "live": live.id,
        "named wrongly": named_wrongly,
    }

    for _ in range(2):
        answers = {
            kind: await page.visit(session, address=f"203.0.113.{place}")
            for place, (kind, session) in enumerate(sessions.items())
        }
        assert {status for status, _ in answers.values()} == {404}
        assert len({body for _, body in answers.values()}) == 1
    assert sorted(each.path for each in shop.stripe.traffic.requests) == sorted(
        SESSION + sessions[kind] for kind in ("unknown", "expired", "open", "setup")
    )
    assert await shop.requests.list_versions("status.phase!=failed") is not None
    status, told = await page.read(UNKNOWN)
    assert (status, told["state"], set(told)) == (404, "unknown", {"state", "headline", "message"})


async def test_an_order_of_a_connected_account_is_shown_where_its_address_names_that(
    shop: Shop, page: RunningOrderPage
) -> None:
    """And made, if it is not the key's own; without the account the Session is unknown. It is followed as any other."""
    account = "acct_1032D82eZvKYlo2C"
    session, _ = shop.stripe.world.play(Order(account=account))

    assert (await page.visit(session.id))[0] == 404
    status, html = await page.visit(session.id, account=account)

    assert status == 200
    assert f"&amp;account={account}" in html
    assert [each.account for each in shop.stripe.traffic.at(SESSION + session.id)] == [None, account, None]
    request = await shop.requests.get(request_name(session.id, account))
    assert request.spec.session.account == account
    async with page.following(session.id, account=account) as events, at_work(shop):
        told = [each async for each in events]
    assert told[-1]["event"] == "end"


async def test_whoever_names_the_shops_own_account_makes_no_second_order(shop: Shop, page: RunningOrderPage) -> None:
    """Its Sessions are there under that name as well: the order would have another name, and go out twice."""
    session, _ = shop.stripe.world.play(Order())
    assert (await page.visit(session.id, account=OWN_ACCOUNT))[0] == 404
    assert (await page.visit(session.id))[0] == 200
    made = [each.request for page in [await anext(shop.requests.list_pages(timeout=5))] for each in page]
    assert [each.metadata.name for each in made if each] == [request_name(session.id)]


@pytest.mark.parametrize("code", ["account_invalid", "platform_account_required"])
async def test_whoever_names_an_account_that_is_not_connected_learns_nothing(
    shop: Shop, page: RunningOrderPage, code: str
) -> None:
    """It is no order, asked for once; nobody is told to mend the settings."""
    account = "acct_1032D82eZvKYlo2D"
    shop.stripe.faults.set([Fail(status=403, code=code, account=account)])
    unknown = await page.visit(UNKNOWN)
    answers = [await page.visit(UNKNOWN, account=account) for _ in range(2)]
    malformed = await page.visit(UNKNOWN, account="acct_../../etc")

    assert answers == [unknown, unknown]
    assert malformed == unknown
    assert [each.account for each in shop.stripe.traffic.at(SESSION + UNKNOWN)] == [None, account]
    assert await page.metric("fulfillment_page_lookups_total", outcome="misconfigured") == 0


@pytest.mark.parametrize("outcome", [Outcome.UNPAID, Outcome.FREE], ids=["a bank debit", "nothing to pay"])
async def test_an_order_that_is_not_paid_now_is_an_order(shop: Shop, page: RunningOrderPage, outcome: Outcome) -> None:
    """It was completed, which is what Stripe says."""
    session, _ = shop.stripe.world.play(Order(outcome=outcome))
    status, _ = await page.visit(session.id)
    assert status == 200


async def test_guesses_cost_stripe_nothing_and_the_api_server_little(shop: Shop, page: RunningOrderPage) -> None:
    """1,000 from one address: a handful of questions to Stripe, and as many to the API server as one may ask.

    Both budgets fill up again meanwhile, the more the slower the machine is.
    """
    guesses = [f"cs_test_a1{each:056}" for each in range(1000)]
    before = await shop.api_server_requests()

    async def guess(session_id: str) -> int:
        return (await page.visit(session_id))[0]

    began = time.monotonic()
    statuses = [
        each for place in range(0, 1000, 50) for each in await asyncio.gather(*map(guess, guesses[place : place + 50]))
    ]
    took = time.monotonic() - began

    assert set(statuses) == {404, 429}
    assert 1 <= asked(shop) <= 5 + took / 15 + 1
    after = await shop.api_server_requests()
    reads = after["GET", "fulfillmentrequests"] - before["GET", "fulfillmentrequests"]
    assert reads <= 30 + 2 * took + 1
    # Others are served meanwhile.
    session, _ = shop.stripe.world.play(Order())
    assert (await page.visit(session.id, address="198.51.100.1"))[0] == 200


@pytest.mark.parametrize("proxies", ["127.0.0.1", "127.0.0.0/8"])
async def test_who_visits_is_known_at_a_port_of_both_families(shop: Shop, crd: None, proxies: str) -> None:  # noqa: ARG001 - it must be there
    """Where an IPv4 proxy is seen as a part of IPv6, as in a pod: whoever asks too much is told so, and nobody else."""
    async with order_page(shop, bind_address=None, trusted_proxies=(proxies,)) as page:
        greedy = {(await page.visit(UNKNOWN.replace("00", f"{each:02}", 1)))[0] for each in range(10)}
        status, _ = await page.visit(UNKNOWN, address="198.51.100.1")
    assert (greedy, status) == ({404, 429}, 404)


@pytest.mark.parametrize("fault", [Fail(status=500), Cut()])
async def test_while_stripe_is_away_an_order_that_is_known_is_shown(
    shop: Shop, page: RunningOrderPage, fault: Fault
) -> None:
    """One that is not waits for it: the calm page looks again by itself, and nothing is remembered of it."""
    known, _ = shop.stripe.world.play(Order())
    await shop.make(known.id)
    session, _ = shop.stripe.world.play(Order())
    shop.stripe.faults.set([fault])
    assert (await page.visit(known.id))[0] == 200
    assert (await page.visit(session.id))[0] == 503
    shop.stripe.faults.set([])
    assert (await page.visit(session.id))[0] == 200


async def test_what_was_no_order_is_asked_anew_by_another_key_or_other_rules(shop: Shop, crd: None) -> None:  # noqa: ARG001 - likewise
    """What is remembered is what was told before, also by an answer that comes later."""
    await shop.control_plane.grant(User.PAGE, shop.namespace, [PAGE_RULES])
    settings, unknown = page_settings(shop), SessionId(f"cs_test_{'a' * 58}", None)
    async with running_page(settings, EventSettings()) as page, stripe_client(settings) as connected:
        lookup = page.orders.lookup
        outcomes = [await lookup.make_request(unknown, "192.0.2.1") for _ in range(2)]
        lookup.take(stripe_reader(connected, settings), EventRules(filters=Filters(payment_links=["plink_ours"])))
        outcomes.append(await lookup.make_request(unknown, "192.0.2.1"))
        assert outcomes == [LookupOutcome.NOT_FOUND, LookupOutcome.REMEMBERED, LookupOutcome.NOT_FOUND]

        session = SessionId(shop.stripe.world.play(Order())[0].id, None)
        shop.stripe.faults.set([Slow(path=session.id, seconds=0.2, times=1)])
        asking = asyncio.create_task(lookup.make_request(session, "192.0.2.1"))
        while not shop.stripe.traffic.at(SESSION + session.id):  # noqa: ASYNC110 - the stand-in tells nobody
            await asyncio.sleep(0.01)
        lookup.take(stripe_reader(connected, settings), EventRules())
        assert await asking is LookupOutcome.NOT_COUNTED
        assert await lookup.make_request(session, "192.0.2.1") is LookupOutcome.MADE


async def test_an_order_is_followed_to_its_end(shop: Shop, page: RunningOrderPage) -> None:
    """From awaiting its payment to fulfilled, by events of one watch; then the browser is told to leave off."""
    session, _ = shop.stripe.world.play(Order(outcome=Outcome.UNPAID))
    name = await shop.make(session.id, PaymentStatus.UNPAID)
    async with at_work(shop), page.following(session.id) as events:
        while "your payment is on its way" not in (await anext(events))["data"]:
            pass
        shop.stripe.world.settle(session.id, Settlement.SUCCEEDED)
        await shop.hint(name, PaymentStatus.PAID)
        seen = [event async for event in events]
    assert "your order is complete" in seen[-2]["data"]
    assert seen[-1]["event"] == "end"


async def test_what_somebody_deleted_is_not_made_again(shop: Shop, page: RunningOrderPage) -> None:
    """Whoever looked on reloads the page at once, and finds no order: theirs would be fulfilled a second time."""
    session, _ = shop.stripe.world.play(Order())
    assert (await page.visit(session.id))[0] == 200
    async with page.following(session.id) as events:
        await anext(events)
        await shop.requests.delete(request_name(session.id))
        assert (await anext(events))["event"] == "gone"
    assert (await page.visit(session.id))[0] == 404
    with pytest.raises(NotFoundError):
        await shop.requests.get(request_name(session.id))


async def test_all_who_follow_share_one_watch(shop: Shop, page: RunningOrderPage) -> None:
    """Ten visitors of five orders: the API server watches once for them, and each hears of their own alone."""
    sessions = [shop.stripe.world.play(Order(outcome=Outcome.UNPAID))[0].id for _ in range(5)]
    for session in sessions:
        await shop.make(session, PaymentStatus.UNPAID)
    before = await shop.api_server_requests()
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(page.following(each)) for each in [*sessions, *sessions]]
        firsts = [await anext(events) for events in streams]
        assert await page.metric("fulfillment_page_followers") == 10
        await shop.requests.delete(request_name(sessions[0]))
        for place in (0, 5):
            assert (await anext(streams[place]))["event"] == "gone"
        after = await shop.api_server_requests()
    assert all("data" in each for each in firsts)
    assert after["WATCH", "fulfillmentrequests"] == before["WATCH", "fulfillmentrequests"]


async def test_who_follows_too_much_is_told_to_come_back(shop: Shop, page: RunningOrderPage) -> None:
    """Twenty of one address at once; others have theirs."""
    session, _ = shop.stripe.world.play(Order(outcome=Outcome.UNPAID))
    await shop.make(session.id, PaymentStatus.UNPAID)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await anext(await stack.enter_async_context(page.following(session.id)))
        url = page.url(session.id, "/order/events")
        async with page.http.get(url) as response:
            assert response.status == 503
        async with page.http.get(url, headers={"X-Forwarded-For": "203.0.113.9"}) as response:
            assert response.status == 200


async def test_every_answer_keeps_the_order_private(shop: Shop, page: RunningOrderPage) -> None:
    """No cache, referrer, cookie, frame or foreign content; the page, its events, errors and JSON alike."""
    session, _ = shop.stripe.world.play(Order())
    await shop.make(session.id)
    urls = [page.url(session.id), page.url(UNKNOWN), page.url(session.id, "/order/events"), f"{page.origin}/admin"]
    for url in urls:
        async with page.http.get(url) as response:
            headers = response.headers
        assert headers["Cache-Control"] == "no-store", url
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers
        assert "Server" not in headers
        await asyncio.sleep(0)
    async with page.http.post(page.url(session.id)) as response:
        assert response.status == 405
        assert {*response.headers["Allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}
    async with page.http.head(page.url(session.id)) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_the_logo_comes_from_the_page_itself(shop: Shop, crd: None, tmp_path: Path) -> None:  # noqa: ARG001 - it must be there
    """It may be cached, and whatever an SVG holds does nothing."""
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>')
    async with order_page(shop, page_logo=str(logo)) as page:
        _, html = await page.visit(UNKNOWN)
        (source,) = re.findall(r'<img src="([^"]+)"', html)
        async with page.http.get(page.origin + source) as response:
            assert (response.status, response.content_type) == (200, "image/svg+xml")
            assert "immutable" in response.headers["Cache-Control"]
            assert "sandbox" in response.headers["Content-Security-Policy"]
            assert await response.text() == logo.read_text()


async def test_it_follows_on_after_its_watch_was_cut(shop: Shop, crd: None, tmp_path: Path) -> None:  # noqa: ARG001 - likewise
    """What changed meanwhile is read again, and told."""
    port = shop.control_plane.server.rpartition(":")[2]
    async with cuttable_proxy(int(port)) as proxy:
        kubeconfig = tmp_path / "kubeconfig"
        own = shop.control_plane.kubeconfigs[User.PAGE].read_text()
        kubeconfig.write_text(own.replace(f":{port}", f":{proxy.port}"))
        async with order_page(shop, kubeconfig=str(kubeconfig)) as page:
            session, _ = shop.stripe.world.play(Order(outcome=Outcome.UNPAID))
            name = await shop.make(session.id, PaymentStatus.UNPAID)
            async with page.following(session.id) as events:
                await anext(events)
                with proxy.cut():
                    assert (await page.visit(session.id))[0] == 503
                    await shop.requests.patch_status(name, make_status(Phase.FULFILLED, Reason.FULFILLED))
                assert "your order is complete" in (await anext(events))["data"]


async def test_what_counts_is_what_counts_for_the_webhook(shop: Shop, crd: None) -> None:  # noqa: ARG001 - likewise
    """A Session of another payment link is no order here."""
    session, _ = shop.stripe.world.play(Order())
    async with order_page(shop, EventSettings(payment_links=("plink_ours",))) as page:
        assert (await page.visit(session.id))[0] == 404
    assert not [each async for each in shop.requests.list_pages(timeout=5) if each]


async def test_a_slow_clock_makes_no_order_that_looks_restored(shop: Shop, crd: None) -> None:  # noqa: ARG001 - likewise
    """It does not start, and says what to do."""
    await shop.control_plane.grant(User.PAGE, shop.namespace, [PAGE_RULES])
    starting = running_page(page_settings(shop), EventSettings(), clock=lambda: utc_now() - timedelta(minutes=10))
    with pytest.raises(UnavailableError, match=r"clock is 10 minutes behind the API server's"):
        async with starting:
            pass


async def test_a_visit_is_answered_within_its_deadline(shop: Shop, crd: None) -> None:  # noqa: ARG001 - likewise
    """Whoever hangs, the API server or Stripe; and the log says that it was Stripe."""
    session, _ = shop.stripe.world.play(Order())
    shop.stripe.faults.set([Hang(seconds=60)])
    async with order_page(shop, deadline=timedelta(seconds=1)) as page:
        with capture_logs() as logs:
            async with asyncio.timeout(60):
                while not asked(shop):  # where the API server is slow, it may take all of a deadline
                    assert (await page.visit(session.id))[0] == 503
            with shop.control_plane.hanging():
                began = time.monotonic()
                assert (await page.visit(session.id))[0] == 503
                took = time.monotonic() - began
            assert took < 3.5  # one request to the API server alone may take 4 s
            async with asyncio.timeout(10):
                while not logs:  # noqa: ASYNC110 - a log line is no event that could be awaited
                    await asyncio.sleep(0.01)
    assert logs[0]["event"] == "page.stripe_not_asked"


async def test_an_order_that_the_api_server_does_not_take_in_time_is_told(shop: Shop) -> None:
    """By the time that is left after Stripe's answer: the runbook has people look for that line."""
    settings, session = page_settings(shop), SessionId(shop.stripe.world.play(Order())[0].id, None)
    nobody = client.Configuration(host="http://127.0.0.1:9")
    async with client.ApiClient(nobody) as api, stripe_client(settings) as connected:
        requests = FulfillmentRequestClient(LibraryRestClient(api), shop.namespace, timeout=1)
        lookup = SessionLookup(
            stripe_reader(connected, settings),
            RequestStore(requests=requests, semaphore=asyncio.Semaphore(1), random=lambda: 0.5),
            EventRules(),
            budget=Budget(Rate(burst=1, per_second=1), Rate(burst=1, per_second=1), time.monotonic),
            deadline=timedelta(seconds=4),  # in which Stripe is sure to have answered
            metrics=PageMetrics(CollectorRegistry(), LookupOutcome),
            clock=utc_now,
        )
        with capture_logs() as logs:
            assert await lookup.make_request(session, "192.0.2.1") is LookupOutcome.UNAVAILABLE
    assert [each["event"] for each in logs] == ["page.order_not_recorded"]
