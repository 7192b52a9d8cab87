"""A workload as the kubelet keeps it: probed as the chart says, ended when it is not live, started when it ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from fulfillment_local.ports import free_port
from fulfillment_local.processes import Child

HOST = "127.0.0.1"
FULFILLMENT = Path(sys.executable).with_name("fulfillment")

_STARTED_AGAIN_AFTER = 1.0  # seconds; the kubelet begins with 10 and doubles: the bench shows the product, not that
_PROBED_EVERY, _PROBE_TIMEOUT, _FAILURES = 10.0, 5.0, 3  # as the chart has it
_GRACE = 30.0  # terminationGracePeriodSeconds
_LOOK_EVERY = 0.05


class Pod:
    """One workload and its process, which has another id after each restart."""

    def __init__(
        self, name: str, http: aiohttp.ClientSession, log: Path, environ: Mapping[str, str], wrapper: Sequence[str] = ()
    ) -> None:
        """Name it.

        Args:
            name: the workload, such as `operator`; what follows a dash tells it from others.
            http: asks it.
            log: the file of its standard error.
            environ: its settings.
            wrapper: the program that runs it, with its arguments; empty: none does.
        """
        self.name = name
        self.log = log
        self.restarts = 0
        self.port = int(environ["FULFILLMENT_MANAGEMENT_PORT"])
        self._http = http
        command = [*wrapper, str(FULFILLMENT), name.partition("-")[0]]
        self._child = Child(Path(command[0]), command[1:], log, environ)

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._child.pid

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Pod"]:
        """Keep it at work while the context lasts; then kill it, for how it ends in good order shows nothing."""
        await self._child.start()
        keeping = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._child.kill()

    def kill(self) -> None:
        """End it at once, as the kernel does: SIGKILL. It is started again."""
        self._child.signal(signal.SIGKILL)

    def terminate(self) -> None:
        """End it as the kubelet does: SIGTERM. It is started again."""
        self._child.signal(signal.SIGTERM)

    def suspend(self) -> None:
        """Stop its clock: SIGSTOP."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._child.signal(signal.SIGCONT)

    async def status(self, path: str) -> int | None:
        """Ask its management port, and return the status; None: no answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=_PROBE_TIMEOUT)
            async with self._http.get(f"http://{HOST}:{self.port}{path}", timeout=timeout) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def ready(self) -> None:
        """Wait until it is ready."""
        while await self.status("/readyz") != HTTPStatus.OK:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(_LOOK_EVERY)

    async def metric(self, name: str) -> float | None:
        """Scrape the sum of a metric; None: it does not answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=_PROBE_TIMEOUT)
            async with self._http.get(f"http://{HOST}:{self.port}/metrics", timeout=timeout) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        families = text_string_to_metric_families(text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    async def _keep(self) -> None:
        while True:
            async with asyncio.TaskGroup() as group:
                ended, probing = group.create_task(self._child.wait()), group.create_task(self._probe())
                await asyncio.wait([ended, probing], return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():  # it does not answer
                    self._child.signal(signal.SIGTERM)
                    await asyncio.wait([ended], timeout=_GRACE)
                    self._child.signal(signal.SIGKILL)
                probing.cancel()
            self.restarts += 1
            await asyncio.sleep(_STARTED_AGAIN_AFTER)
            await self._child.start()

    async def _probe(self) -> None:
        """Return when it is not live."""
        with suppress(TimeoutError):
            async with asyncio.timeout(30):  # the startup probe
                await self.ready()
        failures = 0
        while failures < _FAILURES:
            await asyncio.sleep(_PROBED_EVERY)
            failures = 0 if await self.status("/healthz") == HTTPStatus.OK else failures + 1


def settings_environ(kubeconfig: Path, **settings: str) -> dict[str, str]:
    """Make the environment of a workload: this process's, with these settings of the product's and no other."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("FULFILLMENT_", "STRIPE_"))}
    return {
        **mine,
        "KUBECONFIG": str(kubeconfig),
        "FULFILLMENT_BIND_ADDRESS": HOST,
        "FULFILLMENT_MANAGEMENT_PORT": str(free_port(HOST)),
        **settings,
    }
