"""The registry that each workload puts its metrics in: it has those of the process, and the version that runs."""

from importlib.metadata import version

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Gauge


def process_registry() -> CollectorRegistry:
    """Make a registry with the metrics of this process and `fulfillment_build_info`."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    build = Gauge("fulfillment_build_info", "The version that runs; always 1.", ["version"], registry=registry)
    build.labels(version("checkout-fulfillment")).set(1)
    return registry
