"""Where the Kubernetes API is, and with which credentials: a kubeconfig, or the pod's service account."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import yaml
from kubernetes.aio import client, config

from fulfillment_runtime.kubernetes.kubeconfig import is_of_a_pod, kubeconfig_files, wrong_kubeconfig
from fulfillment_runtime.proxies import proxy_of

_UNREADABLE = (config.ConfigException, OSError, yaml.YAMLError, AttributeError, KeyError, TypeError)
"""What the library ends in when a kubeconfig is wrong, or is a file of another kind."""


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
        if is_of_a_pod(kubeconfig, context):
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the library's
        else:
            files = os.pathsep.join(map(str, kubeconfig_files(kubeconfig)))
            await config.load_kube_config(files, context=context, client_configuration=configuration)  # type: ignore[no-untyped-call] # likewise
    except _UNREADABLE as error:
        what = str(error) if isinstance(error, config.ConfigException | OSError) else "it is none"
        raise wrong_kubeconfig(what) from error
    configuration.connection_pool_maxsize = connections
    # Else aiohttp looks for a proxy and a .netrc anew for each request, in a thread: half of a request's CPU time. And
    # an API server sets no cookies.
    configuration.client_session_kwargs = {"trust_env": False, "cookie_jar": aiohttp.DummyCookieJar()}
    if configuration.proxy is None:
        configuration.proxy = proxy_of(configuration.host)
    async with client.ApiClient(configuration) as api:
        api.user_agent = "checkout-fulfillment"
        yield api
