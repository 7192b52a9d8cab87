"""How a process that cannot go on says so: one line, and an exit code of sysexits.h."""

import os

import click

from fulfillment_runtime.chart_values import with_chart_values


class SettingsError(click.ClickException):
    """A setting is missing or wrong. A person must mend it: a restart alone does not help."""

    exit_code = os.EX_CONFIG

    def __init__(self, message: str) -> None:
        """Make it, with the chart's value beside each variable that the message names."""
        super().__init__(with_chart_values(message))


class AccessDeniedError(click.ClickException):
    """The cluster refuses what this process must do."""

    exit_code = os.EX_NOPERM


class UnavailableError(click.ClickException):
    """Something that this process needs cannot be reached. A later start may succeed."""

    exit_code = os.EX_UNAVAILABLE


class StoppedError(click.ClickException):
    """The process was told to stop before it was done. A later start goes on."""

    exit_code = os.EX_TEMPFAIL
