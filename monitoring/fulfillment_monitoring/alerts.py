"""Every alert, once.

An expression is a filter whose every result is above 0 and fires. The chart fills `${namespace}`: each release watches
its own namespace, so `absent()` means this release and no other; and `${overdue}`: after how many hours a recovery is.

What passes by itself needs a hold that is no shorter than the expression's window: then one fault alone never fires.
"""

from fulfillment_monitoring.alert import Alert, Severity


def _in(metric: str, *matchers: str) -> str:
    return metric + "{" + ",".join(['namespace="${namespace}"', *matchers]) + "}"


def _increase(window: str, by: str, metric: str, *matchers: str, ago: str = "") -> str:
    offset = f" offset {ago}" if ago else ""
    return f"sum by ({by}) (increase({_in(metric, *matchers)}[{window}]{offset}))"


def _level(*matchers: str) -> str:
    # Only the leader tells the level. The five minutes bridge a restart and a change of the leader.
    requests = _in("fulfillment_requests", *matchers, 'acknowledged="false"')
    return f"max by (namespace, reason) (max_over_time({requests}[5m]))"


def _news_of_failed(reason: str) -> str:
    """Failed requests are there that nobody has acknowledged, and one of them failed within a day.

    The counter alone would lose what no scrape saw before a crash: the level has risen then.
    """
    failed = ('phase="failed"', reason)
    level = _level(*failed)
    counted = _increase("1d", "namespace, reason", "fulfillment_transitions_total", *failed)
    return f"{level} > 0 and ({counted} > 0 or {level} > min_over_time({level}[1d:1m]))"


def _age_of_oldest(phase: str) -> str:
    oldest = _in("fulfillment_oldest_request_timestamp_seconds", phase)
    return f"time() - min by (namespace) (min_over_time({oldest}[5m]))"


def _silence(window: str, *, after: int) -> str:
    """No event within a time in which a shop that had so many in a week has one, by chance too."""
    return f"({_increase('7d', 'namespace', _EVENTS)} > {after} unless {_increase(window, 'namespace', _EVENTS)} > 0)"


def _disputed() -> str:
    after = _in("fulfillment_after_sale_requests", 'kind="disputed"', 'acknowledged="false"')
    before = _in("fulfillment_requests", 'phase="failed"', 'reason="Disputed"', 'acknowledged="false"')
    levels = (f"max by (namespace) (max_over_time({each}[5m])) > 0" for each in (after, before))
    return " or ".join(levels)


def _recovery_overdue() -> str:
    """No recovery has succeeded for so long, and there were recoveries so long ago."""
    success = _in("fulfillment_recovery_last_success_timestamp_seconds")
    age = f"time() - max by (namespace) (max_over_time({success}[5m]))"
    return f"{age} > ${{overdue}} * 3600 and on (namespace) max_over_time({success}[1h] offset ${{overdue}}h)"


def _recovery_failed() -> str:
    failed = _in("fulfillment_recovery_last_run_events", 'outcome="failed"')
    return f"max by (namespace) (max_over_time({failed}[5m])) > 0"


def _endpoint() -> str:
    # An account whose destinations are sent thin events alone has no endpoint, and needs none.
    problems = _in("fulfillment_webhook_endpoint_problem", 'problem!="not-registered"')
    return f"max by (namespace, problem) (max_over_time({problems}[5m])) > 0"


_EVENTS = "fulfillment_webhook_events_total"
_ERRORS = "fulfillment_reconcile_errors_total"
_LEADER = _in("fulfillment_leader")

