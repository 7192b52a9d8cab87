"""Where the Kubernetes API is, and with which credentials: a kubeconfig, or the pod's service account."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import client, config

from fulfillment_runtime.exits import SettingsError
from fulfillment_runtime.proxies import proxy_of

_UNREADABLE = (config.ConfigException, OSError, yaml.YAMLError, AttributeError, KeyError, TypeError)
"""What the library ends in when a kubeconfig is wrong, or is a file of another kind."""
_OF_KUBECTL = Path.home() / ".kube" / "config"
_OF_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@asynccontextmanager
async def connect(
    kubeconfig: str | None, *, connections: int, context: str | None = None
) -> AsyncIterator[client.ApiClient]:
    """Connect as the kubeconfig says; without one as the pod's service account, or as kubectl would.

    Args:
        kubeconfig: a kubeconfig file, or several as in KUBECONFIG.
        connections: how many requests may be under way at once.
        context: a context of the kubeconfig; None for its current one.

    Raises:
        SettingsError: there is neither a service account nor a usable kubeconfig.
    """
    configuration = client.Configuration()
    try:
        if _is_of_a_pod(kubeconfig, context):
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the library's
        else:
            files = _existing(kubeconfig or str(_OF_KUBECTL), named=kubeconfig is not None)
            await config.load_kube_config(files, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call] # likewise
    except _UNREADABLE as error:
        raise _unreadable(error) from error
    configuration.connection_pool_maxsize = connections
    # Else aiohttp looks for a proxy and a .netrc anew for each request, in a thread: half of a request's CPU time.
    configuration.client_session_kwargs = {"trust_env": False}
    if configuration.proxy is None:
        configuration.proxy = proxy_of(configuration.host)
    async with client.ApiClient(configuration) as api:
        api.user_agent = "checkout-fulfillment"
        yield api


def namespace_at_hand(kubeconfig: str | None, context: str | None) -> str:
    """Tell which namespace kubectl would use: the context's, or the pod's own; else `default`.

    Args:
        kubeconfig: as `connect` takes it.
        context: likewise.

    Raises:
        SettingsError: there is neither a service account nor a usable kubeconfig.
    """
    if _is_of_a_pod(kubeconfig, context):
        try:
            return _OF_POD.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"no Kubernetes API to talk to: the pod's namespace cannot be read: {error}") from error
    contexts, current = _contexts(kubeconfig)
    chosen = next((each for each in contexts if each["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def contexts_at_hand(kubeconfig: str | None) -> list[str]:
    """List the contexts of the kubeconfig.

    Args:
        kubeconfig: as `connect` takes it.

    Raises:
        SettingsError: there is no usable kubeconfig.
    """
    contexts, _ = _contexts(kubeconfig)
    return [str(each["name"]) for each in contexts]


def _contexts(kubeconfig: str | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Read the contexts of the kubeconfig, and its current one."""
    files = _existing(kubeconfig or str(_OF_KUBECTL), named=kubeconfig is not None)
    try:
        contexts, current = config.list_kube_config_contexts(files)  # type: ignore[no-untyped-call] # the library's
    except _UNREADABLE as error:
        raise _unreadable(error) from error
    return contexts, current


def _unreadable(error: Exception) -> SettingsError:
    what = str(error) if isinstance(error, config.ConfigException | OSError) else "it is none"
    return SettingsError(f"no Kubernetes API to talk to: the kubeconfig is wrong: {what}")


def _is_of_a_pod(kubeconfig: str | None, context: str | None) -> bool:
    return kubeconfig is None and context is None and config.incluster_config.SERVICE_HOST_ENV_NAME in os.environ


def _existing(kubeconfig: str, *, named: bool) -> str:
    if any(Path(each).is_file() for each in kubeconfig.split(os.pathsep)):
        return kubeconfig
    if named:
        raise SettingsError(f"KUBECONFIG names {kubeconfig!r}, which is not there: set it to a kubeconfig file")
    raise SettingsError("no Kubernetes API to talk to: outside of a pod, set KUBECONFIG to a kubeconfig file")
