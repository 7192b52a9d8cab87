"""Every alert, once.

An expression is a filter whose every result is above 0 and fires. The chart fills `${namespace}`: each release watches
its own namespace, so `absent()` means this release and no other; and `${overdue}`: after how many hours a recovery is.

What passes by itself needs a hold that is no shorter than the expression's window: then one fault alone never fires.
"""

from typing import get_args

from fulfillment_api.event_types import ReversalType
from fulfillment_monitoring.alert import Alert, Severity


def _in(metric: str, *matchers: str) -> str:
    return metric + "{" + ",".join(['namespace="${namespace}"', *matchers]) + "}"


def _increase(window: str, by: str, selector: str) -> str:
    return f"sum by ({by}) (increase({selector}[{window}]))"


def _rises(window: str, by: str, selector: str, *, ago: str = "0s") -> str:
    """A counter rose within a window that ended some time ago.

    `increase` sees no rise to the first value that is scraped. But what a workload counted that began within the
    window was counted within it, all of it. Where no start is told, as by an earlier version, the series' own counts.
    """
    now, length = _offset(_SECONDS[ago]), _SECONDS[window] + _SECONDS[ago]
    start, target = _in("fulfillment_start_timestamp_seconds"), "on (namespace, job, instance, pod)"
    began = f"{selector}{now} and {target} time() - {start} < {length}"
    appeared = f"{selector}{now} unless {target} {start} unless {selector}{_offset(length)}"
    risen = f"sum by ({by}) (increase({selector}[{window}]{now})) > 0"
    return f"({risen} or sum by ({by}) ({began} or {appeared}) > 0)"


def _offset(seconds: int) -> str:
    return f" offset {seconds}s" if seconds else ""


def _level(*matchers: str) -> str:
    requests = _in("fulfillment_requests", *matchers, 'acknowledged="false"')
    return f"max by (namespace, reason) (max_over_time({requests}[{_BRIDGE}]))"


def _failed_within_a_day(reason: str) -> str:
    """Failed requests are there that nobody has acknowledged, and one of them failed within a day.

    The counter alone would lose what no scrape saw before a crash: the level has risen then.
    """
    failed = ('phase="failed"', reason)
    level = _level(*failed)
    counted = _rises("1d", "namespace, reason", _in("fulfillment_transitions_total", *failed))
    return f"{level} > 0 and ({counted} or {level} > min_over_time({level}[1d:1m]))"


def _age_of_oldest(phase: str) -> str:
    oldest = _in("fulfillment_oldest_request_timestamp_seconds", phase)
    return f"time() - min by (namespace) (min_over_time({oldest}[{_BRIDGE}]))"


def _silence(window: str, *, after: int) -> str:
    """No event within a time in which a shop that had so many in a week has one, by chance too."""
    events = _in(_EVENTS)
    return f"({_increase('7d', 'namespace', events)} > {after} unless {_rises(window, 'namespace', events)})"


def _disputed() -> str:
    after = _in("fulfillment_reversed_requests", 'kind="disputed"', 'acknowledged="false"')
    before = _in("fulfillment_requests", 'phase="failed"', 'reason="Disputed"', 'acknowledged="false"')
    levels = (f"max by (namespace) (max_over_time({each}[{_BRIDGE}])) > 0" for each in (after, before))
    return " or ".join(levels)


def _refund_failed() -> str:
    failed = _in("fulfillment_reversed_requests", 'kind="refund-failed"', 'acknowledged="false"')
    return f"max by (namespace) (max_over_time({failed}[{_BRIDGE}])) > 0"


def _undecodable() -> str:
    return f"max by (namespace) (max_over_time({_in('fulfillment_undecodable_requests')}[{_BRIDGE}])) > 0"


def _recovery_overdue() -> str:
    """No recovery has succeeded for so long; where none ever has, there were recoveries so long ago.

    The latter needs what Prometheus kept. It looks for it in as long a time again, in which there may be gaps.
    """
    success = _in("fulfillment_recovery_last_success_timestamp_seconds")
    last = f"max by (namespace) (max_over_time({success}[{_BRIDGE}]))"
    known = f"({last} > 0 or {last} and on (namespace) max_over_time({success}[${{overdue}}h] offset ${{overdue}}h))"
    return f"time() - {known} > ${{overdue}} * 3600"


def _recovery_failed() -> str:
    failed = _in("fulfillment_recovery_last_run_events", 'outcome="failed"')
    return f"max by (namespace) (max_over_time({failed}[{_BRIDGE}])) > 0"


