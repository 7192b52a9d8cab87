"""How it stands at a glance."""

from collections.abc import Sequence

from fulfillment_monitoring.panels import Bad, Figure, Panel, Query, Unit
from fulfillment_monitoring.queries import LEADER, count, of_namespace

_LAST_EVENT = of_namespace("fulfillment_webhook_last_event_timestamp_seconds")
_STARTED = of_namespace("fulfillment_start_timestamp_seconds")
_FULFILLED = of_namespace("fulfillment_transitions_total", 'phase="fulfilled"')

NOW: Sequence[Panel] = (
    Figure(
        title="Awaiting payment",
        description="Orders whose payment is on its way; a delayed one takes days.",
        query=Query(count('phase="awaiting-payment"'), "orders"),
        unit=Unit.COUNT,
        width=3,
    ),
    Figure(
        title="Fulfilling",
        description="Orders, most of them paid, that a backend works on, or that wait for the backend or Stripe.",
        query=Query(count('phase="fulfilling"'), "orders"),
        unit=Unit.COUNT,
        width=3,
        runbook="CheckoutOrderStuck",
    ),
    Figure(
        title="Failed, not acknowledged",
        description="Failures that nobody has dealt with. What a person ended or had refunded is not among them.",
        query=Query(
            count(
                'phase="failed"',
                'acknowledged="false"',
                'reason!~"ManuallyFailed|PaymentCanceled|Refunded|DisputeLost"',
            ),
            "orders",
        ),
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
        description="How long ago Stripe last sent an event to a pod that runs; until the first, how long the "
        "oldest of them runs.",
        # Until a pod's first event its gauge tells when it started.
        query=Query(
            f"time() - (max({_LAST_EVENT} > on (namespace, job, instance, pod) {_STARTED}) or min({_LAST_EVENT}))",
            "ago",
        ),
        unit=Unit.SECONDS,
        width=3,
        runbook="CheckoutEventsMissing",
    ),
    Figure(
        title="Webhook pods",
        description="Webhook pods that Prometheus scrapes.",
        query=Query(f"count({of_namespace('fulfillment_webhook_in_flight')}) or vector(0)", "pods"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.NONE,
        runbook="CheckoutWebhookDown",
    ),
    Figure(
        title="Operator pods",
        description="Operator pods that Prometheus scrapes, the standbys among them.",
        query=Query(f"count({LEADER}) or vector(0)", "pods"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.NONE,
        runbook="CheckoutOperatorDown",
    ),
    Figure(
        title="Leaders",
        description="Operators that hold the Lease, and work. There is to be one.",
        query=Query(f"sum({LEADER}) or vector(0)", "leaders"),
        unit=Unit.COUNT,
        width=3,
        bad=Bad.OTHER_THAN_ONE,
        runbook="CheckoutNoLeader",
    ),
)
