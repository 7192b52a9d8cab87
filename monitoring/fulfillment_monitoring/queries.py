"""The expressions that panels are made of. Grafana fills `$namespace`, `$__range` and `$__rate_interval`."""

from fulfillment_monitoring.panels import Query


def of_namespace(metric: str, *matchers: str) -> str:
    """Select a metric's series in the chosen namespace."""
    return metric + "{" + ",".join(['namespace="$namespace"', *matchers]) + "}"


def per_minute(by: str, metric: str, *matchers: str) -> Query:
    """Ask how much a counter grows in a minute, by labels such as `phase, reason`."""
    expression = f"60 * sum by ({by}) (rate({of_namespace(metric, *matchers)}[$__rate_interval]))"
    return Query(expression, " ".join(f"{{{{{label}}}}}" for label in by.split(", ")))


def quantiles(metric: str) -> list[Query]:
    """Ask for the median of a histogram, and what one in a hundred is above."""
    buckets = f"sum by (le) (rate({of_namespace(metric + '_bucket')}[$__rate_interval]))"
    return [Query(f"histogram_quantile({share}, {buckets})", name) for share, name in ((0.5, "p50"), (0.99, "p99"))]


def quantile_by(label: str, metric: str) -> Query:
    """Ask what one in a hundred of a histogram is above, for each value of a label."""
    buckets = f"sum by (le, {label}) (rate({of_namespace(metric + '_bucket')}[$__rate_interval]))"
    return Query(f"histogram_quantile(0.99, {buckets})", f"{{{{{label}}}}}")


def count(*matchers: str, by: str = "") -> str:
    """Count the requests that are not fulfilled."""
    # Only the leader exports the level; after a change of it the last one's is there for a while.
    return f"sum{by} (max by (phase, reason, acknowledged) ({of_namespace('fulfillment_requests', *matchers)}))"


LEADER = of_namespace("fulfillment_leader")
"""1 for the operator that works, 0 for a standby."""
