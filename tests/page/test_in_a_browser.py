"""The order page in a browser: each state, in two languages, light and dark, on phone and desktop; and live."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace
from playwright.async_api import Browser, Page, expect

from fulfillment_api.names import request_name
from fulfillment_api.spec import Amount, Payment, PaymentStatus, Reversal, ReversalKind, Session, Spec
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    LineItem,
    Order,
    Phase,
    Reason,
    Reversals,
    Status,
)
from fulfillment_local.fake_stripe.model import Order as Sale
from fulfillment_local.fake_stripe.model import Outcome, Settlement
from fulfillment_page.languages import Languages
from fulfillment_page.texts import STATE_TEXTS, UNKNOWN
from support.builders import CREATED, make_status
from support.running_operator import WITHIN, Shop, at_work
from support.running_page import RunningOrderPage

UNKNOWN_ID = "cs_test_a1" + "0" * 56
TOTAL = Amount(total=8850, currency="eur", display="88.50 EUR")
ORDER = Order(
    line_items=[
        LineItem(
            id="li_1",
            description="Storm lantern, brass, with a spare wick",
            quantity=1,
            amount_total=6900,
            currency="eur",
        ),
        LineItem(id="li_2", description="Lamp oil, 1 l", quantity=3, amount_total=1350, currency="eur"),
    ],
    amount=TOTAL,
)
STATES: dict[str, tuple[Phase, Reason] | None] = {
    "received": None,
    "payment-processing": (Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING),
    "payment-requires-action": (Phase.AWAITING_PAYMENT, Reason.PAYMENT_REQUIRES_ACTION),
    "payment-authorized": (Phase.AWAITING_PAYMENT, Reason.PAYMENT_REQUIRES_CAPTURE),
    "preparing": (Phase.FULFILLING, Reason.DISPATCHED),
    "updating": (Phase.FULFILLING, Reason.DISPATCHED),
    "fulfilled": (Phase.FULFILLED, Reason.FULFILLED),
    "saved": (Phase.FULFILLED, Reason.NOTHING_TO_FULFILL),
    "payment-failed": (Phase.FAILED, Reason.PAYMENT_FAILED),
    "payment-canceled": (Phase.FAILED, Reason.PAYMENT_CANCELED),
    "refunded": (Phase.FULFILLED, Reason.FULFILLED),
    "closed": (Phase.FAILED, Reason.MANUALLY_FAILED),
    "needs-attention": (Phase.FAILED, Reason.FULFILLMENT_FAILED),
}
LOOKS: list[tuple[str, Literal["light", "dark"], str, dict[str, int]]] = [
    ("desktop", "light", "en-GB", {"width": 1280, "height": 900}),
    ("phone", "dark", "de-DE", {"width": 375, "height": 740}),
    ("phone", "light", "ja-JP", {"width": 320, "height": 640}),
    ("desktop", "dark", "fr-FR", {"width": 1280, "height": 900}),
]
SCREENSHOTS = os.environ.get("ORDER_PAGE_SCREENSHOTS")
"""A folder to keep the pictures in: those of the documentation."""


def status_of(state: str) -> Status | None:
    found = STATES[state]
    if found is None:
        return None
    status = replace(make_status(*found), order=ORDER)
    if state != "refunded":
        return status
    refunded = Condition(
        type=ConditionType.REFUNDED,
        status=ConditionStatus.TRUE,
        reason=Reason.REFUNDED,
        message="",
        last_transition_time=CREATED,
    )
    return replace(status, conditions=[refunded], reversals=Reversals(amount_refunded=TOTAL))


@asynccontextmanager
async def visiting(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """Open a browser's page, whose complaints fail the test: what the policy forbids is one."""
    context = await browser.new_context(**options)
    tab = await context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield tab
        # That it is not there says the status of a page that shows no order.
        assert [each for each in complaints if not each.startswith("Failed to load resource")] == []
    finally:
        await context.close()


