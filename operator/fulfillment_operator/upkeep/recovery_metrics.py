"""Exposes when recoveries last succeeded, and what the last one found: a run is too short to be scraped."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from msgspec.structs import asdict
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fulfillment_api.recovery import LastRun, parse_last_run
from fulfillment_runtime.kubernetes.configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes.errors import KubernetesError

_log = structlog.get_logger(__name__)


class RecoveryCollector(Collector):
    """Yields at each scrape what the last recoveries left; nothing until it is read: a 0 would say that none ran."""

    def __init__(self) -> None:
        self._last_run: LastRun | None = None

    def update(self, last_run: LastRun) -> None:
        """Set what the last recoveries left."""
        self._last_run = last_run

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        last_run = self._last_run
        if last_run is None:
            return
        yield GaugeMetricFamily(
            "fulfillment_recovery_last_success_timestamp_seconds",
            "When a recovery last ended with nothing left behind, in Unix time; 0 before the first.",
            value=last_run.last_success.timestamp() if last_run.last_success else 0,
        )
        events = GaugeMetricFamily(
            "fulfillment_recovery_last_run_events",
            "Events that the last recovery that came to its end found at Stripe, by what became of them.",
            labels=["outcome"],
        )
        for outcome, count in asdict(last_run.last_result).items():
            events.add_metric([outcome], count)
        yield events


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryMetrics:
    """Reads the ConfigMap of the recoveries again and again, while this operator leads."""

    configmap: ConfigMapApi
    interval: timedelta
    """Between two reads."""
    collector: RecoveryCollector

    async def run(self) -> None:
        """Read it, for ever. What cannot be read is logged, and the metrics stay as they are until the next time."""
        while True:
            try:
                self.collector.update(parse_last_run(await self.configmap.read()))
            except (KubernetesError, ValueError) as error:
                _log.warning("recovery.last_run_unreadable", message=str(error))
            await asyncio.sleep(self.interval.total_seconds())
