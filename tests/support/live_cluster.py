"""A real cluster, as a person sees it: by kubectl, by helm, and by the API server's proxy."""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
import yaml

from fulfillment_api.names import GROUP, PLURAL, VERSION
from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import Phase
from fulfillment_local.processes import Child, wait_until_ready
from support.repository import ROOT

T = TypeVar("T")

CHART = ROOT / "charts/checkout-fulfillment"
RELEASE = "checkout-fulfillment"

_READY_WITHIN = 60.0  # seconds
_LOOK_EVERY = 0.2  # seconds


class CommandError(Exception):
    """What a program said when it failed."""


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod, as far as the tests look at it."""

    name: str
    uid: str
    restarts: int
    ready: bool


class _Items(msgspec.Struct):
    items: list[FulfillmentRequest]


async def run(*command: str | Path, stdin: str | None = None) -> str:
    """Run a program, and return what it says on its standard output.

    Raises:
        CommandError: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(None if stdin is None else stdin.encode())
    if process.returncode:
        raise CommandError(f"{' '.join(map(str, command))}\n{out.decode()}{err.decode()}")
    return out.decode()


async def eventually(look: Callable[[], Awaitable[T]], is_so: Callable[[T], object], *, within: float, what: str) -> T:
    """Look again and again, until it is so, and return what is seen then.

    Raises:
        TimeoutError: it is not so in time; with what was seen last.
    """
    until = asyncio.get_running_loop().time() + within
    while True:
        seen = await look()
        if is_so(seen):
            return seen
        if asyncio.get_running_loop().time() > until:
            raise TimeoutError(f"{what}: not within {within:g} s; seen last: {seen}")
        await asyncio.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class LiveCluster:
    """One namespace of a real cluster."""

    kubectl_command: tuple[str, ...]
    helm_command: tuple[str, ...]
    namespace: str
    url: str
    """The API server, by way of `kubectl proxy`, which knows every way to log in."""
    http: aiohttp.ClientSession

    async def kubectl(self, *arguments: str, manifests: Sequence[Mapping[str, Any]] = ()) -> str:
        """Run kubectl in the namespace, with manifests on its standard input.

        Raises:
            CommandError: it failed.
        """
        return await run(*self.kubectl_command, *arguments, stdin=yaml.safe_dump_all(manifests))

    async def helm(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Run helm in the namespace, with values on its standard input.

        Raises:
            CommandError: it failed.
        """
        given = () if values is None else ("--values", "-")
        return await run(*self.helm_command, *arguments, *given, stdin=yaml.safe_dump(values))

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request to the API server, and return the answer's status and body."""
        async with self.http.request(method, self.url + path, data=body, headers=headers) as response:
            return response.status, await response.read()

    async def get(self, path: str) -> bytes:
        """Get something of the API server, which must have it."""
        status, body = await self.ask("GET", path)
        assert status == 200, f"{path}: {status} {body.decode(errors='replace')}"
        return body

    def service(self, name: str) -> str:
        """Give the path to a Service's port `http`, by way of the API server."""
        return f"/api/v1/namespaces/{self.namespace}/services/{name}:http/proxy"

    def pod(self, name: str, port: int) -> str:
        """Give the path to a pod's port, by way of the API server."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}:{port}/proxy"

    async def trigger(self, *arguments: str) -> str:
        """Send signed events from inside of the cluster, as `fulfillment trigger` does, through the webhook's Service.

        Raises:
            CommandError: one was not answered as it should be.
        """
        url = f"http://{RELEASE}-webhook/webhook"
        command = ("fulfillment", "trigger", *arguments, "--webhook-url", url)
        return await self.kubectl("exec", "deploy/world-stripe", "--", *command)

    async def until_served(self) -> None:
        """Wait until the webhook's Service leads to its pods, which nodes learn a moment after they are ready."""
        connect = f"import socket; socket.create_connection(('{RELEASE}-webhook', 80), 1)"

        async def trouble() -> str:
            try:
                await self.kubectl("exec", "deploy/world-stripe", "--", "python", "-c", connect)
            except CommandError as error:
                return str(error)
            return ""

        await eventually(trouble, lambda found: not found, within=60, what="the webhook's Service leads to its pods")

    async def sell(self, scenario: str, *arguments: str) -> str:
        """Send the events of one Session, as `trigger` does, and return the Session's id."""
        said = await self.trigger(scenario, *arguments)
        sessions: set[str] = set(re.findall(r"\bcs_\w+", said))
        assert len(sessions) == 1, said
        return sessions.pop()

    async def orders(self) -> dict[str, FulfillmentRequest]:
        """Get the requests, by the ids of their Sessions."""
        body = await self.get(f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{PLURAL}")
        return {each.spec.session.id: each for each in msgspec.json.decode(body, type=_Items).items}

    async def order_in(self, session: str, phase: Phase, *, within: float = 60) -> FulfillmentRequest:
        """Wait until an order is in a phase, and return it."""
        await self.orders_in([session], phase, within=within)
        return (await self.orders())[session]

    async def orders_in(self, sessions: Collection[str], phase: Phase, *, within: float = 60) -> None:
        """Wait until each of some orders is in a phase."""

        async def others() -> list[str]:
            orders = await self.orders()
            return [each for each in sessions if not _is_in(phase, orders.get(each))]

        what = f"each of {len(sessions)} orders is {phase}"
        await eventually(others, lambda found: not found, within=within, what=what)

    async def pods(self, component: str) -> list[Pod]:
        """Get the pods of a workload of the release, but for those that end."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        found = yaml.safe_load(await self.kubectl("get", "pods", "--selector", selector, "--output=yaml"))["items"]
        return [_pod(each) for each in found if "deletionTimestamp" not in each["metadata"]]


def _is_in(phase: Phase, order: FulfillmentRequest | None) -> bool:
    return order is not None and order.status is not None and order.status.phase is phase


def _pod(found: Any) -> Pod:
    containers = found["status"].get("containerStatuses", [])
    return Pod(
        name=found["metadata"]["name"],
        uid=found["metadata"]["uid"],
        restarts=sum(each["restartCount"] for each in containers),
        ready=bool(containers) and all(each["ready"] for each in containers),
    )


@asynccontextmanager
async def live_cluster(kubectl: Path, helm: Path, context: str, namespace: str) -> AsyncIterator[LiveCluster]:
    """Reach a cluster by its kubeconfig's context, whichever may become the current one meanwhile."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubectl-proxy-")))
        log = folder / "log"
        proxy = Child(kubectl, (f"--context={context}", "proxy", "--port=0"), log, os.environ)
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        await wait_until_ready(says(log, "Starting to serve"), proxy, within=_READY_WITHIN)
        (address,) = re.findall(r"Starting to serve on (\S+)", log.read_text())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield LiveCluster(
            (str(kubectl), f"--context={context}", f"--namespace={namespace}"),
            (str(helm), f"--kube-context={context}", f"--namespace={namespace}"),
            namespace,
            f"http://{address}",
            http,
        )


async def says(log: Path, words: str) -> None:
    """Wait until a file holds some words."""
    while words not in log.read_text(encoding="utf-8"):  # noqa: ASYNC110, ASYNC240 - a small file, without an event
        await asyncio.sleep(_LOOK_EVERY)
