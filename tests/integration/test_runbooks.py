"""The runbooks' commands are understood by kubectl and a real API server, and look for what the product writes."""

import asyncio
import re
import shlex
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from support.repository import ROOT
from support.running_operator import open_shop

PAGES = sorted((ROOT / "docs/runbooks").glob("*.md"))
HEADINGS = ["## Meaning", "## Diagnosis", "## Mitigation", "## When it resolves"]


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)\n```", page.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_a_person_needs(page: Path) -> None:
    """In this order, in few lines."""
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall("^## .*$", text, re.MULTILINE) == HEADINGS
    assert len(text.splitlines()) <= 40


def test_what_a_page_greps_for_is_written_by_the_product() -> None:
    """Names of log lines, of reasons and of column heads stand in the code."""
    code = "".join(
        path.read_text() for room in ("api", "service", "operator", "page") for path in (ROOT / room).rglob("*.py")
    )
    patterns = {
        command.split("grep -E ")[1].strip("'") for page in PAGES for command in commands(page) if "grep" in command
    }
    sought = {word for pattern in patterns for word in pattern.split("|")} - {"NAME"}
    assert len(sought) > 8
    assert {word for word in sought if word not in code} == set()


async def test_every_command_is_understood(control_plane: ControlPlane, namespace: str, crd: None) -> None:  # noqa: ARG001 - it must be there
    """It exits with 0, or says `no` where it is asked for rights, which nobody granted here."""
    async with open_shop(control_plane, namespace) as shop:
        name = await shop.make("cs_test_1")
        await ConfigMapApi(shop.api, namespace, "checkout-fulfillment-recovery", timeout=5).write({})
    failed = []
    for command in sorted({command.split(" | ")[0] for page in PAGES for command in commands(page)}):
        kubectl, *arguments = shlex.split(command.replace("NAMESPACE", namespace).replace(" NAME", f" {name}"))
        assert kubectl == "kubectl"
        process = await asyncio.create_subprocess_exec(
            control_plane.kubectl,
            f"--kubeconfig={control_plane.kubeconfigs[User.ADMIN]}",
            *arguments,
            stdout=PIPE,
            stderr=PIPE,
        )
        output, error = await process.communicate()
        if process.returncode != 0 and (arguments[:2], output) != (["auth", "can-i"], b"no\n"):
            failed.append((command, output.decode() + error.decode()))
    assert failed == []
