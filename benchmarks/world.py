"""A world for one build: an API server, Stripe's stand-in, an endpoint, the workloads, each a process of its own."""

import asyncio
import os
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.accounting import cpu_seconds, resident_mib
from benchmarks.api_server import ApiServer, requests_path
from benchmarks.builds import ROOT, Build, neutral_environ
from benchmarks.orders import Ids, PlayedOrder, Template, play
from benchmarks.sender import Job, Outcome, Report, Shot
from fulfillment_local.control_plane import ControlPlane
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.api import TEST_KEY
from fulfillment_local.fake_stripe.client import WorldClient
from fulfillment_local.fake_stripe.model import Order
from fulfillment_local.flaws import flawed_headers
from fulfillment_local.ports import free_port
from fulfillment_local.processes import Child, wait_until_ready
from fulfillment_local.programs import Programs

NAMESPACE = "default"
"""Where the workloads are at work."""

_HOST = "127.0.0.1"
_SECRET = "whsec_bench_0123456789abcdef"  # noqa: S105 - signs events of the stand-in only
_READY_WITHIN = 120.0  # seconds; it takes about 2
_LOOK_EVERY = 0.1  # seconds
_MADE_AT_ONCE = 10_000  # requests that are told to one sender: tens of megabytes
_UNLIMITED = {  # the most that the settings allow
    "STRIPE_REQUESTS_PER_SECOND": "1000",
    "STRIPE_ENDPOINT_REQUESTS_PER_SECOND": "1000",
}