@pytest.mark.parametrize("state", [*STATES, "unknown"])
async def test_each_state_is_accessible_in_every_look(
    browser: Browser, axe: str, shop: Shop, page: RunningOrderPage, state: str
) -> None:
    """In its own words, without a violation that axe-core finds, and never wider than the screen."""
    session = UNKNOWN_ID
    if state != "unknown":
        session = shop.stripe.world.play(Sale(currency="eur"))[0].id
        name = request_name(session)
        sold = Session(id=session, livemode=False)
        spec = Spec(session=sold, payment=Payment(status=PaymentStatus.UNPAID), amount=TOTAL)
        refunded = Reversal(kind=ReversalKind.REFUNDED) if state == "updating" else None
        await shop.requests.create(name, replace(spec, reversal=refunded))
        if status := status_of(state):
            await shop.requests.patch_status(name, status)
    headline = next((text.headline for kind, text in STATE_TEXTS.items() if kind == state), UNKNOWN.headline)
    for device, scheme, locale, size in LOOKS:
        language = Languages(None).choose(locale, "")
        async with visiting(browser, color_scheme=scheme, locale=locale, viewport=size) as tab:
            await tab.goto(page.url(session), wait_until="load")
            await expect(tab.locator("h1")).to_have_text(language.text(headline))
            await tab.evaluate(axe)
            found = await tab.evaluate("async () => (await axe.run()).violations.map(each => [each.id, each.help])")
            assert found == [], (device, scheme, locale)
            assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (device, locale)
            if SCREENSHOTS:
                where = Path(SCREENSHOTS) / f"{state}-{device}-{scheme}-{language.tag}.png"
                await tab.screenshot(path=where, full_page=True)


async def test_it_is_light_and_asks_nobody_else(browser: Browser, shop: Shop, page: RunningOrderPage) -> None:
    """Under 30 KB with all that it loads, and all from the shop's own server; no cookie, nothing kept."""
    session = shop.stripe.world.play(Sale())[0].id
    name = await shop.make(session)
    await shop.requests.patch_status(name, replace(make_status(Phase.FULFILLED, Reason.FULFILLED), order=ORDER))
    async with visiting(browser) as tab:
        answers: list[Any] = []
        tab.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks what it is given
        await tab.goto(page.url(session), wait_until="networkidle")
        sizes = [await answer.request.sizes() for answer in answers]
        weight = sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes)
        assert {answer.url.partition("/order")[0] for answer in answers} == {page.origin}
        assert weight < 30_000
        assert await tab.context.cookies() == []
        assert await tab.evaluate("localStorage.length + sessionStorage.length") == 0


async def test_it_follows_the_order_live(browser: Browser, shop: Shop, page: RunningOrderPage) -> None:
    """From awaiting its payment to fulfilled, in the page that is open, which is never loaded again."""
    session = shop.stripe.world.play(Sale(outcome=Outcome.UNPAID))[0].id
    name = await shop.make(session, PaymentStatus.UNPAID)
    async with at_work(shop), visiting(browser, locale="en-GB") as tab:
        await tab.goto(page.url(session))
        await tab.evaluate("window.sameDocument = true")
        headline = tab.locator("h1")
        await expect(headline).to_have_text("Thank you, your payment is on its way", timeout=30_000)
        shop.stripe.world.settle(session, Settlement.SUCCEEDED)
        await shop.hint(name, PaymentStatus.PAID)
        await expect(headline).to_have_text("Thank you, your order is complete", timeout=30_000)
        await expect(tab).to_have_title("Thank you, your order is complete \N{EN DASH} Harbour Goods")
        await expect(tab.locator("tbody tr")).to_have_count(1)
        assert await tab.evaluate("window.sameDocument")


