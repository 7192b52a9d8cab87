"""The command `fulfillment service`."""

import os

import click

from fulfillment_runtime.process import Workload, run_process
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import ServiceSettings


@click.command(cls=Workload)
def command() -> None:
    """Receive Stripe's events, and make FulfillmentRequests of them; take the callbacks of the http backend."""
    settings = load_settings(ServiceSettings, os.environ)
    from fulfillment_service.main import run_until_stopped  # noqa: PLC0415 - loads the web framework

    run_process(settings, run_until_stopped(settings))
