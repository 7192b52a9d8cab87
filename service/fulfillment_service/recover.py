"""The command `fulfillment recover`: wires a recovery, and runs it once."""

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import durationpy
import uvloop

from fulfillment_api.names import PLURAL
from fulfillment_runtime.exits import SettingsError, StoppedError, UnavailableError
from fulfillment_runtime.kubernetes_access import Rule, check_access
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.kubernetes_leases import LeaseApi
from fulfillment_runtime.leadership import Leadership, Terms
from fulfillment_runtime.logs import configure_logs
from fulfillment_runtime.settings import load_settings
from fulfillment_runtime.stripe_connection import stripe_client
from fulfillment_service.filters import filters_of
from fulfillment_service.recovery import Tally
from fulfillment_service.recovery_run import GOES_ON, RecoveryRun, Wish
from fulfillment_service.settings import EventSettings, RecoverSettings, mode_mistake
from fulfillment_service.time_window import GREATEST_LOOK_BACK
from fulfillment_service.translate import Filters

_KUBERNETES_TIMEOUT = 5.0


class _LookBack(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401 - click's signature
        try:
            found = value if isinstance(value, timedelta) else durationpy.from_str(value)
        except durationpy.DurationError:
            self.fail(f"{value!r} is no duration: write it as 72h or 3d", param, ctx)
        if not timedelta(seconds=1) <= found <= GREATEST_LOOK_BACK:
            self.fail("it must be at least 1s, and at most 30d: Stripe lists no older events", param, ctx)
        return found


@click.command()
@click.option("--since", type=_LookBack(), default="72h", show_default=True, help="How far back; at most 30d.")
@click.option("--all", "every", is_flag=True, help="Every event, also those that Stripe says it delivered.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and write nothing.")
def command(*, since: timedelta, every: bool, dry_run: bool) -> None:
    """Bring in the events that Stripe could not deliver, oldest first."""
    settings, events = load_settings(RecoverSettings, os.environ), load_settings(EventSettings, os.environ)
    mistake = mode_mistake(settings, events)
    if mistake is not None:
        raise SettingsError(mistake)
    configure_logs(settings.log_level, settings.log_format)
    wish = Wish(look_back=since, undelivered=not every, dry_run=dry_run)
    tally = uvloop.run(_run_until_told(settings, filters_of(events), wish))
    if tally is None:
        click.echo("Another recovery is under way: nothing to do for this one.")
        return
    click.echo(f"{'Dry run, nothing is written: ' if dry_run else ''}{tally}")
    if tally.failed:
        raise click.ClickException(
            f"{tally.failed} events could not be recorded: the log says why; the next run tries them again"
        )


async def _run_until_told(settings: RecoverSettings, filters: Filters, wish: Wish) -> Tally | None:
    work = asyncio.ensure_future(recover(settings, filters, wish))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise StoppedError(f"told to stop: {GOES_ON}") from None


async def recover(
    settings: RecoverSettings,
    filters: Filters,
    wish: Wish,
    terms: Terms = Terms(),  # noqa: B008 - frozen
) -> Tally | None:
    """Run a recovery once.

    Args:
        settings: what it is told.
        filters: which events count.
        wish: what it is asked to do.
        terms: how long the Lease holds, and how it is kept.

    Returns:
        What it found; None when another one is under way.

    Raises:
        SettingsError: Stripe refuses the API key, there is no Kubernetes API to talk to, or the
            CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what it must do.
        UnavailableError: Stripe or the API server is away for longer than patience lasts.
    """
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=4))
        rules = rules_of(settings, dry_run=wish.dry_run)
        await check_access(api, settings.namespace, rules, patience=_KUBERNETES_TIMEOUT)
        connected = await stack.enter_async_context(stripe_client(settings))
        requests = KubernetesApi(api, settings.namespace, timeout=_KUBERNETES_TIMEOUT)
        lines = ConfigMapApi(api, settings.namespace, settings.recovery_name, timeout=_KUBERNETES_TIMEOUT)
        run = RecoveryRun(settings, filters, wish, connected, requests, lines)
        if wish.dry_run:
            return await run.through()
        leases = LeaseApi(api, settings.namespace, settings.recovery_name, timeout=_KUBERNETES_TIMEOUT)
        identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        leadership = Leadership(leases, identity, terms=terms, clock=lambda: datetime.now(UTC))
        if not await _acquired(leadership, terms):
            return None
        return await _while_leading(leadership, run.through())


async def _acquired(leadership: Leadership, terms: Terms) -> bool:
    """Take the Lease; tell whether that is done, or another recovery has it."""
    try:
        async with asyncio.timeout(2 * terms.duration.total_seconds()):
            return await leadership.acquire_unless_kept()
    except TimeoutError:
        raise UnavailableError("the Lease of recoveries can be neither taken nor read: the log says why") from None


async def _while_leading(leadership: Leadership, work: Coroutine[Any, Any, Tally]) -> Tally:
    """Do some work while the Lease is kept; end it when that fails."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with leadership.kept(_failing(lost)):
        task = asyncio.create_task(work)
        try:
            first: set[asyncio.Future[Any]] = {task, lost}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            await asyncio.wait({task})
    if lost.done():
        lost.result()
    return task.result()


def _failing(lost: asyncio.Future[None]) -> Callable[[UnavailableError], None]:
    def fail(error: UnavailableError) -> None:
        if not lost.done():
            lost.set_exception(error)

    return fail


def rules_of(settings: RecoverSettings, *, dry_run: bool = False) -> tuple[Rule, ...]:
    """Tell what RBAC must allow a recovery."""
    name = settings.recovery_name
    reading = (Rule("get", PLURAL), Rule("list", PLURAL), Rule("get", "configmaps", name))
    if dry_run:
        return reading
    return (
        *reading,
        Rule("create", PLURAL),
        Rule("patch", PLURAL),
        Rule("create", "configmaps"),
        Rule("patch", "configmaps", name),
        Rule("create", "leases"),
        Rule("get", "leases", name),
        Rule("update", "leases", name),
    )
