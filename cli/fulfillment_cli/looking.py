"""The commands that look: list, show, open."""

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from msgspec import Raw

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_cli.candidates import reasons, request_names
from fulfillment_cli.cluster import OF_ONE, PATIENCE, Cluster, Where, cluster_at_hand, of_each
from fulfillment_cli.dashboard import dashboard_url
from fulfillment_cli.options import cluster_options, now, run
from fulfillment_cli.tables import request_page, requests_table
from fulfillment_cli.timeline import Entry, timeline
from fulfillment_runtime.kubernetes_errors import ApiDeniedError
from fulfillment_runtime.kubernetes_events import events_about

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
def list_command(where: Where, phase: str | None, reason: str | None, output: str) -> None:
    """List the orders of a namespace.

    With -o name, for another command: kubectl fulfillment list -o name | xargs kubectl fulfillment show
    """
    found, namespace = run(_list(where, Phase(phase) if phase else None, reason))
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
            click.echo(requests_table(requests, now(), wide=output == "wide"))


async def _list(
    where: Where, phase: Phase | None, reason: str | None
) -> tuple[list[tuple[FulfillmentRequest, Raw]], str]:
    async with cluster_at_hand(where) as cluster:
        found = [
            (request, content)
            async for request, content in cluster.listed(phase)
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
    untold: str | None
    """Why its Events are not in its timeline."""


@click.command()
@cluster_options
@_account
@click.option(
    "-o", "--output", type=click.Choice(["page", "json"]), default="page", show_default=True, help="What is printed."
)
@click.argument("name", nargs=-1, required=True, shell_complete=request_names)
def show(where: Where, account: str | None, output: str, name: tuple[str, ...]) -> None:
    """Show an order, and what happened to it.

    That is payment, conditions, Events, attempts, and what a person asked for. NAME is the order's name, or the id of
    its Checkout Session.
    """
    found = run(_show(where, name, account))
    pages = [each for each in found if isinstance(each, _Page)]
    if output == "json":
        for page in pages:
            _print_json(page.shown)
    elif pages:
        click.echo("\n\n".join(request_page(page.shown.request, page.shown.timeline, now()) for page in pages))
    for untold in dict.fromkeys(page.untold for page in pages if page.untold):
        click.echo(f"without Events: {untold}", err=True)
    lost = [each for each in found if isinstance(each, Exception)]
    for error in lost:
        click.echo(f"Error: {error}", err=True)
    if lost:
        click.get_current_context().exit(1)


def _print_json(content: msgspec.Struct) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


async def _show(where: Where, names: Sequence[str], account: str | None) -> list[_Page | Exception]:
    async with cluster_at_hand(where) as cluster:
        return await of_each(names, lambda said: _page(cluster, said, account), *OF_ONE)


async def _page(cluster: Cluster, said: str, account: str | None) -> _Page:
    request = await cluster.find(said, account)
    try:
        events = await events_about(cluster.api, request, patience=PATIENCE)
    except ApiDeniedError as error:
        return _Page(_Shown(request, timeline(request, [])), str(error))
    return _Page(_Shown(request, timeline(request, events)), None)


@click.command("open")
@cluster_options
@_account
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.argument("name", shell_complete=request_names)
def open_command(where: Where, account: str | None, name: str, *, only_print: bool) -> None:
    """Open the order's payment in the Stripe Dashboard."""

    async def find() -> FulfillmentRequest:
        async with cluster_at_hand(where) as cluster:
            return await cluster.find(name, account)

    url = dashboard_url(run(find()))
    click.echo(url)
    if not only_print and not webbrowser.open(url):
        raise click.ClickException("there is no browser here: open the address above")
