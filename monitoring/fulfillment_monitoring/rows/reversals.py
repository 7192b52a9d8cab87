"""Reversals: refunds and disputes of orders, and how they went on."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import count, of_namespace, per_minute

_REVERSED = "max by (kind, acknowledged) (" + of_namespace("fulfillment_reversed_requests") + ")"

REVERSALS: Sequence[Panel] = (
    Graph(
        title="Refunded and disputed orders",
        description="Fulfilled orders in the cluster by what became of their refunds and disputes.",
        queries=[Query(_REVERSED, "{{kind}}, acknowledged: {{acknowledged}}")],
        unit=Unit.COUNT,
        width=8,
        runbook="CheckoutOrderDisputed",
    ),
    Graph(
        title="New refunds and disputes",
        description="Refunds and disputes, and how they went on, in a minute; but for those that ended an order.",
        queries=[per_minute("kind", "fulfillment_reversals_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
    Graph(
        title="Stopped before they were fulfilled",
        description="Orders in the cluster that a refund or a dispute ended first; a failed refund, or a dispute that "
        "is over, waits for a person.",
        queries=[
            Query(count('phase="failed"', 'reason=~"Refunded|RefundFailed|Dispute.+"', by=" by (reason)"), "{{reason}}")
        ],
        unit=Unit.COUNT,
        width=8,
        runbook="CheckoutOrderDisputed",
    ),
)
