"""The documentation's reference is what the code says, and its site has every page."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from fulfillment_local.reference import FOLDER
from support.repository import ROOT

DOCS = ROOT / "docs"


def test_the_reference_is_made_of_the_code() -> None:
    """By `make reference`; in a process of its own, for click keeps of a command's help what was asked of it first."""
    program = "import json; from fulfillment_local.reference import pages; print(json.dumps(pages()))"
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own
    made: dict[str, str] = json.loads(output)
    assert {each.name for each in FOLDER.iterdir()} == set(made)
    assert [name for name, text in made.items() if (FOLDER / name).read_text(encoding="utf-8") != text] == []


def test_the_site_has_every_page() -> None:
    """Each is found in its navigation, once."""
    site: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    named = list(leaves(site["project"]["nav"]))
    assert sorted(named) == sorted(str(each.relative_to(DOCS)) for each in DOCS.rglob("*.md"))


def leaves(nav: list[Any]) -> Iterator[str]:
    for each in nav:
        match each:
            case str():
                yield each
            case dict():
                for below in each.values():
                    yield from leaves(below)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "charts/checkout-fulfillment/README.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    """Those of the pages that are no part of the site, which its generator does not check."""
    file = ROOT / page
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [each for each in links if not (file.parent / each).exists()] == []


def test_the_readme_is_one_page() -> None:
    """What is longer is a page of the site."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140
