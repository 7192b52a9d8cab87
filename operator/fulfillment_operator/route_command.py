"""`fulfillment route`: which backend an order would go to, and why; nothing is done with it."""

import asyncio
import os
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, field

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_operator.backends.routes import OrderFacts, RouteChoice, Routing, facts_of
from fulfillment_operator.settings import RoutingSettings
from fulfillment_runtime.commands.at_hand import at_hand
from fulfillment_runtime.examples import examples
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import load_settings
from fulfillment_runtime.stripe.settings import StripeSettings

_TIMEOUT = 10.0  # seconds, of one request to the API server


@click.command(
    epilog=examples("fulfillment route cs-62gpjcrwbey5qwag35mml6um5u", "fulfillment route --session session.json")
)
@click.argument("name", required=False)
@click.option(
    "--session",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A Checkout Session as Stripe writes it, in JSON, with its line items expanded.",
)
def command(name: str | None, file: Path | None) -> None:
    """Say which backend an order would go to, by FULFILLMENT_ROUTES and FULFILLMENT_BACKEND, and why.

    NAME is a FulfillmentRequest in the cluster. Stripe is asked for what the cluster does not know of it, where
    STRIPE_API_KEY is set.
    """
    settings = load_settings(RoutingSettings, os.environ)
    try:
        routing = settings.routing
    except ValueError as error:
        raise SettingsError(str(error)) from error
    match name, file:
        case str(), None:
            request = asyncio.run(_read(at_hand(settings, os.environ), name))
            unknown = missing_facts(request, routing)
            facts = facts_of_request(request) if unknown is None else asyncio.run(_ask_stripe(request, unknown))
        case None, Path():
            facts = facts_of_json(file.read_bytes())
        case _:
            raise click.UsageError("give the NAME of a request, or a file by --session")
    choice = routing.choose(facts)
    click.echo(describe(choice), nl=False)
    if choice.backend is None:
        raise click.ClickException(choice.reason)


def describe(choice: RouteChoice) -> str:
    """Write which routes were checked, and which backend was chosen."""
    lines = [f"{each.label}: {'yes' if each.mismatch is None else f'no: {each.mismatch}'}" for each in choice.checks]
    if choice.backend is not None:
        lines.append(f"{choice.backend}: {choice.reason}")
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
    """Return the facts that the cluster has: the prices only once the operator has reconciled the order."""
    session, status = request.spec.session, request.status
    items = status.order.line_items if status and status.order else []
    return OrderFacts(
        livemode=session.livemode,
        mode=session.mode,
        payment_link=session.payment_link,
        metadata=session.metadata,
        prices=frozenset(item.price for item in items if item.price),
    )


def missing_facts(request: FulfillmentRequest, routing: Routing) -> str | None:
    """Return which facts the operator will ask Stripe for, as the cluster lacks them; None: it has all."""
    if request.spec.session.mode is None:
        return "a thin event made this request, which tells nothing of the order"
    order = request.status.order if request.status else None
    if any(route.when.price for route in routing.routes):
        if order is None:
            return "the operator has not reconciled this order yet, so its prices are not known"
        if order.removed_line_items:
            return "the order ended long ago, so the cluster holds its line items, and their prices, no more"
    if any(route.when.metadata.keys() - request.spec.session.metadata.keys() for route in routing.routes):
        return "the cluster does not hold all metadata that the routes ask for"
    return None


async def _read(settings: RoutingSettings, name: str) -> FulfillmentRequest:
    # They load the client library, which a Session in a file does not need.
    from fulfillment_runtime.kubernetes.connection import connect  # noqa: PLC0415
    from fulfillment_runtime.kubernetes.errors import KubernetesError  # noqa: PLC0415
    from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient  # noqa: PLC0415
    from fulfillment_runtime.kubernetes.library import LibraryRestClient  # noqa: PLC0415

    try:
        async with connect(settings.kubeconfig, connections=1) as api:
            requests = FulfillmentRequestClient(LibraryRestClient(api), settings.namespace, timeout=_TIMEOUT)
            return await requests.get(name)
    except KubernetesError as error:
        raise click.ClickException(str(error)) from error


async def _ask_stripe(request: FulfillmentRequest, unknown: str) -> OrderFacts:
    if not os.environ.keys() & {"STRIPE_API_KEY", "STRIPE_API_KEY_FILE"}:
        raise click.ClickException(
            f"{unknown}: give its Session, as Stripe has it, by --session, or set STRIPE_API_KEY to ask Stripe"
        )
    # Likewise.
    from fulfillment_operator.checkout.stripe_api import StripeApi  # noqa: PLC0415
    from fulfillment_runtime.stripe.client import StripeError, stripe_client, stripe_reader  # noqa: PLC0415

    settings = load_settings(StripeSettings, os.environ)
    try:
        async with stripe_client(settings) as client:
            session = await StripeApi(stripe_reader(client, settings)).retrieve_for(request)
    except StripeError as error:
        raise click.ClickException(str(error)) from error
    if session is None:
        raise click.ClickException("Stripe knows no such Session under this API key")
    return facts_of(request.spec.session, session)


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
