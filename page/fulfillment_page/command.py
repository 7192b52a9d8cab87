"""The command `fulfillment page`."""

import os

import click

from fulfillment_page.settings import PageSettings
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.process import Workload, run_process
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import EventSettings, mode_mistake


@click.command(cls=Workload)
def command() -> None:
    """Show buyers how their orders stand, at GET /order, and make sure that each order exists."""
    settings, events = load_settings(PageSettings, os.environ), load_settings(EventSettings, os.environ)
    if mistake := mode_mistake(settings, events):
        raise SettingsError(mistake)
    from fulfillment_page.main import run_until_stopped  # noqa: PLC0415 - loads the web framework

    run_process(settings, run_until_stopped(settings, events))
