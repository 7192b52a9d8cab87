"""`kubectl fulfillment wait`: ends when the orders have ended, and its exit code says how."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from enum import IntEnum

import click
import durationpy

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_cli.actions import Verb, is_handled
from fulfillment_cli.cluster import ERRORS_OF_ONE, Cluster, ConfigFlags, cluster_at_hand, for_each, resolve_name
from fulfillment_cli.completions import request_names
from fulfillment_cli.follow import follow
from fulfillment_cli.options import cluster_options, examples, run
from fulfillment_cli.state import state_of


class ExitCode(IntEnum):
    """What the exit code says: of several orders, the worst. The order is that of severity."""

    FULFILLED = 0
    TIMED_OUT = 4
    FAILED = 3
    ERROR = 1
    """One cannot be read, is not there, or was deleted."""


class _Duration(click.ParamType[timedelta]):
    """A duration as kubectl writes it: 90s, 5m, 1h30m."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse it; kubectl's 0, which looks once, and its negative ones, which wait for a week, are as there."""
        try:
            span = value if isinstance(value, timedelta) else durationpy.from_str(str(value))
        except durationpy.DurationError:
            self.fail(f"{value!r} is no duration such as 90s, 5m or 1h30m", param, ctx)
        return span if span >= timedelta(0) else timedelta(weeks=1)


@click.command(
    epilog=examples("wait cs-62gpjcrwbey5qwag35mml6um5u", "wait cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ --timeout=10m")
)
@cluster_options
@click.option("--account", help="The connected account (acct_…) of a Session that is named by its id.")
@click.option(
    "--timeout",
    type=_Duration(),
    default="30s",
    show_default=True,
    help="How long to wait, such as 90s, 5m or 1h30m; 0 looks once, and a negative one waits for a week.",
)
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def wait(flags: ConfigFlags, account: str | None, timeout: timedelta, name: tuple[str, ...]) -> None:
    """Wait until orders are fulfilled or failed, and print one line for each.

    The exit code is 0 when all are fulfilled, 3 when one failed, 4 when one was neither in time, and 1 when one cannot
    be read. Of several, an error goes before a failure, and that before a time-out.
    """
    # Each order once, however often, and however, it is named.
    arguments = [*{resolve_name(each, account): each for each in name}.values()]
    code = run(_wait(flags, arguments, account, timeout))
    click.get_current_context().exit(code)


async def _wait(flags: ConfigFlags, names: Sequence[str], account: str | None, timeout: timedelta) -> ExitCode:
    deadline = asyncio.get_running_loop().time() + timeout.total_seconds()

    async def one(name: str) -> ExitCode:
        request, has_ended = await _until_ended(cluster, name, account, deadline)
        code = _exit_code(request) if has_ended else ExitCode.TIMED_OUT
        message = f": {request.status.message}" if request.status else ""
        state = f"{state_of(request)}{message}"
        click.echo(f"{request.metadata.name} {state if has_ended else f'timed out: {state}'}")
        return code

    # A watch each, all at the same time.
    async with cluster_at_hand(flags, connections=len(names)) as cluster:
        outcomes = await for_each(names, one, *ERRORS_OF_ONE, at_once=len(names))
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, Exception):
            text = str(outcome)
            click.echo(text if name in text else f"{name}: {text}", err=True)
    codes = {each if isinstance(each, ExitCode) else ExitCode.ERROR for each in outcomes}
    return [each for each in ExitCode if each in codes][-1]


async def _until_ended(
    cluster: Cluster, name: str, account: str | None, deadline: float
) -> tuple[FulfillmentRequest, bool]:
    """Return the order once it has ended, or as it is at the deadline, and which of both it is."""
    request = await cluster.find(name, account)
    if has_ended(request):
        return request, True
    async with aclosing(follow(cluster.requests, request.metadata.name, deadline)) as states:
        async for request in states:
            if has_ended(request):
                return request, True
    return request, False


def has_ended(request: FulfillmentRequest) -> bool:
    """Tell whether an order has ended: fulfilled for good, or failed with nothing left that could change it.

    A failed one whose spec changed since, as when it was paid after all, or that a person asks to retry or completes,
    goes on.
    """
    status = request.status
    if status is None:
        return False
    if status.phase is Phase.FULFILLED:
        return True
    return status.phase is Phase.FAILED and not request.has_unobserved_spec and not _goes_on(request)


def _goes_on(request: FulfillmentRequest) -> bool:
    """Tell whether a person asks for what takes an order out of its failure, and the operator has not handled it."""
    annotations = request.annotations
    asked = ((Verb.RETRY, names.RETRY, annotations.retry), (Verb.COMPLETE, names.COMPLETE, annotations.complete))
    return any(value and not is_handled(verb, {name: value}, request) for verb, name, value in asked)


def _exit_code(request: FulfillmentRequest) -> ExitCode:
    fulfilled = request.status is not None and request.status.phase is Phase.FULFILLED
    return ExitCode.FULFILLED if fulfilled else ExitCode.FAILED
