"""Runs kubectl against the API server of a test, as its administrator."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from support.fast_yaml import dump_all


class KubectlError(Exception):
    """What kubectl says when it fails."""


def kubectl(control_plane: ControlPlane, *arguments: str, manifests: Sequence[Mapping[str, Any]] = ()) -> str:
    """Run kubectl, with manifests on its standard input, and return what it says.

    Raises:
        KubectlError: it failed.
    """
    process = subprocess.run(  # noqa: S603 - our own arguments
        [control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfigs[User.ADMIN]}", *arguments],
        input=dump_all(manifests),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise KubectlError(process.stdout + process.stderr)
    return process.stdout
