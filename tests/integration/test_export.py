"""`fulfillment export`, as a process, of a real API server."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fulfillment_api.status import Phase, Reason, Status
from fulfillment_local.credentials import User
from support.commands import fulfillment
from support.running_operator import RULES, Shop

pytestmark = pytest.mark.usefixtures("crd")


async def export(
    shop: Shop, *arguments: str, user: User = User.OPERATOR, to: str | None = None
) -> tuple[int | None, str, str]:
    """Run it: exit code, standard output, unless that goes to a file, and standard error."""
    environ = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(shop.control_plane.kubeconfigs[user]),
        "FULFILLMENT_NAMESPACE": shop.namespace,
    }
    with open(to, "wb") if to else nullcontext(PIPE) as stdout:  # noqa: ASYNC230, PTH123 - opened at once
        process = await asyncio.create_subprocess_exec(
            fulfillment(), "export", *arguments, env=environ, stdout=stdout, stderr=PIPE
        )
        output, errors = await process.communicate()
    return process.returncode, (output or b"").decode(), errors.decode()


async def exported(shop: Shop, *arguments: str) -> list[dict[str, Any]]:
    code, output, errors = await export(shop, *arguments)
    lines = [json.loads(line) for line in output.splitlines()]
    count = "1 order" if len(lines) == 1 else f"{len(lines)} orders"
    assert (code, errors) == (0, f"{count} of the namespace {shop.namespace}\n")
    return lines


def names(lines: list[dict[str, Any]]) -> set[str]:
    return {line["metadata"]["name"] for line in lines}


async def test_a_line_is_a_request(shop: Shop) -> None:
    """Spec and status are the API server's own; nothing of its bookkeeping is there."""
    name = await shop.make("cs_test_export1", metadata={"cart": "c-17"})
    status = Status(
        phase=Phase.FULFILLED, reason=Reason.FULFILLED, message="done", observed_generation=1, conditions=[]
    )
    written = await shop.requests.patch_status(name, status)
    (line,) = await exported(shop)
    assert line == {
        "apiVersion": "checkout-fulfillment.dev/v1alpha1",
        "kind": "FulfillmentRequest",
        "metadata": {
            "name": name,
            "namespace": shop.namespace,
            "uid": written.metadata.uid,
            "resourceVersion": written.metadata.resource_version,
            "generation": 1,
            "creationTimestamp": written.metadata.creation_timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": {
            "session": {"id": "cs_test_export1", "livemode": False, "metadata": {"cart": "c-17"}},
            "payment": {"status": "paid"},
        },
        "status": {
            "phase": "fulfilled",
            "reason": "Fulfilled",
            "message": "done",
            "observedGeneration": 1,
            "conditions": [],
        },
    }


async def test_phases_and_times_choose_requests(shop: Shop) -> None:
    """Each phase that is asked for, and what has changed since; nothing at all is no line."""
    assert await exported(shop) == []
    by_phase = {}
    for number, (phase, reason) in enumerate(
        ((Phase.FULFILLED, Reason.FULFILLED), (Phase.FAILED, Reason.PAYMENT_FAILED)), start=1
    ):
        name = by_phase[phase] = await shop.make(f"cs_test_export{number}")
        await shop.requests.patch_status(
            name, Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=[])
        )
    new = await shop.make("cs_test_export3")
    finished = set(by_phase.values())
    assert names(await exported(shop)) == {*finished, new}
    assert names(await exported(shop, "--phase", "failed")) == {by_phase[Phase.FAILED]}
    assert names(await exported(shop, "--phase=failed", "--phase=fulfilled", "--since=30d")) == finished
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert await exported(shop, "--since", tomorrow.isoformat()) == []
    assert await exported(shop, "--since", tomorrow.date().isoformat()) == []
    assert names(await exported(shop, "--since=2026-01-01")) == {*finished, new}


async def test_more_than_a_page_comes_whole(shop: Shop) -> None:
    """More than a page holds, and each once."""
    at_once = asyncio.Semaphore(16)  # each has its own time-out

    async def make(number: int) -> str:
        async with at_once:
            return await shop.make(f"cs_test_many{number}")

    made = await asyncio.gather(*map(make, range(501)))
    lines = await exported(shop)
    assert len(lines) == len(made)
    assert names(lines) == set(made)


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "24x"])
async def test_an_odd_time_is_refused(shop: Shop, since: str) -> None:
    """The line says what a time looks like."""
    code, output, errors = await export(shop, "--since", since)
    assert (code, output) == (2, "")
    assert f"'{since}' is neither a time, such as 2026-11-01, nor a duration, such as 24h" in errors


async def test_who_may_not_list_is_told(shop: Shop) -> None:
    """One line, and the exit code of the workloads."""
    await shop.control_plane.grant(User.NOBODY, shop.namespace, RULES[1:])
    code, output, errors = await export(shop, user=User.NOBODY)
    assert (code, output) == (77, "")
    assert errors.startswith("Error: RBAC forbids it: fulfillmentrequests.checkout-fulfillment.dev is forbidden")


async def test_a_full_disk_is_told(shop: Shop) -> None:
    """Whoever keeps books by it must know that they are not whole."""
    await shop.make("cs_test_1")
    code, _, errors = await export(shop, to="/dev/full")
    assert code == os.EX_UNAVAILABLE
    assert errors == "Error: standard output cannot be written: No space left on device; it is not all there\n"