def _endpoint() -> str:
    # An account whose destinations are sent thin events alone has no endpoint, and needs none.
    problems = _in("fulfillment_webhook_endpoint_problem", 'problem!="not-registered"')
    return f"max by (namespace, problem) (max_over_time({problems}[{_BRIDGE}])) > 0"


def _mail_lost() -> str:
    """A mail that is not tried again: one about a failed payment is, while the mail server is away."""
    lost = ('reason="MailRejected"',), ('mail="receipt"', 'reason="MailUnavailable"')
    return " or ".join(
        _rises("1h", "namespace, mail, reason", _in("fulfillment_mails_total", *matchers)) for matchers in lost
    )


def _restarting() -> str:
    """A process of ours began again and again in one pod; what is rolled out, or evicted, are new pods."""
    # Settings that are reloaded begin a workload anew, and no process; and other processes tell when they began, too.
    ours = f"last_over_time({_in('fulfillment_build_info')}[1h])"
    began = f"changes({_in('process_start_time_seconds')}[1h]) > 2"
    return f"max by (namespace, pod) ({began} and on (namespace, job, instance, pod) {ours})"


_SECONDS = {"0s": 0, "5m": 300, "10m": 600, "15m": 900, "20m": 1200, "1h": 3600, "1d": 86400, "3d": 259200}
_BRIDGE = "10m"
"""How long a level is believed that nobody tells: only the leader does, and the next one may have to start, wait for
the Lease and list the orders. Longer than CheckoutOperatorDown's hold, so that no alert ends before that one began."""
_RETRY = "20m"
"""Longer than the pause between two tries, 15m by default. With a hold of more than two of these, two faults alone
never fire, however far apart they are."""
_EVENTS = "fulfillment_webhook_events_total"
_REVERSALS = "|".join(get_args(ReversalType))  # a regular expression, in which each dot matches itself, too
_ERRORS = "fulfillment_reconcile_errors_total"
_LEADER = _in("fulfillment_leader")

