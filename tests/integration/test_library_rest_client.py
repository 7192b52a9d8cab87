"""The workloads' way to the cluster: as the client library is configured, though none of its types is used."""

from datetime import timedelta

import pytest
from aiohttp import web
from kubernetes.aio import client

from fulfillment_local.control_plane import ControlPlane
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, ForbiddenError, NotFoundError, retry_after
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rest import Method
from support.serving import serving


@pytest.mark.usefixtures("crd")
async def test_a_token_that_is_renewed_is_used_from_the_next_request_on(control_plane: ControlPlane) -> None:
    """As a pod's is every hour: the library reads it anew, and each request asks the library."""
    async with control_plane.connect() as api:
        tokens = iter(["Bearer gone", api.configuration.api_key["BearerToken"]])

        def renew(configuration: client.Configuration) -> None:
            configuration.api_key["BearerToken"] = next(tokens)

        api.configuration.refresh_api_key_hook = renew
        requests = FulfillmentRequestClient(LibraryRestClient(api), "default", timeout=30)
        with pytest.raises(ForbiddenError, match="does not know these credentials"):
            await requests.get("cs-1")
        with pytest.raises(NotFoundError, match='"cs-1" not found'):
            await requests.get("cs-1")


async def test_a_proxy_carries_the_requests() -> None:
    """To a host that is nowhere but behind it, with what the query says encoded once."""
    passed_on = []

    async def answer(request: web.Request) -> web.Response:
        passed_on.append((request.host, request.raw_path, request.headers["User-Agent"]))
        return web.json_response({"major": "1"})

    async with serving(web.route("*", "/{path:.*}", answer)) as proxy:
        configuration = client.Configuration(host="http://api.example")
        configuration.proxy = proxy
        async with client.ApiClient(configuration) as api:
            api.user_agent = "checkout-fulfillment"
            rest = LibraryRestClient(api)
            found = await rest.request(Method.GET, "/version", query={"fieldSelector": "a!=b,c=d"}, timeout=30)
            async with rest.stream("/version", timeout=30) as lines:
                assert [line async for line in lines] == [b'{"major": "1"}']
    assert (found.status, found.body) == (200, b'{"major": "1"}')
    (asked, streamed) = passed_on
    assert asked[0] == "api.example"
    assert asked[1].endswith("/version?fieldSelector=a!%3Db,c%3Dd")
    assert streamed[2] == "checkout-fulfillment"


async def test_an_api_server_that_nobody_reaches_is_a_passing_fault() -> None:
    """And one that hangs up, likewise."""
    async with client.ApiClient(client.Configuration(host="http://127.0.0.1:9")) as api:
        rest = LibraryRestClient(api)
        with pytest.raises(ApiUnavailableError, match="the Kubernetes API cannot be reached"):
            await rest.request(Method.GET, "/version", timeout=30)
        with pytest.raises(ApiUnavailableError, match="the Kubernetes API cannot be reached"):
            async with rest.stream("/version", timeout=30):
                pass


async def test_an_api_server_that_asks_to_wait_is_not_asked_sooner() -> None:
    """By whichever way it is asked: what throttles it names the seconds."""

    async def throttle(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"})

    async with (
        serving(web.route("*", "/{path:.*}", throttle)) as server,
        client.ApiClient(client.Configuration(host=server)) as api,
    ):
        requests = FulfillmentRequestClient(LibraryRestClient(api), "default", timeout=30)
        configmap = ConfigMapApi(api, "default", "progress", timeout=30)
        for asking in (requests.get("cs-1"), anext(requests.watch("cs-1", timeout=1)), configmap.read()):
            with pytest.raises(ApiUnavailableError) as caught:
                await asking
            assert retry_after(caught.value) == timedelta(seconds=7)
