"""What comes from Stripe, and from backends that call back."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Graph, Heat, Panel, Query, Unit
from fulfillment_monitoring.queries import of_namespace, per_minute, quantiles

WEBHOOK: Sequence[Panel] = (
    Graph(
        title="Events",
        description="Events that Stripe signed, by outcome, in a minute.",
        queries=[per_minute("outcome", "fulfillment_webhook_events_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
    Graph(
        title="Rejected requests",
        description="Requests that were rejected, by reason, in a minute: no events of Stripe's, or events of which "
        "nothing can be made.",
        queries=[per_minute("reason", "fulfillment_webhook_rejections_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutSignatureFailures",
    ),
    Graph(
        title="Answers",
        description="By HTTP status, in a minute. Stripe sends again what is not answered with 2xx.",
        queries=[per_minute("status", "fulfillment_webhook_duration_seconds_count")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutWebhookErrors",
    ),
    Graph(
        title="Time to answer",
        description="From a request's head to its answer. Checkout holds the buyer's redirect for it, up to 10 s.",
        queries=quantiles("fulfillment_webhook_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Heat(
        title="Time to answer, spread",
        description="How many requests took how long.",
        query=Query(
            f"sum by (le) (increase({of_namespace('fulfillment_webhook_duration_seconds_bucket')}[$__rate_interval]))",
            "{{le}}",
        ),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="In flight",
        description="Requests that a webhook pod is working on.",
        queries=[Query(of_namespace("fulfillment_webhook_in_flight"), "{{pod}}")],
        unit=Unit.COUNT,
        width=8,
    ),
    Graph(
        title="Callbacks",
        description="Callbacks of the http backend's endpoint about orders in progress, by outcome, in a minute.",
        queries=[per_minute("outcome", "fulfillment_callbacks_total")],
        unit=Unit.PER_MINUTE,
        width=12,
        stacked=True,
        runbook="CheckoutCallbackErrors",
    ),
    Graph(
        title="Time to answer a callback",
        description="From a callback's head to its answer.",
        queries=quantiles("fulfillment_callback_duration_seconds"),
        unit=Unit.SECONDS,
        width=12,
    ),
)
