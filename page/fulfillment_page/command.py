"""The command `fulfillment page`."""

import os

import click

from fulfillment_page.settings import PageSettings
from fulfillment_runtime.process import Workload, run_process
from fulfillment_service.settings import load_with_events


@click.command(cls=Workload)
def command() -> None:
    """Show buyers how their orders stand, at GET /order, and make sure that each order exists."""
    settings, events = load_with_events(PageSettings, os.environ)
    from fulfillment_page.main import run_until_stopped  # noqa: PLC0415 - loads the web framework

    run_process(settings, run_until_stopped(settings, events))
