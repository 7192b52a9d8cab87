"""The backend that docs/backends.md shows, installed as a derived image would install it."""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fulfillment_api.status import Phase
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.model import Order
from fulfillment_operator.backends.installed import installed_backends
from fulfillment_operator.check_config import operator_checks
from fulfillment_operator.settings import checked_routing
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.findings import Verdict
from fulfillment_runtime.settings import known_settings
from support.repository import ROOT
from support.running_operator import Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

PAGE = (ROOT / "docs/backends.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lay the page's package out as pip does: the module, and its metadata with the entry points."""
    site = tmp_path / "site-packages"
    metadata = site / "my_backend-1.0.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "my_backend.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "my_backend", raising=False)
    folder = tmp_path / "orders"
    folder.mkdir()
    monkeypatch.setenv("FULFILLMENT_FOLDER", str(folder))
    for each in (installed_backends, known_settings):
        each.cache_clear()
    yield folder
    for each in (installed_backends, known_settings):
        each.cache_clear()


async def test_the_page_s_backend_fulfills_orders(shop: Shop, installed: Path) -> None:
    """It is found by its name, has a setting of its own, and its word stands in status."""
    async with at_work(shop, backend="folder"):
        name = await shop.sell(Order())
        request = await shop.becomes(name, Phase.FULFILLED)
    assert request.status is not None
    assert request.status.message == f"the backend folder fulfilled the order as {name}.json"
    (item,) = json.loads((installed / f"{name}.json").read_text())
    assert item[0] == 1


async def test_its_own_settings_are_checked_at_start(
    shop: Shop,
    installed: Path,  # noqa: ARG001 - it must be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the product's are."""
    monkeypatch.delenv("FULFILLMENT_FOLDER")
    with pytest.raises(SettingsError, match="FULFILLMENT_FOLDER is not set: the folder that orders are written into"):
        async with at_work(shop, backend="folder"):
            pass


@pytest.mark.parametrize(
    ("mistake", "failure"), [("return None", "TypeError"), ("raise LookupError(order.session.customer)", "LookupError")]
)
async def test_one_that_fails_keeps_no_order_from_its_deadline(
    shop: Shop, installed: Path, mistake: str, failure: str
) -> None:
    """Status says so, without what it raised, which may be personal; a person is needed at last."""
    module = installed.parent / "site-packages" / "my_backend.py"
    module.write_text(module.read_text().replace("        return Done(reference=file.name)", f"        {mistake}"))
    async with at_work(shop, backend="folder", backend_deadline=timedelta(seconds=1)) as operator:
        request = await shop.becomes(await shop.sell(Order()), Phase.FAILED, "FulfillmentFailed")
        assert (await operator.metric("fulfillment_reconcile_errors_total", error="unexpected") or 0) > 0
    assert request.status is not None
    assert request.status.message.startswith(
        f"the backend folder failed with {failure}: the operator's log says more; "
    )


async def test_one_that_calls_itself_otherwise_is_named(shop: Shop, installed: Path) -> None:
    """By that name status would remember who has an order."""
    module = installed.parent / "site-packages" / "my_backend.py"
    module.write_text(module.read_text().replace('name = "folder"', 'name = "files"'))
    with pytest.raises(SettingsError, match="the backend folder calls itself files: its name is that of its entry "):
        async with at_work(shop, backend="folder"):
            pass


async def test_its_own_settings_are_checked_without_a_cluster(
    installed: Path,  # noqa: ARG001 - it must be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By `fulfillment check-config`, as the product's are."""
    monkeypatch.delenv("FULFILLMENT_FOLDER")
    environ = {"STRIPE_API_KEY": TEST_KEY, "FULFILLMENT_BACKEND": "folder"}
    found = [each.message async for each in operator_checks(environ, online=False) if each.verdict is Verdict.FAILURE]
    assert found == ["FULFILLMENT_FOLDER is not set: the folder that orders are written into"]


async def test_one_that_cannot_be_loaded_is_named(shop: Shop, installed: Path) -> None:
    """One line that says which, and from where."""
    (installed.parent / "site-packages" / "my_backend.py").write_text("import nothing_of_that_name")
    with pytest.raises(SettingsError, match="the backend folder cannot be loaded from my_backend:folder_backend: "):
        async with at_work(shop, backend="folder"):
            pass


def test_two_of_one_name_are_rejected(installed: Path) -> None:
    """Nobody could say which of them an order went to."""
    metadata = installed.parent / "site-packages" / "my_backend-1.0.0.dist-info"
    (metadata / "entry_points.txt").write_text("[fulfillment.backends]\nlog = my_backend:folder_backend\n")
    with pytest.raises(ValueError, match="two backends are named log, ") as rejected:
        installed_backends()
    assert "my_backend:folder_backend" in str(rejected.value)


def test_one_that_is_not_installed_is_named() -> None:
    """With those that are."""
    with pytest.raises(
        ValueError, match=r"there is no backend 'erp', which .* names: there are http, job, log, manual"
    ):
        checked_routing("- {backend: erp}", "log")
