"""Which contexts and which namespace a kubeconfig names, as kubectl reads it. Who may log in, and how, is not read."""

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from fulfillment_runtime.fatal_errors import SettingsError

_OF_KUBECTL = Path.home() / ".kube" / "config"
_OF_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SERVICE_HOST = "KUBERNETES_SERVICE_HOST"  # Kubernetes sets it in every pod


def namespace_at_hand(kubeconfig: str | None, context: str | None) -> str:
    """Tell which namespace kubectl would use: the context's, or the pod's own; else `default`.

    Args:
        kubeconfig: a kubeconfig file, or several as in KUBECONFIG; None for kubectl's own, or the pod.
        context: a context of it; None for its current one.

    Raises:
        SettingsError: there is neither a service account nor a usable kubeconfig.
    """
    if is_of_a_pod(kubeconfig, context):
        try:
            return _OF_POD.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"no Kubernetes API to talk to: the pod's namespace cannot be read: {error}") from error
    read = [_read(each) for each in kubeconfig_files(kubeconfig)]
    chosen = context or next((each.current_context for each in read if each.current_context), "")
    if not chosen:
        raise wrong_kubeconfig("it has no current context: kubectl config use-context NAME")
    for each in read:
        for named in each.contexts or ():
            if named.name == chosen:
                return named.context.namespace or "default"
    raise wrong_kubeconfig(f"it has no context {chosen!r}")


def contexts_at_hand(kubeconfig: str | None) -> list[str]:
    """List the contexts of the kubeconfig.

    Args:
        kubeconfig: as `namespace_at_hand` takes it.

    Raises:
        SettingsError: there is no usable kubeconfig.
    """
    read = [_read(each) for each in kubeconfig_files(kubeconfig)]
    return [*dict.fromkeys(named.name for each in read for named in each.contexts or ())]


def is_of_a_pod(kubeconfig: str | None, context: str | None) -> bool:
    """Tell whether it is the pod's service account that logs in: as for kubectl, only where there is no kubeconfig."""
    return kubeconfig is None and context is None and _SERVICE_HOST in os.environ and not _OF_KUBECTL.is_file()


def kubeconfig_files(kubeconfig: str | None) -> list[Path]:
    """Give the files that there are; of several, a value in one of them goes before those in the next.

    Raises:
        SettingsError: there is none.
    """
    named = [Path(each) for each in (kubeconfig or str(_OF_KUBECTL)).split(os.pathsep) if each]
    found = [each for each in named if each.is_file()]
    if found:
        return found
    if kubeconfig is not None:
        raise SettingsError(f"KUBECONFIG names {kubeconfig!r}, which is not there: set it to a kubeconfig file")
    raise SettingsError("no Kubernetes API to talk to: outside of a pod, set KUBECONFIG to a kubeconfig file")


def wrong_kubeconfig(why: str) -> SettingsError:
    """Say what is wrong with the kubeconfig."""
    return SettingsError(f"no Kubernetes API to talk to: the kubeconfig is wrong: {why}")


class _Context(Struct):
    namespace: str | None = None


class _NamedContext(Struct):
    name: str
    context: _Context


class _Kubeconfig(Struct):
    """clientcmd/api/v1 Config, as far as it is read."""

    contexts: list[_NamedContext] | None = None
    current_context: str | None = field(default=None, name="current-context")


def _read(file: Path) -> _Kubeconfig:
    import yaml  # noqa: PLC0415 - a namespace that a person names needs none of it

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the other takes ten times as long
    try:
        return msgspec.convert(yaml.load(file.read_bytes(), loader) or {}, _Kubeconfig)  # noqa: S506 - either loader is safe
    except OSError as error:
        raise wrong_kubeconfig(str(error)) from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise wrong_kubeconfig("it is none") from error
