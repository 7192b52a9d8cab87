"""The settings of commands that a person runs: in the namespace that kubectl would use, unless a variable names one."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from fulfillment_runtime.kubernetes.kubeconfig import namespace_at_hand
from fulfillment_runtime.settings import WorkloadSettings

S = TypeVar("S", bound=WorkloadSettings)

_NAMESPACE = "FULFILLMENT_NAMESPACE"


def at_hand(settings: S, environ: Mapping[str, str]) -> S:
    """Return settings with the namespace that kubectl would use, unless a variable named one.

    Args:
        settings: as they were loaded.
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: nothing says which namespace kubectl would use.
    """
    if _NAMESPACE in environ or f"{_NAMESPACE}_FILE" in environ:
        return settings
    return replace(settings, namespace=namespace_at_hand(settings.kubeconfig, None))
