"""What became of orders after they were fulfilled, or paid."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import count, of_namespace, per_minute

_AFTERWARDS = "max by (kind, acknowledged) (" + of_namespace("fulfillment_after_sale_requests") + ")"

AFTER_SALE: Sequence[Panel] = (
    Graph(
        title="Refunded and disputed orders",
        description="Fulfilled orders in the cluster whose payment was refunded or is disputed.",
        queries=[Query(_AFTERWARDS, "{{kind}}, acknowledged: {{acknowledged}}")],
        unit=Unit.COUNT,
        width=8,
        runbook="CheckoutOrderDisputed",
    ),
    Graph(
        title="Refunds and disputes",
        description="Fulfilled orders that were refunded or disputed, in a minute.",
        queries=[per_minute("kind", "fulfillment_after_sale_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
    Graph(
        title="Stopped before they were fulfilled",
        description="Orders in the cluster that a refund or a dispute ended first.",
        queries=[Query(count('phase="failed"', 'reason=~"Refunded|Disputed"', by=" by (reason)"), "{{reason}}")],
        unit=Unit.COUNT,
        width=8,
        runbook="CheckoutOrderDisputed",
    ),
)
