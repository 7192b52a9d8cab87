"""Where the Kubernetes API is, and with which credentials: a kubeconfig, or the pod's service account."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio import client, config

from fulfillment_runtime.exits import SettingsError


@asynccontextmanager
async def connect(kubeconfig: str | None, *, connections: int) -> AsyncIterator[client.ApiClient]:
    """Connect as the kubeconfig says; without one as the pod's service account, or as kubectl would.

    Args:
        kubeconfig: a kubeconfig file, or several as in KUBECONFIG.
        connections: how many requests may be under way at once.

    Raises:
        SettingsError: there is neither a service account nor a usable kubeconfig.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is not None:
            _check_there(kubeconfig)
            await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call] # the library's
        elif config.incluster_config.SERVICE_HOST_ENV_NAME in os.environ:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call] # likewise
        else:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # likewise
    except (config.ConfigException, OSError) as error:
        raise SettingsError(
            f"no Kubernetes API to talk to: outside of a pod, set KUBECONFIG to a kubeconfig file ({error})"
        ) from error
    configuration.connection_pool_maxsize = connections
    # Else aiohttp looks for a proxy and a .netrc anew for each request, in a thread: half of a request's CPU time.
    configuration.client_session_kwargs = {"trust_env": False}
    address = urlsplit(configuration.host)
    if configuration.proxy is None and not proxy_bypass(address.netloc):
        configuration.proxy = getproxies().get(address.scheme)
    async with client.ApiClient(configuration) as api:
        api.user_agent = "checkout-fulfillment"
        yield api


def _check_there(kubeconfig: str) -> None:
    if not any(Path(each).is_file() for each in kubeconfig.split(os.pathsep)):
        raise SettingsError(f"KUBECONFIG names {kubeconfig!r}, which is not there: set it to a kubeconfig file")
