"""The cluster at hand, as kubectl finds it, and the requests that a person names."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fulfillment_api.names import request_name
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_cli.kubectl_proxy import kubectl_proxy
from fulfillment_runtime.kubernetes.errors import (
    ConflictError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    UndecodableError,
)
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.fulfillment_requests import UNFULFILLED, FulfillmentRequestClient
from fulfillment_runtime.kubernetes.kubeconfig import is_of_a_pod, kubeconfig_files, namespace_at_hand
from fulfillment_runtime.kubernetes.list_watch import ListedRequest
from fulfillment_runtime.kubernetes.rest import RestClient

TIMEOUT = 30.0
"""Seconds that one answer of the API server may take."""
_REPORTER = "kubectl-fulfillment"
CONCURRENCY = 16
"""Requests under way: enough to be quick, few enough for the API server's fairness."""
ERRORS_OF_ONE = (NotFoundError, UndecodableError, ConflictError, InvalidError)
"""What goes wrong with one request, and says nothing of the others."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class ConfigFlags:
    """The flags by which kubectl, too, finds a cluster and a namespace."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster."""

    api: RestClient
    """As whom."""
    namespace: str
    requests: FulfillmentRequestClient
    events: EventSink
    """Of this command."""

    async def list(
        self, phase: Phase | None, *, unfinished: bool = False, field_selector: str | None = None
    ) -> AsyncIterator[ListedRequest]:
        """List the requests in the order of their names, also those that do not decode.

        Args:
            phase: only those in this phase; None for all.
            unfinished: none that is fulfilled, of which there may be very many.
            field_selector: only those, such as `spec.payment.status=paid`; None for all.

        Raises:
            KubernetesError: as `FulfillmentRequestClient`'s methods do.
        """
        selectors = [*([UNFULFILLED] if unfinished else []), *filter(None, [field_selector])]
        selected = ",".join(selectors) or None
        async for page in self.requests.list_pages(phase=phase, field_selector=selected, timeout=TIMEOUT):
            for each in page:
                yield each

    async def find(self, argument: str, account: str | None) -> FulfillmentRequest:
        """Read the request that an argument names.

        Args:
            argument: what `resolve_name` takes.
            account: likewise.

        Raises:
            NotFoundError: there is none.
            InvalidError: it names nothing.
            KubernetesError: as `FulfillmentRequestClient`'s methods do.
        """
        name = resolve_name(argument, account)
        if not name:
            raise InvalidError(f"{argument!r} names no order")
        try:
            return await self.requests.get(name)
        except NotFoundError as error:
            which, hint = name, "; kubectl fulfillment list -A has those of all namespaces"
            if is_session_id(argument):
                which = f"of {argument}"
                hint = "" if account else "; if a connected account sold it, say which by --account"
            raise NotFoundError(f"no order {which} is in the namespace {self.namespace}{hint}") from error


@asynccontextmanager
async def cluster_at_hand(
    flags: ConfigFlags, *, connections: int = CONCURRENCY, all_namespaces: bool = False
) -> AsyncIterator[Cluster]:
    """Connect to the cluster.

    Args:
        flags: which one.
        connections: how many requests may be under way at once.
        all_namespaces: whether its requests are those of every namespace.

    Raises:
        SettingsError: the kubeconfig is wrong, or there is none.
    """
    if not is_of_a_pod(flags.kubeconfig, flags.context):
        kubeconfig_files(flags.kubeconfig)
    namespace = flags.namespace or namespace_at_hand(flags.kubeconfig, flags.context)
    async with _connection(flags, connections) as api:
        requests = FulfillmentRequestClient(api, None if all_namespaces else namespace, timeout=TIMEOUT)
        events = EventSink(api, namespace, reporter=_REPORTER, timeout=TIMEOUT)
        yield Cluster(api, namespace, requests, events)


@asynccontextmanager
async def _connection(flags: ConfigFlags, connections: int) -> AsyncIterator[RestClient]:
    """Connect as kubectl does: by kubectl, or where it is not on PATH, as in our image, by the client library."""
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        async with kubectl_proxy(kubectl, flags.kubeconfig, flags.context) as api:
            yield api
        return
    from fulfillment_runtime.kubernetes.connection import connect  # noqa: PLC0415 - loads the client library
    from fulfillment_runtime.kubernetes.library import LibraryRestClient  # noqa: PLC0415 - likewise

    async with connect(flags.kubeconfig, connections=connections, context=flags.context) as library:
        yield LibraryRestClient(library)


def resolve_name(name: str, account: str | None) -> str:
    """Return the name of the request that an argument names.

    Args:
        name: it, also with the resource before a slash, as `kubectl get -o name` prints it; or a Checkout Session's id.
        account: the connected account of the Session; None for the account of the API key.
    """
    return request_name(name, account) if is_session_id(name) else name.rpartition("/")[2]


def is_session_id(name: str) -> bool:
    """Tell whether a person named an order by its Checkout Session."""
    return name.startswith("cs_")


async def for_each(
    items: Iterable[A],
    do: Callable[[A], Coroutine[Any, Any, B]],
    *expected: type[Exception],
    at_once: int = CONCURRENCY,
) -> list[B | Exception]:
    """Do something with each, some at once; return in their order what came of it, or which expected failure.

    Raises:
        KubernetesError: another failure. Those that were under way have ended then, and no other was begun.
    """
    semaphore, failures = asyncio.Semaphore(at_once), list[KubernetesError]()

    async def one(item: A) -> B | Exception:
        async with semaphore:
            if failures:
                return failures[0]
            try:
                return await do(item)
            except expected as error:
                return error
            except KubernetesError as error:
                failures.append(error)
                return error

    outcomes = await asyncio.gather(*(one(item) for item in items))
    if failures:
        raise failures[0]
    return outcomes
