"""The commands that read one order: show, open."""

import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
import msgspec

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_cli.cluster import ERRORS_OF_ONE, ConfigFlags, cluster_at_hand, for_each
from fulfillment_cli.completions import request_names
from fulfillment_cli.dashboard import dashboard_url
from fulfillment_cli.options import cluster_options, examples, run
from fulfillment_cli.output import request_page
from fulfillment_cli.printers import print_json, print_yaml
from fulfillment_cli.terminal import coloured, terminal_width
from fulfillment_cli.timeline import Entry, timeline
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.errors import ForbiddenError
from fulfillment_runtime.kubernetes.events import PostedEvent

_account = click.option("--account", help="The connected account (acct_…) of a Session that is named by its id.")


class _Shown(msgspec.Struct, frozen=True):
    """What is shown of one order, as JSON."""

    request: FulfillmentRequest
    timeline: list[Entry]


@dataclass(frozen=True, slots=True)
class _Page:
    """One order."""

    shown: _Shown
    event_error: str | None
    """Why its Events are not in its timeline."""


@click.command(epilog=examples("show cs-62gpjcrwbey5qwag35mml6um5u", "show cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ -o yaml"))
@cluster_options
@_account
@click.option(
    "-o",
    "--output",
    type=click.Choice(["page", "json", "yaml"]),
    default="page",
    show_default=True,
    help="What is printed.",
)
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def show(flags: ConfigFlags, account: str | None, output: str, name: tuple[str, ...]) -> None:
    """Show an order, and what happened to it.

    That is payment, conditions, Events, attempts, and what a person asked for. NAME is the order's name, or the id of
    its Checkout Session.
    """
    found = run(_show(flags, name, account))
    pages = [each for each in found if isinstance(each, _Page)]
    match output:
        case "json":
            for page in pages:
                print_json(page.shown)
        case "yaml":
            print_yaml([page.shown for page in pages])
        case _ if pages:
            width, now = terminal_width(), utc_now()
            shown = (
                request_page(page.shown.request, page.shown.timeline, now, width=width, paint=coloured)
                for page in pages
            )
            click.echo("\n\n".join(shown))
    for event_error in dict.fromkeys(page.event_error for page in pages if page.event_error):
        click.echo(f"without Events: {event_error}", err=True)
    lost = [each for each in found if isinstance(each, Exception)]
    for error in lost:
        click.echo(f"Error: {error}", err=True)
    if lost:
        click.get_current_context().exit(1)


async def _show(flags: ConfigFlags, names: Sequence[str], account: str | None) -> list[_Page | Exception]:
    async with cluster_at_hand(flags) as cluster:
        found = await for_each(names, lambda name: cluster.find(name, account), *ERRORS_OF_ONE)
        requests = [each for each in found if isinstance(each, FulfillmentRequest)]
        event_error, events = None, dict[str, list[PostedEvent]]()
        if requests:
            try:
                events = await cluster.requests.list_events(requests)
            except ForbiddenError as error:
                event_error = str(error)
    return [each if isinstance(each, Exception) else _page(each, events, event_error) for each in found]


def _page(request: FulfillmentRequest, events: Mapping[str, list[PostedEvent]], event_error: str | None) -> _Page:
    return _Page(_Shown(request, timeline(request, events.get(request.metadata.uid, []))), event_error)


@click.command(
    "open",
    epilog=examples("open cs-62gpjcrwbey5qwag35mml6um5u", "open cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ --print"),
)
@cluster_options
@_account
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.argument("name", shell_complete=request_names)
def open_command(flags: ConfigFlags, account: str | None, name: str, *, only_print: bool) -> None:
    """Open the order's payment in the Stripe Dashboard."""

    async def find() -> FulfillmentRequest:
        async with cluster_at_hand(flags) as cluster:
            return await cluster.find(name, account)

    url = dashboard_url(run(find()))
    click.echo(url)
    if not only_print and not webbrowser.open(url):
        raise click.ClickException("there is no browser here: open the address above")
