"""The pods of both workloads."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace


def _of_ours(process_metric: str) -> str:
    ours = of_namespace("fulfillment_build_info")
    return f"{process_metric} and on (job, instance) {ours}"


PODS: Sequence[Panel] = (
    Graph(
        title="CPU",
        description="Cores that each pod's process uses.",
        queries=[Query(_of_ours(f"rate({of_namespace('process_cpu_seconds_total')}[$__rate_interval])"), "{{pod}}")],
        unit=Unit.CORES,
        width=6,
    ),
    Graph(
        title="Memory",
        description="Resident memory of each pod's process.",
        queries=[Query(_of_ours(of_namespace("process_resident_memory_bytes")), "{{pod}}")],
        unit=Unit.BYTES,
        width=6,
    ),
    Graph(
        title="Running for",
        description="Since each pod's process started. A fall to 0 is a restart.",
        queries=[Query(f"time() - ({_of_ours(of_namespace('process_start_time_seconds'))})", "{{pod}}")],
        unit=Unit.SECONDS,
        runbook="CheckoutRestarting",
        width=6,
    ),
    Graph(
        title="Versions",
        description="Pods of each version.",
        queries=[Query(f"count by (version) ({of_namespace('fulfillment_build_info')})", "{{version}}")],
        unit=Unit.COUNT,
        width=6,
    ),
)
