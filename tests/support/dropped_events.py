"""Which Events an operator did not write, by its metrics."""

from collections import Counter

from prometheus_client import CollectorRegistry


def dropped_events(registry: CollectorRegistry) -> Counter[tuple[str, str]]:
    """Count them by (type, cause)."""
    samples = (sample for family in registry.collect() for sample in family.samples)
    return +Counter(
        {
            (sample.labels["type"], sample.labels["cause"]): int(sample.value)
            for sample in samples
            if sample.name == "fulfillment_kubernetes_events_dropped_total"
        }
    )
