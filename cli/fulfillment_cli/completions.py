"""What a request's name and a reason may be completed with, as the cluster has them."""

import asyncio

import click
from click.shell_completion import CompletionItem

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_cli.actions import Verb, failed_precondition
from fulfillment_cli.cluster import ConfigFlags, cluster_at_hand
from fulfillment_cli.options import COMPLETION_TIMEOUT, config_flags, run
from fulfillment_cli.state import state_of


def request_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a request's name: of those that allow the command, and that the line does not hold yet."""
    named = context.params.get(parameter.name or "") or ()
    return [
        CompletionItem(request.metadata.name, help=state_of(request))
        for request in _candidates(context)
        if request.metadata.name.startswith(incomplete) and request.metadata.name not in named
    ]


def reasons(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a reason: of those of the requests that allow the command."""
    found = {request.status.reason for request in _candidates(context) if request.status}
    return [CompletionItem(reason) for reason in sorted(found) if reason.startswith(incomplete)]


def _candidates(context: click.Context) -> list[FulfillmentRequest]:
    verb = Verb(context.info_name) if context.info_name in set(Verb) else None
    requests = run(_listed(config_flags(context), unfinished=verb is not None))
    return [each for each in requests if verb is None or failed_precondition(verb, each) is None]


async def _listed(flags: ConfigFlags, *, unfinished: bool) -> list[FulfillmentRequest]:
    """List the requests; of very many, those that the API server tells of in time."""
    found = []
    async with cluster_at_hand(flags) as cluster:
        try:
            async with asyncio.timeout(COMPLETION_TIMEOUT):
                async for listed in cluster.list(None, unfinished=unfinished):
                    if listed.request is not None:
                        found.append(listed.request)  # noqa: PERF401 - what came in time is kept
        except TimeoutError:
            pass
    return found
