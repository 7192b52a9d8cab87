"""`fulfillment export`: writes FulfillmentRequests as JSON lines, for those who keep books elsewhere."""

import asyncio
import os
import re
import sys
from datetime import UTC, datetime, timedelta

import click
import durationpy

from fulfillment_api.status import Phase
from fulfillment_runtime.commands.at_hand import at_hand
from fulfillment_runtime.examples import examples
from fulfillment_runtime.fatal_errors import UnavailableError
from fulfillment_runtime.settings import WorkloadSettings, load_settings

_DURATION = re.compile(r"[0-9.]+[a-zµ]")


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Read a time, or a duration back from now."""
    if value is None:
        return None
    try:
        if _DURATION.match(value):
            return datetime.now(UTC) - timedelta(seconds=durationpy.from_str(value).total_seconds())
        time = datetime.fromisoformat(value)
    except (ValueError, OverflowError, durationpy.DurationError):
        raise click.BadParameter(
            f"{value!r} is neither a time, such as 2026-11-01, nor a duration, such as 24h", ctx, param
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


@click.command(
    epilog=examples(
        "fulfillment export > orders.jsonl",
        "fulfillment export --phase fulfilled --phase failed --since 24h",
        "fulfillment export --since 2026-11-01 | jq -r '[.metadata.name, .status.phase] | @tsv'",
    )
)
@click.option(
    "--since",
    callback=_time,
    metavar="TIME",
    help="Leave out what has not changed since: RFC 3339, a date (midnight UTC), or a duration such as 24h.",
)
@click.option(
    "--phase",
    "phases",
    type=click.Choice([phase.value for phase in Phase]),
    multiple=True,
    help="Only orders in this phase; may be given several times.",
)
def command(*, since: datetime | None, phases: tuple[str, ...]) -> None:
    """Write orders as JSON lines to standard output.

    They are those of the namespace that FULFILLMENT_NAMESPACE names, or else of kubectl's own; it may list
    fulfillmentrequests. How many there were, it says on standard error.
    """
    settings = at_hand(load_settings(WorkloadSettings, os.environ), os.environ)
    output = sys.stdout.buffer
    wanted = tuple(Phase(phase) for phase in dict.fromkeys(phases)) or (None,)
    from fulfillment_runtime.commands.json_lines import write_json_lines  # noqa: PLC0415 - loads the client library

    try:
        count = asyncio.run(write_json_lines(output, settings, phases=wanted, since=since))
    except BrokenPipeError:  # who reads has enough, as `head`
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # else Python tries what is left again at its end
        raise UnavailableError(f"standard output cannot be written: {error.strerror}; it is not all there") from error
    click.echo(f"{count} {'order' if count == 1 else 'orders'} of the namespace {settings.namespace}", err=True)
