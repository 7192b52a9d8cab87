"""The commands that read: list, show, open."""

import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from msgspec import Raw

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_cli.cluster import ERRORS_OF_ONE, ConfigFlags, cluster_at_hand, for_each
from fulfillment_cli.completions import reasons, request_names
from fulfillment_cli.dashboard import dashboard_url
from fulfillment_cli.options import cluster_options, run
from fulfillment_cli.output import request_page, requests_table
from fulfillment_cli.timeline import Entry, timeline
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.errors import ForbiddenError
from fulfillment_runtime.kubernetes.events import PostedEvent

_account = click.option("--account", help="The connected account (acct_…) of a Session that is named by its id.")


@click.command("list")
@cluster_options
@click.option("--phase", type=click.Choice([each.value for each in Phase]), help="Only those in this phase.")
@click.option("--reason", shell_complete=reasons, help="Only those for this reason, such as FulfillmentFailed.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "name", "json"]),
    default="table",
    show_default=True,
    help="What is printed.",
)
def list_command(flags: ConfigFlags, phase: str | None, reason: str | None, output: str) -> None:
    """List the orders of a namespace.

    With -o name, for another command: kubectl fulfillment list -o name | xargs kubectl fulfillment show
    """
    found, namespace = run(_list(flags, Phase(phase) if phase else None, reason))
    requests = [request for request, _ in found]
    match output:
        case "json":
            _print_json(_List([_without_managed_fields(content) for _, content in found]))
        case "name":
            for each in requests:
                click.echo(f"{names.SINGULAR}.{names.GROUP}/{each.metadata.name}")
        case _ if not requests:
            click.echo(f"No resources found in {namespace} namespace.", err=True)
        case _:
            click.echo(requests_table(requests, utc_now(), wide=output == "wide"))


async def _list(
    flags: ConfigFlags, phase: Phase | None, reason: str | None
) -> tuple[list[tuple[FulfillmentRequest, Raw]], str]:
    async with cluster_at_hand(flags) as cluster:
        found = [
            (request, content)
            async for request, content in cluster.list(phase)
            if reason in {None, request.status and request.status.reason}
        ]
        return found, cluster.namespace


class _List(msgspec.Struct, frozen=True, rename="camel"):
    """Requests as the API server has them, in the list that kubectl prints, too."""

    items: list[dict[str, Any]]
    api_version: str = "v1"
    kind: str = "List"


def _without_managed_fields(content: Raw) -> dict[str, Any]:
    """Leave out which program wrote which field, as kubectl does."""
    request: dict[str, Any] = msgspec.json.decode(content)
    request["metadata"].pop("managedFields", None)
    return request


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


@click.command()
@cluster_options
@_account
@click.option(
    "-o", "--output", type=click.Choice(["page", "json"]), default="page", show_default=True, help="What is printed."
)
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def show(flags: ConfigFlags, account: str | None, output: str, name: tuple[str, ...]) -> None:
    """Show an order, and what happened to it.

    That is payment, conditions, Events, attempts, and what a person asked for. NAME is the order's name, or the id of
    its Checkout Session.
    """
    found = run(_show(flags, name, account))
    pages = [each for each in found if isinstance(each, _Page)]
    if output == "json":
        for page in pages:
            _print_json(page.shown)
    elif pages:
        click.echo("\n\n".join(request_page(page.shown.request, page.shown.timeline, utc_now()) for page in pages))
    for event_error in dict.fromkeys(page.event_error for page in pages if page.event_error):
        click.echo(f"without Events: {event_error}", err=True)
    lost = [each for each in found if isinstance(each, Exception)]
    for error in lost:
        click.echo(f"Error: {error}", err=True)
    if lost:
        click.get_current_context().exit(1)


def _print_json(content: msgspec.Struct) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


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


@click.command("open")
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
