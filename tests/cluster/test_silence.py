"""What was acknowledged stops firing."""

import time
from collections.abc import Callable

from support.live_cluster import eventually
from support.running_prometheus import RunningPrometheus

STOPS_WITHIN = 2 * 60 + 90.0  # seconds: by these rules a level bridges two minutes, for restarts
OF_FAILURES = {"CheckoutPaymentFailed", "CheckoutFulfillmentFailed"}


async def test_an_acknowledged_failure_stops_firing(
    prometheus: RunningPrometheus, acknowledged_at: float, figure: Callable[[str, str], None]
) -> None:
    """Though the failed order is still there, and whatever was restarted meanwhile."""
    left = acknowledged_at + STOPS_WITHIN - time.monotonic()
    await eventually(prometheus.firing, OF_FAILURES.isdisjoint, within=left, what="the alerts stop")
    figure("an acknowledged failure", f"has stopped firing {time.monotonic() - acknowledged_at:.0f} s later")
