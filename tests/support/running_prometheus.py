"""A Prometheus as a process of this machine, and what it can be asked."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
import yaml

from fulfillment_local.processes import Child, wait_until_ready
from support.live_cluster import says

T = TypeVar("T")

_READY_WITHIN = 60.0  # seconds


class Series(msgspec.Struct, frozen=True):
    """A series at one moment."""

    metric: dict[str, str]
    value: tuple[float, str]
    """The moment, and the value as text."""


class Rule(msgspec.Struct, frozen=True):
    """An alert's rule."""

    name: str
    health: str
    """`ok` once it was evaluated without an error."""


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """What is scraped."""

    labels: dict[str, str]
    health: str
    last_error: str


class _Answer(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class _Vector(msgspec.Struct):
    result: list[Series]


class _Group(msgspec.Struct):
    rules: list[Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    state: str


class _Alerts(msgspec.Struct):
    alerts: list[_Alert]


class _Targets(msgspec.Struct, rename="camel"):
    active_targets: list[Target]


class PrometheusError(Exception):
    """What Prometheus says when it refuses."""


class RunningPrometheus:
    """A Prometheus that answers."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def query(self, expression: str, at: float | None = None) -> list[Series]:
        """Evaluate an expression, now or at a moment, in seconds since the epoch.

        Raises:
            PrometheusError: it cannot be evaluated.
        """
        moment = {} if at is None else {"time": f"{at:.3f}"}
        return (await self._ask("query", _Vector, query=expression, **moment)).result

    async def rules(self) -> list[Rule]:
        """Get the alerts' rules."""
        return [rule for group in (await self._ask("rules", _Groups)).groups for rule in group.rules]

    async def targets(self) -> list[Target]:
        """Get what is scraped."""
        return (await self._ask("targets", _Targets, state="active")).active_targets

    async def firing(self) -> list[str]:
        """Get the names of the alerts that fire; unlike the series `ALERTS`, from the first moment on."""
        alerts = (await self._ask("alerts", _Alerts)).alerts
        return sorted({each.labels["alertname"] for each in alerts if each.state == "firing"})

    async def _ask(self, path: str, kind: type[T], **parameters: str) -> T:
        async with self._http.get(f"{self._url}/api/v1/{path}", params=parameters) as response:
            answer = msgspec.json.decode(await response.read(), type=_Answer)
        if answer.status != "success":
            raise PrometheusError(f"{parameters}: {answer.error}")
        return msgspec.json.decode(answer.data, type=kind)


@asynccontextmanager
async def running_prometheus(
    program: Path, folder: Path, scrape_configs: Sequence[Mapping[str, Any]], rules: Mapping[str, Any], *, interval: str
) -> AsyncIterator[RunningPrometheus]:
    """Run Prometheus, and stop it in the end.

    Args:
        program: its executable.
        folder: where it keeps its files.
        scrape_configs: what it scrapes.
        rules: a file of rules, as the spec of a PrometheusRule.
        interval: how often it scrapes.

    Raises:
        UnavailableError: it does not start; with the last lines that it wrote.
    """
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": list(scrape_configs),
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    log = folder / "log"
    arguments = (
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )
    child = Child(program, arguments, log)
    await child.start()
    try:
        async with aiohttp.ClientSession() as http:
            await wait_until_ready(says(log, "Server is ready"), child, within=_READY_WITHIN)
            (address,) = re.findall(r'msg="Listening on" .*address=(\S+)', log.read_text())
            yield RunningPrometheus(f"http://{address}", http)
    finally:
        await child.stop()
