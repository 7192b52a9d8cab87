"""What the operator does to bring orders to their end."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace, per_minute, quantile_by, quantiles

OPERATOR: Sequence[Panel] = (
    Graph(
        title="Backend attempts",
        description="By result, in a minute.",
        queries=[per_minute("backend, result", "fulfillment_backend_attempts_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutBackendErrors",
    ),
    Graph(
        title="Backend attempt duration",
        description="How long one attempt of the fulfillment backend takes.",
        queries=quantiles("fulfillment_backend_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Stripe request duration",
        description="How long one Session with all line items takes, the wait for the rate limit included.",
        queries=quantiles("fulfillment_stripe_request_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutStripeUnavailable",
    ),
    Graph(
        title="Wait for a turn at Stripe",
        description="How long a request waits until Stripe's limits allow it, by endpoint: 99 in 100 wait less.",
        queries=[quantile_by("endpoint", "fulfillment_stripe_wait_seconds")],
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Reconcile errors",
        description="Reconciliations that failed, by error, in a minute.",
        queries=[per_minute("error", "fulfillment_reconcile_errors_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutReconcileErrors",
    ),
    Graph(
        title="Reconcile duration",
        description="How long one reconciliation of an order takes, with every call that it makes.",
        queries=quantiles("fulfillment_reconcile_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Queue depth",
        description="Orders that wait for a worker.",
        queries=[Query(f"max({of_namespace('fulfillment_queue_depth')})", "waiting")],
        unit=Unit.COUNT,
        width=8,
    ),
    Graph(
        title="Since the last watch event",
        description="How long ago the watch last received an order, and heard anything. Without orders the first "
        "grows; the second stays below two minutes.",
        queries=[
            Query(f"time() - max({of_namespace('fulfillment_watch_last_event_timestamp_seconds')})", "an order"),
            Query(f"time() - max({of_namespace('fulfillment_watch_last_heard_timestamp_seconds')})", "anything"),
        ],
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutWatchStale",
    ),
    Graph(
        title="Events not written",
        description="Kubernetes Events about orders, by type and why not: in a backlog most of type Normal.",
        queries=[per_minute("type, cause", "fulfillment_kubernetes_events_dropped_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
)
