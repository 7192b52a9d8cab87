"""The runbooks' commands are understood by kubectl and a real API server, and look for what the product writes."""

import asyncio
import os
import re
import shlex
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import NamedTuple

import pytest

from fulfillment_api.spec import ReversalKind
from fulfillment_api.status import Phase
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from support.repository import ROOT
from support.reversal_events import SOON, reconciled, reverse
from support.running_operator import Shop, at_work, open_shop

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


class Reversed(NamedTuple):
    """An order, what came at Stripe, one after the other, what a person acknowledged, and the alert that counts it."""

    comes: tuple[ReversalKind, ...]
    acknowledged: str | None
    alert: str | None
    is_fulfilled: bool = True
    """Before anything came."""


K = ReversalKind
DISPUTED, REFUND_FAILED = "CheckoutOrderDisputed", "CheckoutRefundFailed"
REVERSED = (
    Reversed((K.DISPUTED,), None, DISPUTED),
    Reversed((K.DISPUTED, K.PARTIALLY_REFUNDED), None, DISPUTED),
    Reversed((K.DISPUTED, K.PARTIALLY_REFUNDED), "Disputed: evidence sent", None),
    Reversed((K.DISPUTED,), "RefundFailed: sent by bank transfer", DISPUTED),
    Reversed((K.DISPUTED,), "RefundFailed,Disputed: called the customer", None),
    Reversed((K.DISPUTED,), "RefundFailed, Disputed: called the customer", None),
    Reversed((K.DISPUTED,), "RefundFailed: called, Disputed, too", DISPUTED),
    Reversed((K.DISPUTED, K.DISPUTE_WON), None, None),
    Reversed((K.INQUIRY,), None, None),
    Reversed((K.DISPUTED,), None, DISPUTED, is_fulfilled=False),
    Reversed((K.DISPUTED,), "Disputed", None, is_fulfilled=False),
    Reversed((K.DISPUTED,), "RefundFailed , Disputed : called the customer", None, is_fulfilled=False),
    Reversed((K.REFUNDED, K.REFUND_FAILED), None, REFUND_FAILED),
    Reversed((K.REFUNDED, K.REFUND_FAILED, K.INQUIRY), None, REFUND_FAILED),
    Reversed((K.REFUNDED, K.REFUND_FAILED), "RefundFailed:sent by bank transfer", None),
    Reversed((K.REFUNDED, K.REFUND_FAILED), "Disputed,RefundFailed: called the customer", None),
    Reversed((K.REFUNDED, K.REFUND_FAILED), "Disputed, RefundFailed: called the customer", None),
    Reversed((K.PARTIALLY_REFUNDED,), None, None),
)


@pytest.mark.usefixtures("crd")
async def test_the_orders_that_an_alert_counts_are_listed(shop: Shop) -> None:
    """By what their conditions show, whatever the newest event was about; and no others are."""
    stopped = [await shop.sell(Order()) for each in REVERSED if not each.is_fulfilled]
    for name in stopped:
        await reverse(shop, name, K.DISPUTED)
    async with at_work(shop, **SOON) as operator:

        async def play(case: Reversed) -> str:
            if case.is_fulfilled:
                name = await shop.sell(Order())
                await shop.becomes(name, Phase.FULFILLED)
                for kind in case.comes:
                    await reverse(shop, name, kind)
                    await reconciled(shop, name)
            else:
                name = stopped.pop()
                await shop.becomes(name, Phase.FAILED, "Disputed")
            await shop.annotate(name, acknowledged=case.acknowledged)
            return name

        names = await asyncio.gather(*map(play, REVERSED))
        counted = {
            page: {name for name, case in zip(names, REVERSED, strict=True) if case.alert == page}
            for page in (DISPUTED, REFUND_FAILED)
        }
        level, failed = "fulfillment_reversed_requests", {"phase": "failed", "reason": "Disputed"}
        await operator.reaches(len(counted[DISPUTED]) - 1, level, kind="disputed", acknowledged="false")
        await operator.reaches(1, "fulfillment_requests", acknowledged="false", **failed)
        await operator.reaches(len(counted[REFUND_FAILED]), level, kind="refund-failed", acknowledged="false")
    assert {page: await listed(shop, page) for page in counted} == counted


async def listed(shop: Shop, page: str) -> set[str]:
    """Run a page's commands that list orders, as a shell does, and return the orders' names."""
    environ = {
        "PATH": f"{shop.control_plane.kubectl.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(shop.control_plane.kubeconfigs[User.ADMIN]),
        "HOME": os.environ["HOME"],
    }
    found: set[str] = set()
    for command in commands(ROOT / "docs/runbooks" / f"{page}.md"):
        if " get fulfillmentrequests " in command:
            line = command.replace("NAMESPACE", shop.namespace)
            shell = await asyncio.create_subprocess_exec("sh", "-c", line, env=environ, stdout=PIPE, stderr=PIPE)
            output, errors = await shell.communicate()
            assert (shell.returncode, errors) == (0, b"")
            found |= {each.split()[0] for each in output.decode().splitlines()[1:]}
    return found
