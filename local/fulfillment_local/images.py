"""Builds the product's image and that of the stand-ins, and loads both into the cluster at hand.

`python -m fulfillment_local.images` does it.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click

from fulfillment_local.e2e_context import trial_context
from fulfillment_local.programs import find_programs
from fulfillment_runtime.fatal_errors import SettingsError, UnavailableError

COMMAND = "E2E_IMAGE"
"""The variable of a command that builds an image and loads it: `$E2E_IMAGE CONTEXT NAME:TAG [build options]`."""

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Image:
    """What is built."""

    name: str
    """Without its tag."""
    options: tuple[str, ...] = ()
    """What the build is told beside it."""


IMAGES = (Image("checkout-fulfillment"), Image("checkout-fulfillment-world", ("--target", "world")))


def commands(context: str, command: str | None, folder: str, image: str, options: Sequence[str]) -> list[list[str]]:
    """Say what builds an image and loads it into a cluster.

    Args:
        context: the cluster's context, which tells the tool that made the cluster.
        command: a command that does both, if a person named one.
        folder: the build's context.
        image: its name and tag.
        options: what the build is told.

    Raises:
        SettingsError: nobody knows how this cluster is given an image.
    """
    if command:
        return [[*shlex.split(command), folder, image, *options]]
    build = ["docker", "build", "--tag", image, *options, folder]
    tool, _, cluster = context.partition("-")
    match tool:
        case "kind" if cluster:
            return [build, ["kind", "load", "docker-image", image, "--name", cluster]]
        case "k3d" if cluster:
            return [build, ["k3d", "image", "import", image, "--cluster", cluster]]
        case "minikube":
            return [build, ["minikube", "image", "load", image]]
        case "docker" | "rancher":  # the cluster's images are the engine's own
            return [build]
        case _:
            raise SettingsError(
                f"it is not known how images are loaded into the cluster of {context}: say it in {COMMAND}, a command "
                f"that is called as `${COMMAND} CONTEXT NAME:TAG [build options]`"
            )


@click.command(context_settings={"show_default": True})
@click.option("--tag", default=version("checkout-fulfillment"), help="The images' tag: as both charts name it.")
def main(tag: str) -> None:
    """Build the product's image and that of the stand-ins, and load both into the cluster at hand."""
    context = trial_context(find_programs(os.environ).kubectl, os.environ)
    for command in _all_commands(context, tag):
        click.echo(shlex.join(command))
        try:
            subprocess.run(command, check=True, cwd=_ROOT)  # noqa: S603 - our own commands, or the person's
        except FileNotFoundError as error:
            raise UnavailableError(f"{command[0]} is not on this machine: install it, or set {COMMAND}") from error
        except subprocess.CalledProcessError as error:
            raise UnavailableError(
                f"{command[0]} failed (exit code {error.returncode}): what it said is above"
            ) from error


def _all_commands(context: str, tag: str) -> Iterator[list[str]]:
    for image in IMAGES:
        yield from commands(context, os.environ.get(COMMAND), ".", f"{image.name}:{tag}", image.options)


if __name__ == "__main__":
    main()
