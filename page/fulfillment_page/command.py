"""The command `fulfillment page`."""

import os

import click

from fulfillment_page.settings import load_page_settings
from fulfillment_runtime.process import Workload, run_process


@click.command(cls=Workload)
def command() -> None:
    """Show buyers how their orders stand, at GET /order, and make sure that each order exists."""
    settings, events = load_page_settings(os.environ)
    from fulfillment_page.main import run_until_stopped  # noqa: PLC0415 - loads the web framework

    run_process(settings, run_until_stopped(settings, events))
