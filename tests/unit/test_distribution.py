"""The product's wheel, which the image installs: what it holds, and what it leaves to the stand-ins' own."""

import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from support.repository import ROOT

PRODUCT = {
    f"fulfillment_{each}": ROOT / each / f"fulfillment_{each}"
    for each in ("api", "runtime", "service", "operator", "page", "cli")
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, as the Dockerfile does."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)  # noqa: S603 - our own arguments
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_it_holds_the_product_alone(wheel: Path) -> None:
    """Every module of the workloads and the command line, and none of the control plane and the stand-ins."""
    expected = {
        f"{package}/{file.relative_to(folder)}"
        for package, folder in PRODUCT.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as content:
        held = {name for name in content.namelist() if ".dist-info/" not in name}
    assert held == expected


def test_it_names_nothing_of_the_stand_ins(wheel: Path) -> None:
    """Neither their commands nor their libraries."""
    with zipfile.ZipFile(wheel) as content:
        (metadata, entry_points) = (
            content.read(f"checkout_fulfillment-0.1.0.dist-info/{name}").decode()
            for name in ("METADATA", "entry_points.txt")
        )
    headers = HeaderParser().parsestr(metadata)
    needs = {each.partition(">")[0] for each in headers.get_all("Requires-Dist", ())}
    assert headers.get_all("Provides-Extra") is None
    assert not needs & {"aiosmtpd", "cryptography", "checkout-fulfillment-local"}
    assert "fulfillment_local" not in entry_points
    assert "fulfillment_operator.command:command" in entry_points