class MeasurementError(Exception):
    """What was to be measured did not happen; the message says what did."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The service or the operator, at work."""

    child: Child
    management_url: str
    http: aiohttp.ClientSession

    def cpu_seconds(self) -> float:
        """Return the CPU time of its process."""
        return cpu_seconds(self.child.pid)

    def resident_mib(self) -> float:
        """Return its resident memory."""
        return resident_mib(self.child.pid)

    async def metric(self, name: str, **labels: str) -> float:
        """Scrape it, and return the sum of all samples of this name that have these labels."""
        async with self.http.get(f"{self.management_url}/metrics") as response:
            text = await response.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def fulfilled(self) -> float:
        """Return how many orders this operator has fulfilled."""
        return await self.metric("fulfillment_time_to_fulfill_seconds_count")

    async def holding(self, count: int, *, within: float) -> None:
        """Wait until the operator holds so many orders that wait for their payment.

        Raises:
            UnavailableError: it ended, or does not in time.
        """
        await self.until(lambda: self._holds(count), within=within)

    async def until(self, condition: Callable[[], Awaitable[bool]], *, within: float) -> None:
        """Wait until a condition holds.

        Raises:
            UnavailableError: the workload ended, or the time is over.
        """
        await wait_until_ready(_come_true(condition), self.child, within=within)

    async def _holds(self, count: int) -> bool:
        return await self.metric("fulfillment_requests", phase="awaiting-payment") >= count


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Workload):
    """The webhook service."""

    webhook_url: str

    def shots(self, orders: Sequence[PlayedOrder]) -> list[Shot]:
        """Sign the events of orders, and make a request of each."""
        now = time.time()
        return [
            Shot(
                method="POST",
                url=self.webhook_url,
                body=order.event,
                headers=flawed_headers(order.event.encode(), (_SECRET,), now=now, flaw=None),
            )
            for order in orders
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that a build is measured in."""

    build: Build
    kubectl: Path
    kubeconfig: Path
    api: ApiServer
    stripe: WorldClient
    senders: int
    ca: Path
    stripe_url: str
    endpoint_url: str
    folder: Path
    """Of logs, and of what the sender is told."""
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """Run a service, and yield it once it is ready."""
        port = free_port(_HOST)
        settings = {"STRIPE_WEBHOOK_SECRETS": _SECRET, "FULFILLMENT_WEBHOOK_PORT": str(port)}
        async with self._running("service", settings) as workload:
            yield Service(
                workload.child,
                workload.management_url,
                workload.http,
                webhook_url=f"http://{_HOST}:{port}/webhook",
            )

    @asynccontextmanager
    async def operator(
        self, *, within_limits: bool = False, path: str = "/", **settings: str
    ) -> AsyncIterator[Workload]:
        """Run an operator, and yield it once it leads.

        Args:
            within_limits: whether it keeps within Stripe's limits as by default; else it asks as fast as it can.
            path: where at the endpoint the http backend posts to.
            settings: other settings, by their variables.
        """
        rate = {} if within_limits else _UNLIMITED
        usual = {
            "STRIPE_API_KEY": TEST_KEY,
            "STRIPE_API_BASE": self.stripe_url,
            "FULFILLMENT_BACKEND": "http",
            "FULFILLMENT_HTTP_URL": f"{self.endpoint_url}{path}",
        }
        async with self._running("operator", usual | rate | settings) as operator:

            async def leads() -> bool:
                return await operator.metric("fulfillment_leader") == 1

            await operator.until(leads, within=_READY_WITHIN)
            yield operator

    @asynccontextmanager
    async def _running(self, workload: str, settings: Mapping[str, str]) -> AsyncIterator[Workload]:
        port = free_port(_HOST)
        environ = {
            **neutral_environ(),
            "KUBECONFIG": str(self.kubeconfig),
            "FULFILLMENT_BIND_ADDRESS": _HOST,
            "FULFILLMENT_MANAGEMENT_PORT": str(port),
            **settings,
        }
        log = self.folder / f"{workload}.log"
        child = Child(self.build.fulfillment, [workload], log, self.build.known(environ))
        await child.start()
        running = Workload(child, f"http://{_HOST}:{port}", self.http)
        try:
            await running.until(lambda: _answers(self.http, f"{running.management_url}/readyz"), within=_READY_WITHIN)
            yield running
        finally:
            ended = child.how_it_ended()
            await child.stop()
            if ended is not None:  # whatever failed meanwhile, this is the cause
                raise MeasurementError(ended)

    async def posts(self) -> int:
        """Return how often the http backend has posted to the endpoint."""
        async with self.http.get(self.endpoint_url) as response:
            return int(await response.text())

    async def send(self, shots: Sequence[Shot], *, rate: float | None = None) -> Report:
        """Send requests from a process of its own.

        Raises:
            MeasurementError: one of them was not answered with 2xx.
        """
        verify = str(self.ca) if shots[0].url.startswith("https") else None
        job = Job(shots=list(shots), concurrency=self.senders, rate=rate, ca=verify)
        files = [self.folder / name for name in ("job.json", "report.json")]
        await asyncio.to_thread(files[0].write_bytes, msgspec.json.encode(job))
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.sender", *map(str, files), cwd=ROOT
        )
        try:
            if await sender.wait() != 0:
                raise MeasurementError(f"the sender ended with exit code {sender.returncode}")
        finally:
            if sender.returncode is None:
                sender.kill()
                await sender.wait()
        report = msgspec.json.decode(await asyncio.to_thread(files[1].read_bytes), type=Report)
        check(report.outcomes)
        return report

    async def send_events(self, count: int, order: Order | None = None) -> list[PlayedOrder]:
        """Let orders be placed, and their events taken, so that their requests are there."""
        orders = await play(self.stripe, order or Order(), count)
        async with self.service() as service:
            await self.send(service.shots(orders))
        return orders

    async def make(self, template: Template, orders: Sequence[Ids], *, namespace: str = NAMESPACE) -> None:
        """Put requests into the cluster that are as the template is."""
        for start in range(0, len(orders), _MADE_AT_ONCE):
            some = orders[start : start + _MADE_AT_ONCE]
            await self.send([template.create(self.api, namespace, ids) for ids in some])
            if "status" in template.stored:
                await self.send([template.patch_status(self.api, namespace, ids) for ids in some])

    async def kept(self, *orders: Order, phase: str, path: str = "/") -> list[Template]:
        """Let the product bring orders to a phase, and return each as a template.

        Args:
            orders: what is ordered.
            phase: where each is to stand, such as `awaiting-payment`.
            path: as `operator` takes it.
        """
        made = [await play(self.stripe, order, 1) for order in orders]
        ids = [each.ids for (each,) in made]
        async with self.service() as service:
            await self.send(service.shots([each for (each,) in made]))
        async with self.operator(path=path) as operator:

            async def are_there() -> bool:
                stored = [await self.stored(each) for each in ids]
                return all(each.phase == phase for each in stored)

            await operator.until(are_there, within=_READY_WITHIN)
        return [await self.stored(each) for each in ids]

    async def template(self, order: Order, *, phase: str, path: str = "/") -> Template:
        """Make one template as `kept` does, and delete the order itself."""
        (template,) = await self.kept(order, phase=phase, path=path)
        await self.api.delete(f"{requests_path(NAMESPACE)}/{template.ids.name}")
        return template

    async def stored(self, ids: Ids) -> Template:
        """Return an order as the API server has it, as a template."""
        found: dict[str, Any] = await self.api.get(f"{requests_path(NAMESPACE)}/{ids.name}")
        return Template(ids, found)


@asynccontextmanager
async def open_world(programs: Programs, build: Build, *, senders: int, limited: bool) -> AsyncIterator[World]:
    """Start a control plane with the build's own CustomResourceDefinition, and the stand-ins; no workload yet.

    Args:
        programs: what runs the API server.
        build: whose product it is.
        senders: how many requests are sent at once.
        limited: whether Stripe's stand-in answers no more than Stripe's rate limits allow.

    Raises:
        UnavailableError: a part cannot start; with the last lines it wrote.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        limits = f"--{'' if limited else 'no-'}rate-limits"
        stripe = await _start_stand_in(stack, folder, "fulfillment_local.fake_stripe", limits, "--port")
        endpoint = await _start_stand_in(stack, folder, "benchmarks.endpoint")
        control_plane = await stack.enter_async_context(ControlPlane.running(programs))
        verify = ssl.create_default_context(cafile=control_plane.ca)
        connector = aiohttp.TCPConnector(ssl=verify)
        secure = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for each in (stripe, endpoint):
            await wait_until_ready(_come_true(partial(_listens, http, each.url)), each.child, within=_READY_WITHIN)
        world = World(
            build=build,
            kubectl=control_plane.kubectl,
            kubeconfig=control_plane.kubeconfigs[User.ADMIN],
            api=ApiServer(control_plane, secure),
            stripe=WorldClient(stripe.url, http),
            senders=senders,
            ca=control_plane.ca,
            stripe_url=stripe.url,
            endpoint_url=endpoint.url,
            folder=folder,
            http=http,
        )
        await _install_crd(control_plane, world)
        yield world


@dataclass(frozen=True, slots=True)
class _StandIn:
    child: Child
    url: str


async def _start_stand_in(stack: AsyncExitStack, folder: Path, module: str, *options: str) -> _StandIn:
    port = free_port(_HOST)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**neutral_environ(), "PYTHONPATH": path}
    child = Child(Path(sys.executable), ["-m", module, *options, str(port)], folder / f"{module}.log", environ)
    await child.start()
    stack.push_async_callback(child.stop)
    return _StandIn(child, f"http://{_HOST}:{port}")