ALERTS = (
    Alert(
        name="CheckoutPaymentFailed",
        expression=_news_of_failed('reason="PaymentFailed"'),
        hold="0s",
        severity=Severity.WARNING,
        summary="A payment failed in {{ .Labels.namespace }}",
        description="Within the last day a customer's payment failed, and failed payments are there that nobody has "
        "acknowledged. It stops when all are acknowledged or paid after all, or a day after the last one.",
    ),
    Alert(
        name="CheckoutFulfillmentFailed",
        expression=_level('phase="failed"', 'reason="FulfillmentFailed"') + " > 0",
        hold="0s",
        severity=Severity.CRITICAL,
        summary="A paid order could not be fulfilled in {{ .Labels.namespace }}",
        description="The backend refused a paid order, or its deadline passed. It stops when all such orders are "
        "acknowledged.",
    ),
    Alert(
        name="CheckoutOrderRefused",
        expression=_news_of_failed('reason!~"PaymentFailed|FulfillmentFailed|FailedByHand|Refunded|Disputed"'),
        hold="10m",  # what `helm test` makes is refused, and deleted within seconds
        severity=Severity.WARNING,
        summary="A request failed for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="Within the last day a request ended as failed for a reason that is neither the payment's nor the "
        "backend's, and nobody has acknowledged it.",
    ),
    Alert(
        name="CheckoutOrderDisputed",
        expression=_disputed(),
        hold="0s",
        severity=Severity.WARNING,
        summary="A payment is disputed in {{ .Labels.namespace }}",
        description="A buyer disputes the payment of an order, and Stripe awaits an answer within days. It stops when "
        "all such orders are acknowledged.",
    ),
    Alert(
        name="CheckoutOrderStuck",
        expression=_age_of_oldest('phase=~"fulfilling|"') + " > 3600",  # no phase: nobody has looked at it
        hold="30m",
        severity=Severity.WARNING,
        summary="An order is stuck in {{ .Labels.namespace }}",
        description="Orders older than an hour have been in fulfilling, or without any status, for half an hour.",
    ),
    Alert(
        name="CheckoutPaymentOverdue",
        expression=_level('phase="awaiting-payment"', 'reason="PaymentOverdue"') + " > 0",
        hold="0s",
        severity=Severity.WARNING,
        summary="An order awaits its payment for too long in {{ .Labels.namespace }}",
        description="It takes longer than its payment method can. The order goes on waiting until a person ends it.",
    ),
    Alert(
        name="CheckoutSignatureFailures",
        # no-signature is left out: whatever scans the Internet sends none.
        expression=_increase(
            "15m",
            "namespace, reason",
            "fulfillment_webhook_refusals_total",
            'reason=~"(wrong|malformed|stale|future)-signature"',
        )
        + " > 0",
        hold="0s",
        severity=Severity.WARNING,
        summary="Events are refused for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="A signing secret is wrong or was rolled, a clock is off, or somebody forges events.",
    ),
    Alert(
        name="CheckoutEventsMissing",
        expression=_silence("1d", after=50) + " or " + _silence("3d", after=10),
        hold="10m",
        severity=Severity.WARNING,
        summary="Stripe sends no events to {{ .Labels.namespace }}",
        description="There were more than 50 in the last seven days and none in the last one, or more than 10 and none "
        "in the last three.",
    ),
    Alert(
        name="CheckoutRecoveryOverdue",
        expression=_recovery_overdue(),
        hold="15m",
        severity=Severity.WARNING,
        summary="No recovery has succeeded for long in {{ .Labels.namespace }}",
        description="For ${overdue} hours no run of the recovery has left nothing behind. Events that Stripe could not "
        "deliver are lost when they are older than 30 days.",
    ),
    Alert(
        name="CheckoutRecoveryFailed",
        expression=_recovery_failed(),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="A recovery could not record events in {{ .Labels.namespace }}",
        description="The last recovery found events that Stripe could not deliver, and could not record them either. "
        "Each run tries them again, until they are older than 30 days.",
    ),
    Alert(
        name="CheckoutEndpointMisconfigured",
        expression=_endpoint(),
        hold="0s",
        severity=Severity.WARNING,
        summary="The webhook endpoint at Stripe has the problem {{ .Labels.problem }}: {{ .Labels.namespace }}",
        description="It lacks an event that is needed, or its events have another API version than this product is "
        "made for.",
    ),
    Alert(
        name="CheckoutStripeMisconfigured",
        expression=_increase("15m", "namespace", _ERRORS, 'error="stripe-misconfigured"') + " > 0",
        hold="0s",
        severity=Severity.CRITICAL,
        summary="Stripe refuses the API key in {{ .Labels.namespace }}",
        description="No order goes on until the key or its permissions are mended.",
    ),
    Alert(
        name="CheckoutStripeUnavailable",
        expression=_increase("5m", "namespace", _ERRORS, 'error="stripe-unavailable"') + " > 0",
        hold="15m",
        severity=Severity.WARNING,
        summary="Stripe cannot be asked in {{ .Labels.namespace }}",
        description="Requests to Stripe have failed again and again for a quarter of an hour. Orders wait.",
    ),
    Alert(
        name="CheckoutBackendErrors",
        expression=_increase(
            "30m", "namespace, backend", "fulfillment_backend_attempts_total", 'result=~"try-again|refused"'
        )
        + " > 0",
        hold="30m",
        severity=Severity.WARNING,
        summary="The backend {{ .Labels.backend }} does not take orders in {{ .Labels.namespace }}",
        description="The backend has refused orders or had faults for half an hour. Passing faults are tried again "
        "until the deadline.",
    ),
    Alert(
        name="CheckoutMailErrors",
        expression=_increase(
            "1h", "namespace, mail, reason", "fulfillment_mails_total", 'reason=~"MailUnavailable|MailRefused"'
        )
        + " > 0",
        hold="0s",
        severity=Severity.WARNING,
        summary="Mail to customers ({{ .Labels.mail }}) fails for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="A customer whose payment failed was not told, or did not get a receipt.",
    ),
    Alert(
        name="CheckoutReconcileErrors",
        expression=_increase("15m", "namespace, error", _ERRORS, 'error=~"unexpected|undecodable"') + " > 0",
        hold="0s",
        severity=Severity.CRITICAL,
        summary="The operator met an error that is {{ .Labels.error }} in {{ .Labels.namespace }}",
        description="A request cannot be read, or handling it failed in a way nobody foresaw.",
    ),
    Alert(
        name="CheckoutStatusNotWritten",
        expression=_increase("5m", "namespace", _ERRORS, 'error="kubernetes"') + " > 0",
        hold="10m",
        severity=Severity.CRITICAL,
        summary="The operator cannot write statuses in {{ .Labels.namespace }}",
        description="For ten minutes the Kubernetes API is away, or refuses the operator.",
    ),
    Alert(
        name="CheckoutWebhookErrors",
        expression=_increase("5m", "namespace, status", "fulfillment_webhook_duration_seconds_count", 'status=~"5.."')
        + " > 0",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="The webhook answers {{ .Labels.status }} in {{ .Labels.namespace }}",
        description="Events are not recorded. Stripe sends them again for up to three days.",
    ),
    Alert(
        name="CheckoutCallbackErrors",
        expression=_increase(
            "5m", "namespace, outcome", "fulfillment_callbacks_total", 'outcome=~"unavailable|blocked|internal"'
        )
        + " > 0",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="Callbacks cannot be recorded ({{ .Labels.outcome }}) in {{ .Labels.namespace }}",
        description="The backend says what became of orders, and it is not recorded. It has to send it again.",
    ),
    Alert(
        name="CheckoutWebhookDown",
        expression=f"absent({_in('fulfillment_webhook_in_flight')})",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="No webhook service is seen in {{ .Labels.namespace }}",
        description="Prometheus scrapes none. If none runs, Stripe cannot deliver events.",
    ),
    Alert(
        name="CheckoutOperatorDown",
        expression=f"absent({_LEADER})",
        hold="5m",
        severity=Severity.CRITICAL,
        summary="No operator is seen in {{ .Labels.namespace }}",
        description="Prometheus scrapes none. If none runs, no order is fulfilled.",
    ),
    Alert(
        name="CheckoutOperatorDeaf",
        expression=_increase("10m", "namespace", _EVENTS, 'outcome=~"created|updated"', ago="5m")
        + " > 0 and on (namespace) time() - max by (namespace) "
        + f"({_in('fulfillment_watch_last_event_timestamp_seconds')}) > 1200",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="The operator does not see new orders in {{ .Labels.namespace }}",
        description="The service recorded events more than five minutes ago, and the watch brought nothing since.",
    ),
    Alert(
        name="CheckoutNoLeader",
        expression=f"count by (namespace) ({_LEADER}) unless sum by (namespace) ({_LEADER}) > 0",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="Operators run in {{ .Labels.namespace }}, and none leads",
        description="Nobody holds the Lease, so no order is fulfilled.",
    ),
)
