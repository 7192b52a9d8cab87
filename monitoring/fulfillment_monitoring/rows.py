"""What the person on call sees: how the orders stand, then each step of their way, then the pods."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Bad, Figure, Graph, Heat, Panel, Query, Unit


def _in(metric: str, *matchers: str) -> str:
    return metric + "{" + ",".join(['namespace="$namespace"', *matchers]) + "}"


def _per_minute(by: str, metric: str, *matchers: str) -> Query:
    expression = f"60 * sum by ({by}) (rate({_in(metric, *matchers)}[$__rate_interval]))"
    return Query(expression, " ".join(f"{{{{{label}}}}}" for label in by.split(", ")))


def _quantiles(metric: str) -> list[Query]:
    buckets = f"sum by (le) (rate({_in(metric + '_bucket')}[$__rate_interval]))"
    return [Query(f"histogram_quantile({share}, {buckets})", name) for share, name in ((0.5, "p50"), (0.99, "p99"))]


def _count(*matchers: str, by: str = "") -> str:
    # Only the leader tells the level; after a change of it the last one's is there for a while.
    return f"sum{by} (max by (phase, reason, acknowledged) ({_in('fulfillment_requests', *matchers)}))"


def _of_ours(process_metric: str) -> str:
    ours = _in("fulfillment_build_info")
    return f"{process_metric} and on (job, instance) {ours}"


_LEADER = _in("fulfillment_leader")
_FULFILLED = _in("fulfillment_transitions_total", 'phase="fulfilled"')

_NOW: Sequence[Panel] = (
    Figure(
        title="Awaiting payment",
        description="Orders whose payment is on its way; a delayed one takes days.",
        query=Query(_count('phase="awaiting-payment"'), "orders"),
        unit=Unit.COUNT,
        width=3,
    ),
    Figure(
        title="Fulfilling",
        description="Orders, most of them paid, that are not handed over yet: the backend or Stripe is away.",
        query=Query(_count('phase="fulfilling"'), "orders"),
        unit=Unit.COUNT,
        width=3,
        runbook="CheckoutOrderStuck",
    ),
    Figure(
        title="Failed, not acknowledged",
        description="Failures that nobody has dealt with, of any reason.",
        query=Query(_count('phase="failed"', 'acknowledged="false"'), "orders"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.AT_LEAST_ONE,
        runbook="CheckoutFulfillmentFailed",
    ),
    Figure(
        title="Fulfilled",
        description="Orders that were fulfilled within the time chosen above.",
        query=Query(f"sum(increase({_FULFILLED}[$__range]))", "orders"),
        unit=Unit.COUNT,
        width=3,
    ),
    Figure(
        title="Last event",
        description="How long ago Stripe last sent an event; until the first, how long the webhook runs.",
        query=Query(f"time() - max({_in('fulfillment_webhook_last_event_timestamp_seconds')})", "ago"),
        unit=Unit.SECONDS,
        width=3,
        runbook="CheckoutEventsMissing",
    ),
    Figure(
        title="Webhook pods",
        description="Webhook pods that Prometheus scrapes.",
        query=Query(f"count({_in('fulfillment_webhook_in_flight')}) or vector(0)", "pods"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.NONE,
        runbook="CheckoutWebhookDown",
    ),
    Figure(
        title="Operator pods",
        description="Operator pods that Prometheus scrapes, the standbys among them.",
        query=Query(f"count({_LEADER}) or vector(0)", "pods"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.NONE,
        runbook="CheckoutOperatorDown",
    ),
    Figure(
        title="Leaders",
        description="Operators that hold the Lease, and work. There is to be one.",
        query=Query(f"sum({_LEADER}) or vector(0)", "leaders"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.OTHER_THAN_ONE,
        runbook="CheckoutNoLeader",
    ),
)

_ORDERS: Sequence[Panel] = (
    Graph(
        title="Orders that are not fulfilled",
        description="By phase and reason. An order without a phase has not been looked at yet.",
        queries=(
            Query(_count('phase!=""', by=" by (phase, reason)") + " > 0", "{{phase}} {{reason}}"),
            Query(_count('phase=""') + " > 0", "not looked at yet"),
        ),
        unit=Unit.COUNT,
        width=12,
    ),
    Graph(
        title="What became of orders",
        description="Orders that entered a phase, in a minute.",
        queries=[_per_minute("phase, reason", "fulfillment_transitions_total")],
        unit=Unit.PER_MINUTE,
        width=12,
        stacked=True,
    ),
    Graph(
        title="Time to fulfill",
        description="From a request's creation to its fulfillment. With delayed payments that is days.",
        queries=_quantiles("fulfillment_time_to_fulfill_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Age of the oldest order",
        description="Of the orders in a phase, how long ago the oldest was created.",
        queries=[
            Query(
                f"time() - min by (phase) ({_in('fulfillment_oldest_request_timestamp_seconds')})",
                "{{phase}}",
            )
        ],
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutPaymentOverdue",
    ),
    Graph(
        title="Mails to customers",
        description="About failed payments, and receipts, by what came of them, in a minute.",
        queries=[_per_minute("mail, reason", "fulfillment_mails_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutMailErrors",
    ),
)

_WEBHOOK: Sequence[Panel] = (
    Graph(
        title="Events",
        description="Events that Stripe signed, by what became of them, in a minute.",
        queries=[_per_minute("outcome", "fulfillment_webhook_events_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
    ),
    Graph(
        title="Refusals",
        description="Requests that were not taken for an event of Stripe's, by reason, in a minute.",
        queries=[_per_minute("reason", "fulfillment_webhook_refusals_total")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutSignatureFailures",
    ),
    Graph(
        title="Answers",
        description="By HTTP status, in a minute. Stripe sends again what is not answered with 2xx.",
        queries=[_per_minute("status", "fulfillment_webhook_duration_seconds_count")],
        unit=Unit.PER_MINUTE,
        width=8,
        stacked=True,
        runbook="CheckoutWebhookErrors",
    ),
    Graph(
        title="Time to answer",
        description="From a request's head to its answer. Checkout holds the buyer's redirect for it, up to 10 s.",
        queries=_quantiles("fulfillment_webhook_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Heat(
        title="Time to answer, spread",
        description="How many requests took how long.",
        query=Query(
            f"sum by (le) (increase({_in('fulfillment_webhook_duration_seconds_bucket')}[$__rate_interval]))", "{{le}}"
        ),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="In flight",
        description="Requests that a webhook pod is working on.",
        queries=[Query(_in("fulfillment_webhook_in_flight"), "{{pod}}")],
        unit=Unit.COUNT,
        width=8,
    ),
)

_OPERATOR: Sequence[Panel] = (
    Graph(
        title="Backend: tries",
        description="By what came of them, in a minute.",
        queries=[_per_minute("backend, result", "fulfillment_backend_attempts_total")],
        unit=Unit.PER_MINUTE,
        width=6,
        stacked=True,
        runbook="CheckoutBackendErrors",
    ),
    Graph(
        title="Backend: time of a try",
        description="The fulfillment backend's own time.",
        queries=_quantiles("fulfillment_backend_duration_seconds"),
        unit=Unit.SECONDS,
        width=6,
    ),
    Graph(
        title="Stripe: time to retrieve an order",
        description="One Session with all line items. Waiting for a turn within the rate is in it.",
        queries=_quantiles("fulfillment_stripe_request_duration_seconds"),
        unit=Unit.SECONDS,
        width=6,
        runbook="CheckoutStripeUnavailable",
    ),
    Graph(
        title="Errors",
        description="Looks at an order that could not be finished, by what was in the way, in a minute.",
        queries=[_per_minute("error", "fulfillment_reconcile_errors_total")],
        unit=Unit.PER_MINUTE,
        width=6,
        stacked=True,
        runbook="CheckoutReconcileErrors",
    ),
    Graph(
        title="Time of a look",
        description="One look at an order, with every call that it makes.",
        queries=_quantiles("fulfillment_reconcile_duration_seconds"),
        unit=Unit.SECONDS,
        width=8,
    ),
    Graph(
        title="Queue",
        description="Orders that wait for a worker.",
        queries=[Query(f"max({_in('fulfillment_queue_depth')})", "waiting")],
        unit=Unit.COUNT,
        width=8,
    ),
    Graph(
        title="Silence of the watch",
        description="How long ago the Kubernetes API last told of an order. Without orders it grows.",
        queries=[Query(f"time() - max({_in('fulfillment_watch_last_event_timestamp_seconds')})", "ago")],
        unit=Unit.SECONDS,
        width=8,
        runbook="CheckoutOperatorDeaf",
    ),
)

_PODS: Sequence[Panel] = (
    Graph(
        title="CPU",
        description="Cores that each pod's process uses.",
        queries=[Query(_of_ours(f"rate({_in('process_cpu_seconds_total')}[$__rate_interval])"), "{{pod}}")],
        unit=Unit.CORES,
        width=6,
    ),
    Graph(
        title="Memory",
        description="Resident memory of each pod's process.",
        queries=[Query(_of_ours(_in("process_resident_memory_bytes")), "{{pod}}")],
        unit=Unit.BYTES,
        width=6,
    ),
    Graph(
        title="Running for",
        description="Since each pod's process started. A fall to 0 is a restart.",
        queries=[Query(f"time() - ({_of_ours(_in('process_start_time_seconds'))})", "{{pod}}")],
        unit=Unit.SECONDS,
        width=6,
    ),
    Graph(
        title="Versions",
        description="Pods of each version.",
        queries=[Query(f"count by (version) ({_in('fulfillment_build_info')})", "{{version}}")],
        unit=Unit.COUNT,
        width=6,
    ),
)

ROWS = (("Now", _NOW), ("Orders", _ORDERS), ("Webhook", _WEBHOOK), ("Operator", _OPERATOR), ("Pods", _PODS))
