"""A person has dealt with every failure so far."""

from support.live_cluster import eventually
from support.running_prometheus import RunningPrometheus


async def test_an_acknowledged_failure_is_told_apart(prometheus: RunningPrometheus, acknowledged_at: float) -> None:
    """Each failed order is acknowledged by the annotation of its runbook, and the gauge says so."""
    del acknowledged_at
    await eventually(
        lambda: prometheus.query('max by (reason) (fulfillment_requests{phase="failed",acknowledged="false"} > 0)'),
        lambda series: not series,
        within=60,
        what="no failure is left that nobody has acknowledged",
    )