async def _install_crd(control_plane: ControlPlane, world: World) -> None:
    await control_plane.install(yaml.safe_load(await run(world.build.fulfillment, "crd")))


async def run(program: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> bytes:
    """Run a program to its end, and return what it prints.

    Raises:
        MeasurementError: it failed; with its own words.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        env=environ or neutral_environ(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode:
        shown = " ".join([program.name, *arguments[:3]])
        raise MeasurementError(f"{shown}: exit code {process.returncode}: {errors.decode()[-500:].strip()}")
    return output


def check(outcomes: Sequence[Outcome]) -> None:
    """See that all requests were answered with 2xx.

    Raises:
        MeasurementError: one was not.
    """
    bad = [each for each in outcomes if each.status not in {HTTPStatus.OK, HTTPStatus.CREATED}]
    if bad:
        first = f"the first: {bad[0].status} {bad[0].problem}"
        raise MeasurementError(f"{len(bad)} of {len(outcomes)} requests were not answered with 2xx; {first}")


async def _come_true(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - a metric is no event
        await asyncio.sleep(_LOOK_EVERY)


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as response:
            return response.status == HTTPStatus.OK
    except aiohttp.ClientConnectionError:  # it does not listen yet
        return False


async def _listens(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url):
            return True
    except aiohttp.ClientConnectionError:
        return False
