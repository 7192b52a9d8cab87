"""The command `fulfillment self-test`, which `helm test` runs in a pod of the image."""

import asyncio
import os

import click

from fulfillment_operator.settings import OperatorSettings
from fulfillment_runtime.examples import examples
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import ServiceSettings


@click.command(
    context_settings={"show_default": True},
    epilog=examples(
        "helm test checkout-fulfillment", "fulfillment self-test --webhook-url http://localhost:4242/webhook"
    ),
)
@click.option(
    "--webhook-url", help="The webhook, by way of its Service.  [default: this machine's, at FULFILLMENT_WEBHOOK_PORT]"
)
@click.option("--within", type=click.IntRange(1, 3600), default=60, metavar="SECONDS", help="How long it may take.")
@click.option("--send-only", metavar="SESSION", help="Only send the event, of this Session: `doctor` does the rest.")
def command(*, webhook_url: str | None, within: int, send_only: str | None) -> None:
    """Send a signed event about an unknown Session, and see its order end as SessionNotFound.

    It reads STRIPE_WEBHOOK_SECRETS, STRIPE_PAYMENT_LINKS, STRIPE_METADATA, STRIPE_API_KEY (whose mode alone it uses),
    FULFILLMENT_NAMESPACE and KUBECONFIG as the workloads do, and may get and delete fulfillmentrequests. What it made,
    it deletes.
    """
    service = load_settings(ServiceSettings, os.environ)
    url = webhook_url or f"http://localhost:{service.webhook_port}/webhook"
    if send_only is not None:
        from fulfillment_cli.self_test import send_event  # noqa: PLC0415 - loads every client library

        asyncio.run(send_event(service, send_only, webhook_url=url, timeout=within))
        return
    operator = load_settings(OperatorSettings, os.environ)
    from fulfillment_cli.self_test import run_self_test  # noqa: PLC0415 - loads every client library

    try:
        asyncio.run(run_self_test(service, operator, webhook_url=url, timeout=within))
    except asyncio.CancelledError:  # it was told to stop
        raise click.Abort from None
    click.echo("The installation works: the next step is an order of Stripe's own.")
