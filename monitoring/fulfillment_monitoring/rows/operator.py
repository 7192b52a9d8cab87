"""What the operator does to bring orders to their end."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace, per_minute, quantiles

OPERATOR: Sequence[Panel] = (
    Graph(
        title="Backend: tries",
        description="By what came of them, in a minute.",
        queries=[per_minute("backend, result", "fulfillment_backend_attempts_total")],
        unit=Unit.PER_MINUTE,
        width=6,
        stacked=True,
        runbook="CheckoutBackendErrors",
    ),
    Graph(
        title="Backend: time of a try",
        description="The fulfillment backend's own time.",
        queries=quantiles("fulfillment_backend_duration_seconds"),
        unit=Unit.SECONDS,
        width=6,
    ),
    Graph(
        title="Stripe: time to retrieve an order",
        description="One Session with all line items. Waiting for a turn within the rate is in it.",
        queries=quantiles("fulfillment_stripe_request_duration_seconds"),
        unit=Unit.SECONDS,
        width=6,
        runbook="CheckoutStripeUnavailable",
    ),
    Graph(
        title="Errors",
        description="Looks at an order that could not be finished, by what was in the way, in a minute.",
        queries=[per_minute("error", "fulfillment_reconcile_errors_total")],
        unit=Unit.PER_MINUTE,
        width=6,
        stacked=True,
        runbook="CheckoutReconcileErrors",
    ),
    Graph(
        title="Time of a look",
        description="One look at an order, with every call that it makes.",
        queries=quantiles("fulfillment_reconcile_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Queue",
        description="Orders that wait for a worker.",
        queries=[Query(f"max({of_namespace('fulfillment_queue_depth')})", "waiting")],
        unit=Unit.COUNT,
        width=8,
    ),
    Graph(
        title="Silence of the watch",
        description="How long ago the Kubernetes API last told of an order. Without orders it grows.",
        queries=[Query(f"time() - max({of_namespace('fulfillment_watch_last_event_timestamp_seconds')})", "ago")],
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutOperatorDeaf",
    ),
)