ALERTS = (
    Alert(
        name="CheckoutPaymentFailed",
        expression=_failed_within_a_day('reason="PaymentFailed"'),
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
        description="The backend rejected a paid order, or its deadline passed. It stops when all such orders are "
        "acknowledged.",
    ),
    Alert(
        name="CheckoutOrderRejected",
        expression=_failed_within_a_day(
            'reason!~"PaymentFailed|PaymentCanceled|FulfillmentFailed|ManuallyFailed|Refunded|Disputed|DisputeLost'
            '|SessionUnreadable"'
        ),
        hold="15m",  # what is rejected and deleted within seconds, as a trial, is bridged for ten minutes
        severity=Severity.WARNING,
        summary="A request failed for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="Within the last day a request ended as failed for a reason that is neither the payment's nor the "
        "backend's, and nobody has acknowledged it.",
    ),
    Alert(
        name="CheckoutSessionUnreadable",
        expression=_level('phase="failed"', 'reason="SessionUnreadable"') + " > 0",
        hold="0s",
        severity=Severity.CRITICAL,
        summary="What Stripe says of an order cannot be judged in {{ .Labels.namespace }}",
        description="Stripe's answer about its Session is of a form that this version does not know. The order may be "
        "paid, and a person must look at it. It stops when all such orders are retried, ended or acknowledged.",
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
        name="CheckoutRefundFailed",
        expression=_refund_failed(),
        hold="0s",
        severity=Severity.WARNING,
        summary="A refund failed in {{ .Labels.namespace }}",
        description="A refund of a fulfilled order failed or was canceled, so the buyer does not have the money. It "
        "stops when all such orders are acknowledged.",
    ),
    Alert(
        name="CheckoutOrderStuck",
        expression=_age_of_oldest('phase=~"fulfilling|"') + " > 3600",  # no phase: not reconciled yet
        hold="30m",
        severity=Severity.WARNING,
        summary="An order is stuck in {{ .Labels.namespace }}",
        description="Orders that were paid, or made, more than an hour ago have been in fulfilling, or without "
        "any status, for half an hour.",
    ),
    Alert(
        name="CheckoutPaymentOverdue",
        expression=_level('phase="awaiting-payment"', 'reason="PaymentOverdue"') + " > 0",
        hold="0s",
        severity=Severity.WARNING,
        summary="An order awaits its payment for too long in {{ .Labels.namespace }}",
        description="It takes longer than its payment method can, or an authorization lapses within a day. The order "
        "goes on waiting until a person ends it.",
    ),
    Alert(
        name="CheckoutOrdersRestored",
        expression=_level('reason="Restored"') + " > 0",
        hold="0s",
        severity=Severity.WARNING,
        summary="Restored orders are held in {{ .Labels.namespace }}",
        description="A backup brought orders back without their status. Nothing is done with them until a person says "
        "whether they were fulfilled.",
    ),
    Alert(
        name="CheckoutSignatureFailures",
        # no-signature is left out: whatever scans the Internet sends none.
        expression=_rises(
            "15m",
            "namespace, reason",
            _in("fulfillment_webhook_rejections_total", 'reason=~"(wrong|malformed|stale|future)-signature"'),
        ),
        hold="0s",
        severity=Severity.WARNING,
        summary="Events are rejected for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="A signing secret is wrong or was rolled, a clock is off, or somebody forges events.",
    ),
    Alert(
        name="CheckoutEventsRejected",
        expression=_rises(
            "15m",
            "namespace, reason",
            _in(
                "fulfillment_webhook_rejections_total",
                'reason=~"not-json|not-an-object|no-session-id|invalid-account|unfilterable"',
            ),
        ),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="Events that Stripe signed are rejected for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="They are answered 400, and nothing is made of them. Stripe sends them again for up to three days.",
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
        description="For ${overdue} hours no run of the recovery has succeeded. Events that Stripe could not deliver "
        "are lost when they are older than 30 days.",
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
        description="It is disabled, it lacks an event that is needed, or its events have another API version than "
        "this product is made for.",
    ),
    Alert(
        name="CheckoutStripeMisconfigured",
        expression=_rises("15m", "namespace", _in(_ERRORS, 'error="stripe-misconfigured"')),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="Stripe rejects the API key in {{ .Labels.namespace }}",
        description="No order goes on until the key or its permissions are mended.",
    ),
    Alert(
        name="CheckoutStripeUnavailable",
        expression=_rises("5m", "namespace", _in(_ERRORS, 'error="stripe-unavailable"')),
        hold="15m",
        severity=Severity.WARNING,
        summary="Stripe cannot be asked in {{ .Labels.namespace }}",
        description="Requests to Stripe have failed again and again for a quarter of an hour. Orders wait.",
    ),
    Alert(
        name="CheckoutBackendErrors",
        expression=_rises(
            _RETRY, "namespace, backend", _in("fulfillment_backend_attempts_total", 'result=~"try-again|rejected"')
        ),
        hold="45m",
        severity=Severity.WARNING,
        summary="The backend {{ .Labels.backend }} rejects or fails orders in {{ .Labels.namespace }}",
        description="The backend has rejected orders or had faults again and again for three quarters of an hour. "
        "Passing faults are retried until the deadline.",
    ),
    Alert(
        name="CheckoutMailErrors",
        expression=_mail_lost(),
        hold="0s",
        severity=Severity.WARNING,
        summary="Mail to customers ({{ .Labels.mail }}) fails for {{ .Labels.reason }} in {{ .Labels.namespace }}",
        description="A customer whose payment failed was not notified, or did not get a receipt.",
    ),
    Alert(
        name="CheckoutMailDeferred",
        expression=_rises(
            _RETRY,
            "namespace",
            _in("fulfillment_mails_total", 'mail="payment-failed"', 'reason="MailUnavailable"'),
        ),
        hold="45m",
        severity=Severity.WARNING,
        summary="Mail to customers is put off in {{ .Labels.namespace }}",
        description="For three quarters of an hour the mail server has been away, or has put mails off, so customers "
        "whose payment failed are not notified yet. Each mail is tried again for three days.",
    ),
    Alert(
        name="CheckoutOrderUndecodable",
        expression=_undecodable(),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="An order cannot be decoded in {{ .Labels.namespace }}",
        description="An order holds a value that this version of the operator does not know, as after a rollback. "
        "Nothing is done for it until it decodes.",
    ),
    Alert(
        name="CheckoutReconcileErrors",
        expression=_rises("15m", "namespace", _in(_ERRORS, 'error="unexpected"')),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="The operator has unexpected reconcile errors in {{ .Labels.namespace }}",
        description="Reconciling a request failed in a way nobody foresaw.",
    ),
    Alert(
        name="CheckoutOrdersDeleted",
        expression=_rises("1h", "namespace", _in("fulfillment_unfinished_requests_deleted_total")),
        hold="0s",
        severity=Severity.WARNING,
        summary="Orders were deleted before their end in {{ .Labels.namespace }}",
        description="FulfillmentRequests were deleted that were neither fulfilled nor failed: nobody fulfills them.",
    ),
    Alert(
        name="CheckoutStatusNotWritten",
        expression=_rises("5m", "namespace", _in(_ERRORS, 'error="kubernetes"')),
        hold="10m",
        severity=Severity.CRITICAL,
        summary="The operator cannot write statuses in {{ .Labels.namespace }}",
        description="For ten minutes the Kubernetes API has been unavailable, or has rejected the operator's writes.",
    ),
    Alert(
        name="CheckoutBackendNotStopped",
        expression=_rises("5m", "namespace", _in(_ERRORS, 'error="backend-not-stopped"')),
        hold="10m",
        severity=Severity.WARNING,
        summary="A backend cannot be stopped in {{ .Labels.namespace }}",
        description="For ten minutes a backend could not be told to leave off an order that a person ended, which is "
        "not ended until then, or one that was reversed and of which nobody noted whether a backend has it. The "
        "backend may still fulfill it.",
    ),
    Alert(
        name="CheckoutWebhookErrors",
        expression=_rises(
            "5m", "namespace, status", _in("fulfillment_webhook_duration_seconds_count", 'status=~"5.."')
        ),
        hold="2m",
        severity=Severity.CRITICAL,
        summary="The webhook answers {{ .Labels.status }} in {{ .Labels.namespace }}",
        description="Events are not recorded. Stripe sends them again for up to three days.",
    ),
    Alert(
        name="CheckoutPageErrors",
        expression=_rises("5m", "namespace", _in("fulfillment_page_visits_total", 'outcome="unavailable"')),
        hold="5m",
        severity=Severity.WARNING,
        summary="The order page cannot show orders in {{ .Labels.namespace }}",
        description="For five minutes buyers have been shown no order, since the Kubernetes API or Stripe cannot be "
        "asked. The orders themselves go on.",
    ),
    Alert(
        name="CheckoutPageDown",  # the chart leaves it out where page.enabled is false
        expression=f"absent({_in('fulfillment_page_watching')})",
        hold="5m",
        severity=Severity.WARNING,
        summary="No order page is seen in {{ .Labels.namespace }}",
        description="Prometheus scrapes none. If none runs, buyers who come back from Checkout see an error. The "
        "orders themselves go on.",
    ),
    Alert(
        name="CheckoutCallbackErrors",
        expression=_rises(
            "5m",
            "namespace, outcome",
            _in("fulfillment_callbacks_total", 'outcome=~"unavailable|blocked|internal"'),
        ),
        hold="2m",
        severity=Severity.CRITICAL,
        summary="Callbacks cannot be recorded ({{ .Labels.outcome }}) in {{ .Labels.namespace }}",
        description="The backend reports the results of orders, and they are not recorded. It has to send the "
        "callbacks again.",
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
        name="CheckoutRestarting",
        expression=_restarting(),
        hold="0s",
        severity=Severity.CRITICAL,
        summary="The pod {{ .Labels.pod }} restarts again and again in {{ .Labels.namespace }}",
        description="Its process ended more than twice within an hour. In between it may work, so that no other alert "
        "fires; orders or events wait.",
    ),
    Alert(
        name="CheckoutWatchStale",
        # Reversals are left out: most are of fulfilled orders, which the operator does not watch.
        expression=_rises(
            "10m", "namespace", _in(_EVENTS, 'outcome=~"created|updated"', f'type!~"{_REVERSALS}"'), ago="5m"
        )
        + " and on (namespace) time() - max by (namespace) "
        + f"({_in('fulfillment_watch_last_event_timestamp_seconds')}) > 1200",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="The operator's watch is stale in {{ .Labels.namespace }}",
        description="The service recorded events, and not of refunds and disputes alone, more than five minutes ago, "
        "and the operator's watch has received nothing since: new orders are not reconciled.",
    ),
    Alert(
        name="CheckoutWatchRefused",
        expression=f"max by (namespace) ({_in('fulfillment_watch_refused')}) > 0",
        hold="2m",
        severity=Severity.CRITICAL,
        summary="The API server refuses the operator's watch in {{ .Labels.namespace }}",
        description="The operator may not list or watch FulfillmentRequests, or the cluster has no such resource: "
        "new orders are not reconciled. Its /readyz says why. It goes on by itself when it is allowed again.",
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
