"""`fulfillment route`: which backend an order would go to, and why; nothing is done with it."""

import asyncio
import os
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, field

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.routes import Choice, OrderFacts, Routing
from fulfillment_operator.settings import RoutingSettings
from fulfillment_runtime.exits import SettingsError
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_connection import connect
from fulfillment_runtime.kubernetes_errors import KubernetesError
from fulfillment_runtime.settings import load_settings

_TIMEOUT = 10.0  # seconds, of one request to the API server


@click.command()
@click.argument("name", required=False)
@click.option(
    "--session",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Checkout Session as Stripe writes it, in JSON, with its line items expanded.",
)
def command(name: str | None, file: Path | None) -> None:
    """Say which backend an order would go to, by FULFILLMENT_ROUTES and FULFILLMENT_BACKEND, and why.

    NAME is a FulfillmentRequest in the cluster.
    """
    settings = load_settings(RoutingSettings, os.environ)
    try:
        routing = settings.routing
    except ValueError as error:
        raise SettingsError(str(error)) from error
    match name, file:
        case str(), None:
            request = asyncio.run(_read(settings, name))
            unknown = what_is_unknown(request, routing)
            if unknown is not None:
                raise click.ClickException(f"{unknown}: give its Session, as Stripe has it, by --session")
            facts = facts_of_request(request)
        case None, Path():
            facts = facts_of_json(file.read_bytes())
        case _:
            raise click.UsageError("give the NAME of a request, or a file by --session")
    choice = routing.choose(facts)
    click.echo(told(choice), nl=False)
    if choice.backend is None:
        raise click.ClickException(choice.why)


def told(choice: Choice) -> str:
    """Write what was tried, and what came of it."""
    lines = [f"{each.label}: {'yes' if each.miss is None else f'no: {each.miss}'}" for each in choice.tried]
    if choice.backend is not None:
        lines.append(f"{choice.backend}: {choice.why}")
    return "".join(f"{line}\n" for line in lines)


def facts_of_json(body: bytes) -> OrderFacts:
    """Read the facts of a Checkout Session as Stripe writes it.

    Raises:
        ClickException: it is none.
    """
    try:
        session = msgspec.json.decode(body, type=_Session)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(
            f"the file is no Checkout Session ({error}): stripe checkout sessions retrieve ID --expand line_items"
        ) from error
    link = session.payment_link
    return OrderFacts(
        livemode=session.livemode,
        mode=session.mode,
        payment_link=link.get("id") if isinstance(link, dict) else link,
        metadata=session.metadata or {},
        prices=frozenset(item.price.id for item in session.line_items.data if item.price),
    )


def facts_of_request(request: FulfillmentRequest) -> OrderFacts:
    """Tell the facts that the cluster has: the prices only once the operator has looked at the order."""
    session, status = request.spec.session, request.status
    items = status.order.line_items if status and status.order else []
    return OrderFacts(
        livemode=session.livemode,
        mode=session.mode,
        payment_link=session.payment_link,
        metadata=session.metadata,
        prices=frozenset(item.price for item in items if item.price),
    )


def what_is_unknown(request: FulfillmentRequest, routing: Routing) -> str | None:
    """Tell why the cluster does not know by what the operator will choose, which asks Stripe; None: it does."""
    if request.spec.session.mode is None:
        return "a thin event made this request, which tells nothing of the order"
    seen = request.status is not None and request.status.order is not None
    if not seen and any(route.when.price for route in routing.routes):
        return "the operator has not looked at this order yet, so its prices are not known"
    return None


async def _read(settings: RoutingSettings, name: str) -> FulfillmentRequest:
    try:
        async with connect(settings.kubeconfig, connections=1) as api:
            return await KubernetesApi(api, settings.namespace, timeout=_TIMEOUT).get(name)
    except KubernetesError as error:
        raise click.ClickException(str(error)) from error


class _Price(Struct):
    id: str


class _LineItem(Struct):
    price: _Price | None = None


class _LineItems(Struct):
    data: list[_LineItem] = []


class _Session(Struct):
    """The part of Stripe's Checkout Session that routes go by."""

    livemode: bool
    mode: str
    payment_link: Any = None
    metadata: dict[str, str] | None = None
    line_items: _LineItems = field(default_factory=_LineItems)
