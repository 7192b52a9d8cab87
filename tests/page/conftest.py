from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from fulfillment_local.control_plane import ControlPlane
from support.running_operator import Shop, open_shop
from support.running_page import RunningOrderPage, order_page

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="session")
def chromium() -> str:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    return CHROMIUM


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # A container's root has no sandbox, and little shared memory.
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Give what judges accessibility; `npm ci` in this folder installs it."""
    if not AXE.exists():
        pytest.skip(f"there is no {AXE}: run npm ci in {AXE.parents[2]}")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
async def shop(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Shop]:
    async with open_shop(control_plane, namespace) as shop:
        yield shop


@pytest.fixture
async def page(shop: Shop, crd: None, tmp_path: Path) -> AsyncIterator[RunningOrderPage]:  # noqa: ARG001 - it must be there
    """Run the page of a shop with a logo and colours."""
    logo = tmp_path / "logo.svg"
    logo.write_text(LOGO)
    async with order_page(shop, page_logo=str(logo), page_color="#0f766e", page_dark_color="#2dd4bf") as page:
        yield page


LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" rx="9" fill="#0f766e"/>'
    '<path d="M9 25h22l-4 7H13zM19 7v15h-8zM21 10v12h9z" fill="#fff"/></svg>'
)
