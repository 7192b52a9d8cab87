"""Tells Prometheus when recoveries last succeeded, and what the last one found: a run is too short to be asked."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from msgspec.structs import asdict
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fulfillment_api.recovery import Noted, noted_in
from fulfillment_runtime.kubernetes_configmaps import ConfigMapApi
from fulfillment_runtime.kubernetes_errors import KubernetesError

_log = structlog.get_logger(__name__)


class RecoveryCollector(Collector):
    """Tells at each scrape what is noted of the recoveries; nothing until it is read: a 0 would say that none ran."""

    def __init__(self) -> None:
        self._noted: Noted | None = None

    def note(self, noted: Noted) -> None:
        """Take what is noted."""
        self._noted = noted

    def collect(self) -> Iterable[Metric]:
        """Tell it."""
        noted = self._noted
        if noted is None:
            return
        yield GaugeMetricFamily(
            "fulfillment_recovery_last_success_timestamp_seconds",
            "When a recovery last ended with nothing left behind, in Unix time; 0 before the first.",
            value=noted.last_success.timestamp() if noted.last_success else 0,
        )
        events = GaugeMetricFamily(
            "fulfillment_recovery_last_run_events",
            "Events that the last recovery that came to its end found at Stripe, by what became of them.",
            labels=["outcome"],
        )
        for outcome, count in asdict(noted.last_result).items():
            events.add_metric([outcome], count)
        yield events


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryWatch:
    """Looks again and again at the ConfigMap of the recoveries, while this operator leads."""

    lines: ConfigMapApi
    every: timedelta
    """Between two looks."""
    metrics: RecoveryCollector

    async def run(self) -> None:
        """Look, for ever. What cannot be read is logged, and the metrics stay as they are until the next look."""
        while True:
            try:
                self.metrics.note(noted_in(await self.lines.read()))
            except (KubernetesError, ValueError) as error:
                _log.warning("recovery.notes_unreadable", message=str(error))
            await asyncio.sleep(self.every.total_seconds())
