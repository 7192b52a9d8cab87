"""The Kubernetes API by the client library: its connection, login and TLS, without its types where many requests go.

The generated client checks its arguments, and makes objects of its own of each body: several times the cost of the
request itself. Leases, ConfigMaps and Jobs go that way, by `translated_errors`; FulfillmentRequests and Events go
through `LibraryRestClient`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from fulfillment_runtime.kubernetes.errors import ApiUnavailableError, ConflictError, KubernetesError, error_of
from fulfillment_runtime.kubernetes.rest import NO_QUERY, Answer, MediaType, Method


@contextmanager
def translated_errors(conflict: type[KubernetesError] = ConflictError) -> Iterator[None]:
    """Turn the client library's failures into ours.

    Args:
        conflict: what a 409 means: of a create that the object exists, of all else that it changed.

    Raises:
        KubernetesError: for each of them.
    """
    try:
        with _unreachable():
            yield
    except ApiException as error:
        answer = Answer(error.status, str(error.reason), (error.body or "").encode(), error.headers or {})
        raise error_of(answer, conflict) from error


class LibraryRestClient:
    """A `RestClient` over the library's own pool of connections, as its configuration says."""

    def __init__(self, api: client.ApiClient) -> None:
        """Make a client.

        Args:
            api: where the API server is, and as whom. It closes the connections, too.
        """
        self._rest = api.rest_client
        self._configuration = api.configuration
        self._headers = {**api.default_headers}
        self._options: dict[str, Any] = {}  # as the library's `RESTClientObject.request` has them
        if api.configuration.tls_server_name:
            self._options["server_hostname"] = api.configuration.tls_server_name
        if api.configuration.proxy:
            self._options["proxy"] = api.configuration.proxy
        if api.configuration.proxy_headers:
            self._options["proxy_headers"] = api.configuration.proxy_headers

    async def request(  # noqa: PLR0913 - as `RestClient` has it
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] = NO_QUERY,
        body: bytes | None = None,
        content_type: MediaType = MediaType.JSON,
        accept: MediaType = MediaType.JSON,
        timeout: float,
    ) -> Answer:
        """Send a request, and read its answer: `RestClient.request`."""
        headers = {"Accept": accept.value}
        if body is not None:
            headers["Content-Type"] = content_type.value
        with _unreachable():
            async with self._session().request(
                method.value,
                self._url(path, query),
                data=body,
                headers=await self._authorized(headers),
                timeout=_timeout(timeout),
                **self._options,
            ) as response:
                return await _answer(response)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str] = NO_QUERY, timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read an answer line by line: `RestClient.stream`."""
        with _unreachable():
            response = await self._session().get(
                self._url(path, query),
                headers=await self._authorized({"Accept": MediaType.JSON.value}),
                timeout=_timeout(timeout),
                **self._options,
            )
            try:
                if response.status != HTTPStatus.OK:
                    raise error_of(await _answer(response))
                yield aiter(response.content)
            finally:
                response.close()  # what is left of it is not waited for

    def _session(self) -> aiohttp.ClientSession:
        if self._rest.pool_manager is None:  # the library makes it with its own first request, in the same way
            self._rest.pool_manager = self._rest._create_pool_manager()  # noqa: SLF001 - it has no other name
        return self._rest.pool_manager

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        url: str = self._configuration.host + path
        return f"{url}?{urlencode(query)}" if query else url

    async def _authorized(self, headers: dict[str, str]) -> dict[str, str]:
        """Add who asks, with the token that the library has by now: a pod's changes every hour."""
        headers |= self._headers
        for each in (await self._configuration.auth_settings()).values():
            headers[each["key"]] = each["value"]
        return headers


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    return Answer(response.status, response.reason or "", await response.read(), response.headers)


@lru_cache(maxsize=16)
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ApiUnavailableError("the Kubernetes API did not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ApiUnavailableError(f"the Kubernetes API cannot be reached ({error})") from error
