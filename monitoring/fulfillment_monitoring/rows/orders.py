"""The way of orders, from their request to their end."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import count, of_namespace, per_minute, quantiles

_OLDEST = of_namespace("fulfillment_oldest_request_timestamp_seconds", 'phase!="failed"')

ORDERS: Sequence[Panel] = (
    Graph(
        title="Orders that are not fulfilled",
        description="By phase and reason. An order without a phase has not been reconciled yet; for one that does not "
        "decode nothing is done.",
        queries=(
            Query(count('phase!=""', by=" by (phase, reason)") + " > 0", "{{phase}} {{reason}}"),
            Query(count('phase=""') + " > 0", "not reconciled yet"),
            Query(f"max({of_namespace('fulfillment_undecodable_requests')}) > 0", "does not decode"),
        ),
        unit=Unit.COUNT,
        width=12,
    ),
    Graph(
        title="Phase transitions",
        description="Orders that entered a phase, in a minute.",
        queries=[per_minute("phase, reason", "fulfillment_transitions_total")],
        unit=Unit.PER_MINUTE,
        width=12,
        stacked=True,
    ),
    Graph(
        title="Time to fulfill",
        description="From a request's creation to its fulfillment. With delayed payments that is days.",
        queries=quantiles("fulfillment_time_to_fulfill_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Age of the oldest order",
        description="Of the orders that wait in a phase, how long ago the oldest was created, or paid if it is "
        "fulfilling.",
        queries=[Query(f"time() - min by (phase) ({_OLDEST})", "{{phase}}")],
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutPaymentOverdue",
    ),
    Graph(
        title="Mails to customers",
        description="About failed payments, and receipts, by result, in a minute.",
        queries=[per_minute("mail, reason", "fulfillment_mails_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutMailErrors",
    ),
)
