"""The settings of commands that a person runs: in the namespace that kubectl would use, unless a variable names one."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from fulfillment_runtime.kubernetes.kubeconfig import namespace_at_hand
from fulfillment_runtime.settings import WorkloadSettings, load_settings

S = TypeVar("S", bound=WorkloadSettings)

_NAMESPACE = "FULFILLMENT_NAMESPACE"


def settings_at_hand(kind: type[S], environ: Mapping[str, str]) -> S:
    """Load settings.

    Args:
        kind: which.
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: some of them are wrong, or nothing says which namespace kubectl would use.
    """
    settings = load_settings(kind, environ)
    if _NAMESPACE in environ or f"{_NAMESPACE}_FILE" in environ:
        return settings
    return replace(settings, namespace=namespace_at_hand(settings.kubeconfig, None))
