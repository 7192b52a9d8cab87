"""The cluster that things are tried on: the one at hand, if it is not by chance one that people live by."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from fulfillment_runtime.fatal_errors import SettingsError

NAMED = "E2E_CONTEXT"
"""The variable that names a further context to be used."""

_FOR_TRIALS = ("minikube", "docker-desktop", "rancher-desktop")
_FOR_TRIALS_BY_PREFIX = ("kind-", "k3d-")


def is_for_trials(context: str, named: str | None) -> bool:
    """Say whether a kubeconfig's context is of a cluster that is for trials.

    Args:
        context: its name, which tells the tool that made the cluster.
        named: a further context that a person said is.
    """
    return context in _FOR_TRIALS or context.startswith(_FOR_TRIALS_BY_PREFIX) or context == named


def trial_context(kubectl: Path, environ: Mapping[str, str]) -> str:
    """Return the current context, if it is of a cluster that is for trials.

    Raises:
        SettingsError: it is not, or there is none.
    """
    asked = subprocess.run(  # noqa: S603 - our own arguments
        [kubectl, "config", "current-context"], env=dict(environ), capture_output=True, text=True, check=False
    )
    context = asked.stdout.strip()
    if not context:
        raise SettingsError("there is no cluster at hand: name its kubeconfig file in KUBECONFIG, or start kind")
    if not is_for_trials(context, environ.get(NAMED)):
        raise SettingsError(
            f"the current context, {context}, may be of a cluster that people live by: use one of kind, k3d or "
            f"minikube, or, if it is for trials, say {NAMED}={context}"
        )
    return context
