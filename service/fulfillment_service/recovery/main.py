"""The recovery's process: wires a recovery, and runs it once."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.fatal_errors import StoppedError, UnavailableError
from fulfillment_runtime.kubernetes.access import check_access, check_clock
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.connection import connect
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.leader_election import LeaderElectionConfig, LeaderElector, unique_identity
from fulfillment_runtime.kubernetes.leases import LeaseApi
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.process import fail, on_stop_signal
from fulfillment_runtime.stripe.client import stripe_client, stripe_reader
from fulfillment_service.events.rules import EventRules
from fulfillment_service.rbac import recovery_rules
from fulfillment_service.recovery.backfill import Summary
from fulfillment_service.recovery.run import RESUMES, RecoveryOptions, RecoveryRun
from fulfillment_service.request_store import RequestStore
from fulfillment_service.settings import RecoverSettings

_KUBERNETES_TIMEOUT = 5.0


async def run_until_stopped(settings: RecoverSettings, rules: EventRules, options: RecoveryOptions) -> Summary | None:
    """Run a recovery once, unless it is told to stop.

    Raises:
        StoppedError: it was told to.
        ClickException: it cannot go on, as `recover` says.
    """
    work = asyncio.ensure_future(recover(settings, rules, options))
    on_stop_signal(work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise StoppedError(f"told to stop: {RESUMES}") from None


async def recover(
    settings: RecoverSettings,
    rules: EventRules,
    options: RecoveryOptions,
    election: LeaderElectionConfig = LeaderElectionConfig(),  # noqa: B008 - frozen
    clock: Callable[[], datetime] = utc_now,
) -> Summary | None:
    """Run a recovery once.

    Args:
        settings: its settings.
        rules: which events count, and what is stored of them.
        options: what it does.
        election: how long the Lease holds, and how it is renewed.
        clock: tells the time, with its zone, by which orders are dated.

    Returns:
        What it found; None when another one is under way.

    Raises:
        SettingsError: Stripe denies the API key, there is no Kubernetes API to talk to, or the
            CustomResourceDefinition is missing.
        AccessDeniedError: RBAC forbids what it must do.
        UnavailableError: Stripe or the API server is away for longer than the timeout, or the clock is slow.
    """
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.kubeconfig, connections=4))
        rights = recovery_rules(settings, dry_run=options.dry_run)
        await check_access(api, settings.namespace, rights, timeout=_KUBERNETES_TIMEOUT)
        await check_clock(api, clock, timeout=_KUBERNETES_TIMEOUT)
        connected = await stack.enter_async_context(stripe_client(settings))
        requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=_KUBERNETES_TIMEOUT)
        checkpoint = ConfigMapApi(api, settings.namespace, settings.recovery_name, timeout=_KUBERNETES_TIMEOUT)
        store = RequestStore(requests=requests, semaphore=asyncio.Semaphore(1), random=random.random)
        reader = stripe_reader(connected, settings)
        run = RecoveryRun(settings, rules, options, reader, store, checkpoint, clock)
        if options.dry_run:
            return await run.run()
        leases = LeaseApi(api, settings.namespace, settings.recovery_name, timeout=_KUBERNETES_TIMEOUT)
        elector = LeaderElector(leases, unique_identity(), config=election, clock=lambda: datetime.now(UTC))
        if not await _acquire(elector, election):
            return None
        return await _while_leading(elector, run.run())


async def _acquire(elector: LeaderElector, election: LeaderElectionConfig) -> bool:
    """Acquire the Lease; return False when another recovery holds it."""
    try:
        async with asyncio.timeout(2 * election.lease_duration.total_seconds()):
            return await elector.acquire_unless_held()
    except TimeoutError:
        raise UnavailableError("the Lease of recoveries can be neither taken nor read: the log says why") from None


async def _while_leading(elector: LeaderElector, work: Coroutine[Any, Any, Summary]) -> Summary:
    """Do some work while the Lease is held; end it when that fails."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with elector.held(partial(fail, lost)):
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
