"""The settings of commands that a person runs: in the namespace that kubectl would use, unless a variable names one."""

from collections.abc import Mapping
from typing import TypeVar

from fulfillment_runtime.kubernetes.kubeconfig import namespace_at_hand
from fulfillment_runtime.settings import WorkloadSettings, load_settings

S = TypeVar("S", bound=WorkloadSettings)

_NAMESPACE, _KUBECONFIG = "FULFILLMENT_NAMESPACE", "KUBECONFIG"


def settings_at_hand(kind: type[S], environ: Mapping[str, str]) -> S:
    """Load settings.

    Args:
        kind: which.
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: some of them are wrong, or nothing says which namespace kubectl would use.
    """
    if environ.get(_NAMESPACE):
        return load_settings(kind, environ)
    namespace = namespace_at_hand(environ.get(_KUBECONFIG) or None, None)
    return load_settings(kind, {**environ, _NAMESPACE: namespace})
