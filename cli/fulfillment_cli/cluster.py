"""The cluster at hand, as kubectl finds it, and the requests that a person names."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes.aio import client
from msgspec import Raw

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_connection import connect, namespace_at_hand
from fulfillment_runtime.kubernetes_errors import (
    RequestChangedError,
    RequestGoneError,
    RequestRefusedError,
    RequestUnreadableError,
)
from fulfillment_runtime.kubernetes_listing import pages

PATIENCE = 30.0
"""Seconds that one answer of the API server may take."""
AT_ONCE = 16
"""Requests under way: enough to be quick, few enough for the API server's fairness."""
OF_ONE = (RequestGoneError, RequestUnreadableError, RequestChangedError, RequestRefusedError)
"""What goes wrong with one request, and says nothing of the others."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Where:
    """What a person said of where to look."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster."""

    api: client.ApiClient
    namespace: str
    requests: KubernetesApi

    async def listed(
        self, phase: Phase | None, *, unfinished: bool = False
    ) -> AsyncIterator[tuple[FulfillmentRequest, Raw]]:
        """List the requests in the order of their names, each also as JSON; what makes no sense is left out.

        Args:
            phase: only those in this phase; None for all.
            unfinished: none that is fulfilled, of which there may be very many.

        Raises:
            KubernetesError: as `KubernetesApi`'s methods do.
        """
        also = f"status.phase!={Phase.FULFILLED}" if unfinished else None
        async for page in pages(self.api, self.namespace, phase=phase, also=also, patience=PATIENCE):
            for each in page:
                if each.request is not None:
                    yield each.request, each.content

    async def find(self, said: str, account: str | None) -> FulfillmentRequest:
        """Read the request that a person means.

        Args:
            said: what `named` takes.
            account: likewise.

        Raises:
            RequestGoneError: there is none.
            RequestRefusedError: it names nothing.
            KubernetesError: as `KubernetesApi`'s methods do.
        """
        name = named(said, account)
        if not name:
            raise RequestRefusedError(f"{said!r} names no order")
        try:
            return await self.requests.get(name)
        except RequestGoneError as error:
            if not is_session_id(said):
                raise
            whose = "" if account else "; if a connected account sold it, say which by --account"
            raise RequestGoneError(f"no order of {said} is in the namespace {self.namespace}{whose}") from error


@asynccontextmanager
async def cluster_at_hand(where: Where) -> AsyncIterator[Cluster]:
    """Connect to the cluster.

    Raises:
        SettingsError: the kubeconfig is wrong, or there is none.
    """
    namespace = where.namespace or namespace_at_hand(where.kubeconfig, where.context)
    async with connect(where.kubeconfig, connections=AT_ONCE, context=where.context) as api:
        yield Cluster(api, namespace, KubernetesApi(api, namespace, timeout=PATIENCE))


def named(name: str, account: str | None) -> str:
    """Return the name of the request that a person means.

    Args:
        name: it, also with the resource before a slash, as `kubectl get -o name` prints it; or a Checkout Session's id.
        account: the connected account of the Session; None for the account of the API key.
    """
    return request_name(name, account) if is_session_id(name) else name.rpartition("/")[2]


def is_session_id(name: str) -> bool:
    """Tell whether a person named an order by its Checkout Session."""
    return name.startswith("cs_")


async def of_each(
    items: Iterable[A], do: Callable[[A], Coroutine[Any, Any, B]], *expected: type[Exception]
) -> list[B | Exception]:
    """Do something with each, some at once; return in their order what came of it, or which expected failure."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(item: A) -> B | Exception:
        async with turns:
            try:
                return await do(item)
            except expected as error:
                return error

    return await asyncio.gather(*(one(item) for item in items))
