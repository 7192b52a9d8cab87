"""What runs beside the orders: recovery, retention, the check of the webhook endpoint that is registered at Stripe."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace, per_minute

# Only the leader exports these; the series of the one before it is there for a while.
_RECOVERED_AT = f"max({of_namespace('fulfillment_recovery_last_success_timestamp_seconds')})"
_RECOVERED = f"max by (outcome) ({of_namespace('fulfillment_recovery_last_run_events')})"
_PROBLEMS = f"max by (problem) ({of_namespace('fulfillment_webhook_endpoint_problem')})"
_CUT_SHORT = f"60 * sum(rate({of_namespace('fulfillment_retention_failures_total')}[$__rate_interval]))"

UPKEEP: Sequence[Panel] = (
    Graph(
        title="Since the last recovery",
        description="How long ago a recovery last succeeded. Empty when none has, or none is switched on.",
        queries=[Query(f"time() - ({_RECOVERED_AT} > 0)", "ago")],
        unit=Unit.SECONDS,
        width=6,
        runbook="CheckoutRecoveryOverdue",
    ),
    Graph(
        title="The last recovery's events",
        description="What the last recovery found at Stripe. What it creates or updates, the webhook has missed.",
        queries=[Query(_RECOVERED, "{{outcome}}")],
        unit=Unit.COUNT,
        width=6,
        runbook="CheckoutRecoveryFailed",
    ),
    Graph(
        title="Deleted orders",
        description="Finished orders whose retention was over, in a minute; and sweeps for them that were cut short.",
        queries=[per_minute("phase", "fulfillment_requests_deleted_total"), Query(_CUT_SHORT, "cut short")],
        unit=Unit.PER_MINUTE,
        width=6,
    ),
    Graph(
        title="Webhook endpoint problems",
        description="1 while the webhook endpoint that is registered at Stripe has this problem.",
        queries=[Query(_PROBLEMS, "{{problem}}")],
        unit=Unit.COUNT,
        width=6,
        runbook="CheckoutEndpointMisconfigured",
    ),
)
