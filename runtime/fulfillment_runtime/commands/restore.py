"""`fulfillment restore`: brings FulfillmentRequests back from a backup, with their status."""

import asyncio
import os
import sys
from collections import Counter
from typing import BinaryIO

import click

from fulfillment_runtime.commands.at_hand import at_hand
from fulfillment_runtime.commands.backup import (
    BackedUpRequest,
    BackupError,
    UndecodableRequest,
    newest_of_each,
    read_backup,
)
from fulfillment_runtime.examples import examples
from fulfillment_runtime.settings import WorkloadSettings, load_settings

_TIMEOUT = 30.0  # seconds, of one request to the API server


@click.command(epilog=examples("fulfillment restore orders.jsonl --dry-run", "fulfillment restore orders.jsonl"))
@click.argument("files", nargs=-1, type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and write nothing.")
def command(*, files: tuple[BinaryIO, ...], dry_run: bool) -> None:
    """Bring orders back with their status, from FILES, or from standard input.

    FILES are what `fulfillment export` or `kubectl get fulfillmentrequests -o json` wrote; of each order the newest
    state in them is taken. An order that is there is left alone. They come to the namespace that FULFILLMENT_NAMESPACE
    names, or else to kubectl's own; it may get, create and patch fulfillmentrequests, and patch
    fulfillmentrequests/status. The exit code is 1 when one was rejected.
    """
    settings = at_hand(load_settings(WorkloadSettings, os.environ), os.environ)
    backup = [each for file in files or (sys.stdin.buffer,) for each in _read(file)]
    namespaces = sorted({each.metadata.namespace for each in backup})
    if len(namespaces) > 1:
        raise click.ClickException(
            f"the orders are of several namespaces: {', '.join(namespaces)}; restore one at once"
        )
    try:
        newest = newest_of_each(backup)
    except BackupError as error:
        raise click.ClickException(str(error)) from error
    if repeated := len(backup) - len(newest):
        what = "1 repeated line is" if repeated == 1 else f"{repeated} repeated lines are"
        click.echo(f"{what} left out: of each order the newest state is taken", err=True)
    if asyncio.run(_restore(settings, newest, dry_run=dry_run)):
        click.get_current_context().exit(1)


def _read(file: BinaryIO) -> list[BackedUpRequest | UndecodableRequest]:
    try:
        return read_backup(file.read())
    except BackupError as error:
        raise click.ClickException(f"{file.name}: {error}") from error


async def _restore(
    settings: WorkloadSettings, backup: list[BackedUpRequest | UndecodableRequest], *, dry_run: bool
) -> int:
    """Restore them, print what became of them, and return how many were rejected."""
    from fulfillment_runtime.commands.restoring import CONCURRENCY, Outcome, restore  # noqa: PLC0415 - loads the client library
    from fulfillment_runtime.kubernetes.access import fatal_error  # noqa: PLC0415 - likewise
    from fulfillment_runtime.kubernetes.connection import connect  # noqa: PLC0415 - likewise
    from fulfillment_runtime.kubernetes.errors import KubernetesError  # noqa: PLC0415 - likewise
    from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient  # noqa: PLC0415 - likewise
    from fulfillment_runtime.kubernetes.library import LibraryRestClient  # noqa: PLC0415 - likewise

    try:
        async with connect(settings.kubeconfig, connections=CONCURRENCY) as api:
            requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=_TIMEOUT)
            done = await restore(requests, backup, dry_run=dry_run)
    except KubernetesError as error:
        raise fatal_error(error, advice="; run it again: what is restored by then is left alone") from error
    for each in done:
        match each.outcome:
            case Outcome.EXISTS:
                click.echo(f"{each.name} exists: it is left alone", err=True)
            case Outcome.REJECTED:
                click.echo(f"{each.name} is rejected: {each.message}", err=True)
    counts = Counter(each.outcome for each in done)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    click.echo(f"{'Dry run, nothing is written: ' if dry_run else ''}{len(done)} found: {summary}")
    return counts[Outcome.REJECTED]
