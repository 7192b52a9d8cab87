"""The command `fulfillment recover`."""

import os
import sys
from datetime import timedelta
from typing import Any

import click
import durationpy

from fulfillment_runtime.commands.at_hand import at_hand
from fulfillment_runtime.examples import examples
from fulfillment_runtime.process import Workload, run_process
from fulfillment_runtime.progress import progress
from fulfillment_service.recovery.time_window import GREATEST_LOOK_BACK
from fulfillment_service.settings import RecoverSettings, load_with_events


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


@click.command(
    cls=Workload,
    epilog=examples("fulfillment recover --dry-run", "fulfillment recover", "fulfillment recover --all --since 12h"),
)
@click.option("--since", type=_LookBack(), default="72h", show_default=True, help="How far back; at most 30d.")
@click.option("--all", "every", is_flag=True, help="Every event, also those that Stripe says it delivered.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and write nothing.")
def command(*, since: timedelta, every: bool, dry_run: bool) -> None:
    """Bring in the events that Stripe could not deliver, oldest first."""
    loaded, events = load_with_events(RecoverSettings, os.environ)
    settings = at_hand(loaded, os.environ)
    from fulfillment_service.recovery.main import run_until_stopped  # noqa: PLC0415 - loads every client library
    from fulfillment_service.recovery.run import RecoveryOptions  # noqa: PLC0415 - likewise

    with progress("events") as advance:
        options = RecoveryOptions(look_back=since, undelivered=not every, dry_run=dry_run, handled=advance)
        work = run_until_stopped(settings, events.rules, options)
        summary = run_process(settings, work, terminal=sys.stderr if sys.stderr.isatty() else None)
    if summary is None:
        click.echo("Another recovery is under way: nothing to do for this one.")
        return
    click.echo(f"{'Dry run, nothing is written: ' if dry_run else ''}{summary}")
    if summary.failed:
        raise click.ClickException(
            f"{summary.failed} events could not be recorded: the log says why; the next run tries them again"
        )