async def test_it_works_without_javascript(browser: Browser, shop: Shop, page: RunningOrderPage) -> None:
    """All of it is there; the browser looks again by itself while the order mostly goes on soon, and else by a link."""
    session = shop.stripe.world.play(Sale())[0].id
    name = await shop.make(session, PaymentStatus.UNPAID)
    async with visiting(browser, java_script_enabled=False, locale="es-ES") as tab:
        await tab.goto(page.url(session))
        await expect(tab.locator("h1")).to_have_text("Gracias, hemos recibido su pedido")
        assert await tab.locator('meta[http-equiv="refresh"]').get_attribute("content") == "15"
        await shop.requests.patch_status(name, make_status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING))
        look = tab.get_by_role("link", name="Volver a comprobar")
        await look.click()
        await expect(tab.locator("h1")).to_have_text("Gracias, su pago está en camino")
        await expect(tab.locator('meta[http-equiv="refresh"]')).to_have_count(0)
        await shop.requests.patch_status(name, replace(make_status(Phase.FULFILLED, Reason.FULFILLED), order=ORDER))
        await look.click()
        await expect(tab.locator("h1")).to_have_text("Gracias, su pedido está completo")
        await expect(tab.locator(".total td")).to_have_text("88,50 EUR")
        await expect(look).to_have_count(0)


async def test_an_order_that_comes_late_appears_by_itself(browser: Browser, shop: Shop, page: RunningOrderPage) -> None:
    """Stripe could not be asked when the buyer came: the calm page looks again, and then it is there."""
    session = shop.stripe.world.play(Sale())[0].id
    async with visiting(browser, locale="en-GB") as tab:
        await tab.clock.install()
        await tab.goto(page.url(UNKNOWN_ID))
        await expect(tab.locator("h1")).to_have_text("No order to show yet")
        await tab.evaluate("url => history.replaceState(null, '', url)", page.url(session))
        await tab.clock.fast_forward(21_000)
        await expect(tab.locator("h1")).to_have_text("Thank you, we have your order")


async def test_the_page_without_an_order_looks_for_ten_minutes(browser: Browser, page: RunningOrderPage) -> None:
    """In the same document, which it leaves as it is; then there still is the link."""
    async with visiting(browser, locale="en-GB") as tab:
        await tab.clock.install()
        await tab.goto(page.url(UNKNOWN_ID))
        await tab.evaluate("window.sameDocument = true")
        looks: list[Any] = []
        tab.on("requestfinished", lambda request: looks.append(request))  # noqa: PLW0108 - Playwright marks what it is given
        while len(looks) < 30:
            await tab.clock.fast_forward(20_000)
        for _ in range(10):
            await tab.clock.fast_forward(20_000)
        assert len(looks) == 30
        assert await tab.evaluate("window.sameDocument")
        await expect(tab.get_by_role("link", name="Look again")).to_be_visible()


async def test_an_order_that_cannot_be_followed_is_looked_at(
    browser: Browser, shop: Shop, page: RunningOrderPage
) -> None:
    """As when too many follow theirs: what is new appears in the same document, and that ends with the order."""
    session = shop.stripe.world.play(Sale())[0].id
    name = await shop.make(session)
    async with visiting(browser, locale="en-GB") as tab:
        await tab.clock.install()
        await tab.route("**/order/events?*", lambda route: route.fulfill(status=503))
        await tab.goto(page.url(session))
        await tab.evaluate("window.sameDocument = true")
        look = tab.get_by_role("link", name="Look again")
        await expect(look).to_be_hidden()
        await shop.requests.patch_status(name, replace(make_status(Phase.FULFILLED, Reason.FULFILLED), order=ORDER))
        headline = tab.locator("h1")
        async with asyncio.timeout(WITHIN):
            while await headline.text_content() != "Thank you, your order is complete":
                await tab.clock.fast_forward(30_000)
        await expect(tab.locator(".total td")).to_have_text("88.50 EUR")
        assert await tab.evaluate("window.sameDocument")
