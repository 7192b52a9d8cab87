"""`fulfillment recover` as a process: what it writes, how it ends, and what a killed one leaves behind."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.fake_stripe.model import DeliveryState, Order, Outcome
from fulfillment_local.fake_stripe.traffic import Fail, Slow
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.kubernetes.errors import ConflictError
from fulfillment_runtime.kubernetes.leases import LeaseApi
from support.commands import fulfillment
from support.running_recovery import HOUR, NAME, Outage, outage

pytestmark = pytest.mark.usefixtures("crd")


@pytest.fixture
async def missed(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Outage]:
    async with outage(control_plane, namespace) as missed:
        yield missed


_WRONG_COMMAND_LINE = 2  # of which a person at a terminal is told


async def start(environ: dict[str, str], *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        fulfillment(), "recover", *arguments, env=environ, stdout=PIPE, stderr=PIPE
    )


async def last_words(environ: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """Run it until it ends by itself: exit code, standard output, standard error."""
    process = await start(environ, *arguments)
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def test_what_it_writes(missed: Outage) -> None:
    """A line for each event and each stretch of time in the log, and the sum on standard output."""
    missed.clock.ago(48 * HOUR)
    event = missed.lose()
    missed.lose(Order(outcome=Outcome.EXPIRED))
    missed.lose(delivery=DeliveryState.SUCCEEDED)

    code, output, errors = await last_words(missed.environ, "--dry-run")
    assert (code, output) == (
        0,
        "Dry run, nothing is written: 2 found: 1 created, 0 updated, 0 unchanged, 1 ignored (1 expired), 0 failed\n",
    )
    assert {json.loads(line)["dry_run"] for line in errors.splitlines()} == {True}
    code, output, errors = await last_words(missed.environ, "--since", "3d", "--all")
    assert (code, output) == (0, "3 found: 2 created, 0 updated, 0 unchanged, 1 ignored (1 expired), 0 failed\n")
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["event"] for line in lines] == [
        "recovery.started",
        *["recovery.handled"] * 3,
        "recovery.progress",
        "recovery.finished",
    ]
    assert not any("dry_run" in line for line in lines)
    results = {"created": 2, "updated": 0, "unchanged": 0, "ignored": 1, "failed": 0}
    assert {key: lines[-1][key] for key in results} == results
    assert lines[1]["event_id"] == event.id
    assert lines[1]["outcome"] == "created"


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "words"),
    [
        (["--since", "31d"], {}, 2, "it must be at least 1s, and at most 30d: Stripe lists no older"),
        (["--since", "soon"], {}, 2, "'soon' is no duration: write it as 72h or 3d"),
        ([], {"STRIPE_API_KEY": "sk_test_other"}, os.EX_CONFIG, "Stripe does not know the API key"),
        ([], {"STRIPE_API_KEY": "pk_test_1"}, os.EX_CONFIG, "STRIPE_API_KEY is no secret key: it starts with sk_"),
        ([], {"STRIPE_ACCOUNTS": "me"}, os.EX_CONFIG, "STRIPE_ACCOUNTS"),
        ([], {"FULFILLMENT_NAMESPACE": "kube-system"}, os.EX_NOPERM, "RBAC does not allow this process to get fulf"),
    ],
)
async def test_a_mistake_is_one_line(
    missed: Outage, arguments: list[str], environ: dict[str, str], code: int, words: str
) -> None:
    """And an exit code that tells whether a person is needed."""
    returned, output, errors = await last_words(missed.environ | environ, *arguments)
    assert (returned, output) == (code, "")
    last = errors.splitlines()[-1]
    message = last if code == _WRONG_COMMAND_LINE else json.loads(last)["message"]
    assert with_chart_values(words) in message
    assert "Traceback" not in errors


async def shorten(leases: LeaseApi) -> None:
    """Let a Lease that nobody renews any more be free after 3 s: 15 s would be long to wait for."""
    while True:
        lease = await leases.read()
        assert lease is not None
        assert lease.holder
        with suppress(ConflictError):  # the last renewal was on its way when its sender was killed
            await leases.write(replace(lease, duration=timedelta(seconds=3)))
            return


async def test_it_goes_on_after_a_kill(missed: Outage) -> None:
    """While it runs a second one sees that, and ends well; killed, its Lease is waited for, and its work gone on."""
    for place in range(200):
        missed.clock.ago(70 * HOUR - place * 1000)
        missed.lose()
    missed.stripe.faults.set([Slow(seconds=0.5)])
    first = await start(missed.environ)
    async with asyncio.timeout(60):
        await missed.progress()
    missed.stripe.faults.set([Slow(seconds=15)])
    second = await last_words(missed.environ)
    assert second[:2] == (0, "Another recovery is under way: nothing to do for this one.\n")
    assert first.returncode is None
    first.kill()
    await first.wait()
    made = len(await missed.orders())
    assert 0 < made < 200
    await shorten(missed.lease)
    missed.stripe.faults.set([])

    code, output, _ = await last_words(missed.environ)
    assert code == 0
    assert output == f"{200 - made} found: {200 - made} created, 0 updated, 0 unchanged, 0 ignored, 0 failed\n"
    assert len(await missed.orders()) == 200


async def test_told_to_stop_it_says_that_the_next_one_goes_on(missed: Outage) -> None:
    """It frees the Lease, so that the next one begins at once."""
    missed.clock.ago(48 * HOUR)
    missed.lose()
    missed.stripe.faults.set([Slow(seconds=30)])
    process = await start(missed.environ)
    async with asyncio.timeout(60):
        while not missed.stripe.traffic.requests:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (os.EX_TEMPFAIL, b"")
    last = json.loads(errors.decode().splitlines()[-1])
    assert last["message"] == "told to stop: the next run goes on where this one stopped"
    lease = await missed.lease.read()
    assert lease is not None
    assert lease.holder == ""


async def test_stripe_is_away(missed: Outage) -> None:
    """One line, an exit code for "later", and the ConfigMap tells no result, but where the next run begins."""
    missed.stripe.faults.set([Fail(status=503)])
    process = await start(missed.environ)
    async with asyncio.timeout(60):
        while len(missed.stripe.traffic.requests) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    process.terminate()
    _, errors = await process.communicate()
    waits = [json.loads(line) for line in errors.decode().splitlines()[:-1]]
    assert [line["event"] for line in waits][:2] == ["recovery.started", "recovery.stripe_unavailable"]
    assert (await missed.checkpoint.read()).keys() == {"test.undelivered.own"}
    assert NAME == missed.settings().recovery_name
