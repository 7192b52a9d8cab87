"""`kubectl fulfillment list`: the orders as they are, or as they change."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
import msgspec
from msgspec import Raw

from fulfillment_api import names
from fulfillment_api.resource import FulfillmentRequest, ObjectMeta
from fulfillment_api.status import Phase
from fulfillment_cli.cluster import Cluster, ConfigFlags, cluster_at_hand
from fulfillment_cli.completions import reasons
from fulfillment_cli.follow import BETWEEN_WATCHES, LONGEST_WATCH
from fulfillment_cli.options import cluster_options, examples, run
from fulfillment_cli.output import requests_table, undecodable_line
from fulfillment_cli.printers import print_json, print_yaml
from fulfillment_cli.terminal import coloured, terminal_width
from fulfillment_runtime.clock import utc_now
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError
from fulfillment_runtime.kubernetes.list_watch import ListedRequest, WatchEventType

_ALIGNED_WITH = 50
"""So many of those that were shown last."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """How orders are shown."""

    output: str
    """table, wide, name, json or yaml."""
    all_namespaces: bool

    def rows(
        self, requests: Sequence[FulfillmentRequest], now: datetime, beside: Sequence[FulfillmentRequest] | None = None
    ) -> str:
        """Show them as a table's rows, or by their names alone; below others, with which they are aligned."""
        if self.output == "name":
            return _names(each.metadata for each in requests)
        return requests_table(
            requests,
            now,
            wide=self.output == "wide",
            namespaces=self.all_namespaces,
            width=terminal_width(),
            paint=coloured,
            head=beside is None,
            beside=beside or (),
        )


@click.command(
    "list",
    epilog=examples(
        "list --phase failed",
        "list -A --reason FulfillmentFailed",
        "list --field-selector spec.session.id=cs_test_a1QUnr9y5xaxRy8mxvq7OJyjJ",
        "list --watch",
        "list -o name | xargs kubectl fulfillment show",
    ),
)
@cluster_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Those of every namespace.")
@click.option("--phase", type=click.Choice([each.value for each in Phase]), help="Only those in this phase.")
@click.option("--reason", shell_complete=reasons, help="Only those for this reason, such as FulfillmentFailed.")
@click.option(
    "--field-selector",
    metavar="SELECTOR",
    help="Only those, as the API server selects, such as spec.session.id=cs_… or spec.payment.status=paid.",
)
@click.option("-w", "--watch", is_flag=True, help="Go on, and show each that changes; not with json and yaml.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "name", "json", "yaml"]),
    default="table",
    show_default=True,
    help="What is printed.",
)
def list_command(  # noqa: PLR0913 - click's options
    flags: ConfigFlags,
    phase: str | None,
    reason: str | None,
    field_selector: str | None,
    output: str,
    *,
    all_namespaces: bool,
    watch: bool,
) -> None:
    """List the orders of a namespace, the oldest first.

    On a narrow terminal columns are left out; -o wide has them all.
    """
    if watch and output in {"json", "yaml"}:
        raise click.UsageError("--watch goes with -o table, wide and name: kubectl get fr --watch -o json has the rest")
    by_phase = f"status.phase={phase}" if phase else None
    by_reason = f"status.reason={reason}" if reason else None
    selector = ",".join(filter(None, [by_phase, by_reason, field_selector])) or None
    try:
        run(_list(flags, selector, _Shown(output, all_namespaces), watch=watch))
    except KeyboardInterrupt:  # that is how a watch ends
        click.get_current_context().exit(130)


async def _list(flags: ConfigFlags, selector: str | None, shown: _Shown, *, watch: bool) -> None:
    async with cluster_at_hand(flags, all_namespaces=shown.all_namespaces) as cluster:
        found = [each async for each in cluster.list(None, field_selector=selector)]
        found.sort(key=lambda each: (each.metadata.creation_timestamp, each.metadata.name))
        requests = [each.request for each in found if each.request is not None]
        match shown.output:
            case "json":
                print_json(_list_of(found))
            case "yaml":
                print_yaml([_list_of(found)])
            case "name" if found:
                click.echo(_names(each.metadata for each in found))
            case "name":
                pass
            case _:
                _print_table(found, requests, shown, cluster.namespace)
        if watch:
            await _watch(cluster, selector, shown, requests)


def _print_table(
    found: Sequence[ListedRequest], requests: Sequence[FulfillmentRequest], shown: _Shown, namespace: str
) -> None:
    if requests:
        click.echo(shown.rows(requests, utc_now()))
    if undecodable := [each.metadata for each in found if each.request is None]:
        click.echo(undecodable_line(undecodable), err=True)
    if not found:
        where = "" if shown.all_namespaces else f" in {namespace} namespace"
        click.echo(f"No resources found{where}.", err=True)


async def _watch(cluster: Cluster, selector: str | None, shown: _Shown, requests: Sequence[FulfillmentRequest]) -> None:
    """Show each request that changes, for ever.

    Args:
        cluster: where.
        selector: of which.
        shown: how.
        requests: what was shown already.
    """
    known = {each.metadata.uid: each.metadata.resource_version for each in requests}
    recent = deque(requests, maxlen=_ALIGNED_WITH)
    while True:
        try:
            async for kind, listed in cluster.requests.watch_all(selector, timeout=LONGEST_WATCH):
                request = listed.request
                if request is None or known.get(request.metadata.uid) == request.metadata.resource_version:
                    continue
                if kind is WatchEventType.DELETED:
                    known.pop(request.metadata.uid, None)
                    continue
                known[request.metadata.uid] = request.metadata.resource_version
                click.echo(shown.rows([request], utc_now(), [*recent] or None))
                recent.append(request)
        except ApiUnavailableError:
            await asyncio.sleep(BETWEEN_WATCHES)


class _List(msgspec.Struct, frozen=True, rename="camel"):
    """Requests as the API server has them, in the list that kubectl prints, too."""

    items: list[dict[str, Any]]
    api_version: str = "v1"
    kind: str = "List"


def _names(found: Iterable[ObjectMeta]) -> str:
    return "\n".join(f"{names.SINGULAR}.{names.GROUP}/{each.name}" for each in found)


def _list_of(found: Sequence[ListedRequest]) -> _List:
    return _List([_without_managed_fields(each.raw) for each in found])


def _without_managed_fields(content: Raw) -> dict[str, Any]:
    """Leave out which program wrote which field, as kubectl does."""
    request: dict[str, Any] = msgspec.json.decode(content)
    request["metadata"].pop("managedFields", None)
    return request
