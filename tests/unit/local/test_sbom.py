"""The bill of materials names what the image has, in CycloneDX's form."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fulfillment_local.sbom import locked, main
from support.repository import ROOT

pytestmark = pytest.mark.xdist_group("sbom")  # it is written once, which takes a while

PRODUCT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "new/sbom.cdx.json"
    result = CliRunner().invoke(main, [str(file)], env={"SOURCE_DATE_EPOCH": "1793610600"})
    assert (result.exit_code, result.output) == (0, f"{file}\n")
    return Path(file).read_text(encoding="utf-8")


@pytest.fixture
def bill(written: str) -> dict[str, Any]:
    bill: dict[str, Any] = json.loads(written)
    return bill


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("idna==3.20 \\", ["idna"]),
        ("colorama==0.4.6 ; sys_platform == 'win32' \\", []),
        ("uvloop==0.23.0 ; platform_system != 'Windows' \\", ["uvloop"]),
        ("    --hash=sha256:08695f5cb7ed6e0531a20572697297273c47b8cae5a63ffc6d6ed5c201be6e44", []),
        ("    # via click", []),
        ("", []),
    ],
)
def test_which_lines_are_packages_of_the_image(line: str, names: list[str]) -> None:
    """Those of other systems are left out."""
    assert [each.name for each in locked(f"{line}\n")] == names


def test_it_conforms_to_the_schema(written: str) -> None:
    """Strictly: no field that CycloneDX does not know."""
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415 - it takes seconds

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None


def test_it_names_each_package_of_the_lock_file_and_no_other(bill: dict[str, Any]) -> None:
    """With the version that is pinned, and the name by which advisories call it."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {(canonicalize_name(each.name), str(each.specifier).removeprefix("==")) for each in locked(lock)}
    assert {(canonicalize_name(each["name"]), each["version"]) for each in bill["components"]} == pinned
    assert {each["purl"] for each in bill["components"]} == {f"pkg:pypi/{name}@{version}" for name, version in pinned}


def test_it_tells_what_needs_what_and_under_which_licence(bill: dict[str, Any]) -> None:
    """The product needs what pyproject.toml says; each package has a licence."""
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == (PRODUCT["name"], PRODUCT["version"])
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    names = {each["bom-ref"]: canonicalize_name(each["name"]) for each in bill["components"]}
    wanted = {Requirement(each).name for each in PRODUCT["dependencies"]}
    assert {names[each] for each in needs[root["bom-ref"]]} == wanted
    unknown = {each["name"] for each in bill["components"] if not each.get("licenses")}
    assert unknown <= {"rich-click"}  # whose metadata names no licence


def test_it_is_of_the_time_it_is_told(bill: dict[str, Any]) -> None:
    """As the image: so the same commit writes the same bytes."""
    assert bill["metadata"]["timestamp"] == "2026-11-02T09:10:00+00:00"
    assert "serialNumber" not in bill
