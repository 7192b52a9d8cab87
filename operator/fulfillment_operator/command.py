"""The command `fulfillment operator`."""

import os

import click

from fulfillment_operator.settings import load_operator_settings
from fulfillment_runtime.process import Workload, run_process


@click.command(cls=Workload)
def command() -> None:
    """Bring every FulfillmentRequest to fulfilled or failed."""
    settings = load_operator_settings(os.environ)
    from fulfillment_operator.main import run_until_stopped  # noqa: PLC0415 - loads every client library

    run_process(settings, run_until_stopped(settings))
