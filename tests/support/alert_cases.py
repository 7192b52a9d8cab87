"""Series as Prometheus could have scraped them, and the alerts that must fire at which minute, and no other."""

from collections.abc import Iterator
from dataclasses import dataclass, field

DAY = 1440
LEADER = 'fulfillment_leader{pod="a"}'
STANDBY = 'fulfillment_leader{pod="b"}'
WEBHOOK = 'fulfillment_webhook_in_flight{pod="w"}'
PAGE = 'fulfillment_page_watching{pod="p"}'
STARTED = 'fulfillment_start_timestamp_seconds{pod="a"}'
STARTED_STANDBY = 'fulfillment_start_timestamp_seconds{pod="b"}'
STARTED_WEBHOOK = 'fulfillment_start_timestamp_seconds{pod="w"}'
HEALTHY = {
    LEADER: "1x3000",
    STANDBY: "0x3000",
    WEBHOOK: "0x3000",
    PAGE: "1x3000",
    STARTED: "0x3000",
    STARTED_STANDBY: "0x3000",
    STARTED_WEBHOOK: "0x3000",
}
EVENTS = 'fulfillment_webhook_events_total{type="t",outcome="created",pod="w"}'
OLDEST = 'fulfillment_oldest_request_timestamp_seconds{phase="fulfilling",pod="a"}'
HEARD = 'fulfillment_watch_last_event_timestamp_seconds{pod="a"}'
HEARD_BY_STANDBY = 'fulfillment_watch_last_event_timestamp_seconds{pod="b"}'
BUILD = 'fulfillment_build_info{version="1",pod="a"}'
PROCESS = 'process_start_time_seconds{pod="a"}'
REFUSED = 'fulfillment_watch_refused{pod="a"}'


@dataclass(frozen=True)
class Case:
    """Series a minute apart, and the alerts that fire at each minute asked for."""

    name: str
    series: dict[str, str]
    firing: dict[int, set[str]]
    without: set[str] = field(default_factory=set)
    """What is not there of what is healthy."""

    @property
    def minutes(self) -> int:
        """How long it takes."""
        return max(self.firing)


REFUND_FAILED = 'fulfillment_reversed_requests{kind="refund-failed",acknowledged="false",pod="a"}'
DISPUTED = 'fulfillment_reversed_requests{kind="disputed",acknowledged="false",pod="a"}'
OVERDUE = 'fulfillment_requests{phase="awaiting-payment",reason="PaymentOverdue",acknowledged="false",pod="a"}'


RESTORED = 'fulfillment_requests{phase="fulfilling",reason="Restored",acknowledged="false",pod="a"}'


UNDECODABLE = 'fulfillment_undecodable_requests{pod="a"}'


RECOVERED = 'fulfillment_recovery_last_success_timestamp_seconds{pod="a"}'
OVERDUE_AFTER = 26 * 60
LEFT = 'fulfillment_recovery_last_run_events{outcome="failed",pod="a"}'
PROBLEM = 'fulfillment_webhook_endpoint_problem{problem="missing-events",pod="a"}'


def requests(reason: str, pod: str = "a", acknowledged: str = "false") -> str:
    labels = f'phase="failed",reason="{reason}",acknowledged="{acknowledged}",pod="{pod}"'
    return f"fulfillment_requests{{{labels}}}"


def transitions(reason: str, pod: str = "a") -> str:
    return f'fulfillment_transitions_total{{phase="failed",reason="{reason}",pod="{pod}"}}'


@dataclass(frozen=True)
class Failure:
    """An alert that reads the level of the failed requests; the level bridges 10 minutes."""

    alert: str
    reason: str
    hold: int = 0


FAILURES = (
    Failure("CheckoutPaymentFailed", "PaymentFailed"),
    Failure("CheckoutFulfillmentFailed", "FulfillmentFailed"),
    Failure("CheckoutOrderRejected", "SessionNotFound", hold=15),
    Failure("CheckoutSessionUnreadable", "SessionUnreadable"),
    Failure("CheckoutOrderDisputed", "Disputed"),
)


def failure_cases(failure: Failure) -> Iterator[Case]:
    reason, fires, after = failure.reason, {failure.alert}, failure.hold
    level, counter = requests(reason), transitions(reason)
    dealt_with = requests(reason, acknowledged="true")
    yield Case(
        f"{reason}: the first ever, until it is acknowledged",
        {level: "0x9 1x49 0x100", dealt_with: "0x59 1x100", counter: "0x9 1x200"},
        {9: set(), 10 + after: fires, 60: fires, 70: set(), 150: set()},
    )
    yield Case(
        f"{reason}: one was acknowledged, and the next is news",
        {level: "0x9 1x49 0x60 1x100", dealt_with: "0x59 1x200", counter: "0x9 1x110 2x100"},
        {60: fires, 70: set(), 119: set(), 121 + after: fires},
    )
    yield Case(
        f"{reason}: the acknowledgement is taken back",
        {level: "0x9 1x19 0x60 1x100", dealt_with: "0x29 1x60 0x100", counter: "0x9 1x200"},
        {25: fires, 40: set(), 91 + after: fires},
    )
    yield Case(
        f"{reason}: a restart inside the window: the counter begins again, and the alert goes on",
        {level: "0x9 1x20 _x1 0x0 1x200", counter: "0x9 1x20 _x1 0x200"},
        dict.fromkeys((25, 31, 32, 33, 34, 100), fires),
    )
    yield Case(
        f"{reason}: a crash before the counter was scraped: the level has risen",
        {level: "0x9 _x1 1x100", counter: "0x9 _x1 0x100"},
        {9: set(), 13 + after: fires, 60: fires},
    )
    yield Case(
        f"{reason}: the first ever, before the first scrape",
        {STARTED: "_x10 590x300", level: "_x10 1x300", counter: "_x10 1x300"},
        {11 + after: fires, 60: fires},
    )
    yield Case(
        f"{reason}: two replicas, and the other takes the lead: only the leader tells the level",
        {
            level: "0x9 1x20 _x100",
            counter: "0x9 1x20 _x100",
            requests(reason, "b"): "_x31 1x100",
            transitions(reason, "b"): "0x130",
        },
        {9: set(), 25: fires, 30: fires, 31: fires, 32: fires, 100: fires},
    )
    yield Case(
        f"{reason}: no operator for eight minutes: that fires, and the alert goes on",
        {level: "0x9 1x20 stale _x7 1x200", counter: "0x9 1x20 stale _x7 0x200", LEADER: "1x30 stale _x7 1x200"},
        {30: fires, 34: fires, 37: fires | {"CheckoutOperatorDown"}, 40: fires, 100: fires},
        {STANDBY},
    )
    yield Case(
        f"{reason}: the operator is gone: that fires, and its last level no more",
        {level: "0x9 1x40 _x100", counter: "0x9 1x40 _x100", LEADER: "1x50 _x100"},
        {50: fires, 52: fires, 65: {"CheckoutOperatorDown"}},
        {LEADER, STANDBY},
    )


@dataclass(frozen=True)
class Count:
    """An alert that reads the increase of a counter within a window, in minutes."""

    alert: str
    metric: str
    labels: str
    window: int
    hold: int = 0

    def series(self, pod: str = "a") -> str:
        labels = ",".join(filter(None, (self.labels, f'pod="{pod}"')))
        return f"{self.metric}{{{labels}}}"


FAULTS = 'fulfillment_backend_attempts_total{backend="http",result="try-again",pod="a"}'
ERRORS = "fulfillment_reconcile_errors_total"
REFUSALS = "fulfillment_webhook_rejections_total"
COUNTS = (
    *(
        Count("CheckoutSignatureFailures", REFUSALS, f'reason="{reason}-signature"', 15)
        for reason in ("wrong", "malformed", "stale", "future")
    ),
    *(
        Count("CheckoutEventsRejected", REFUSALS, f'reason="{reason}"', 15)
        for reason in ("not-json", "not-an-object", "no-session-id", "invalid-account", "unfilterable")
    ),
    Count("CheckoutStripeMisconfigured", ERRORS, 'error="stripe-misconfigured"', 15),
    Count("CheckoutStripeUnavailable", ERRORS, 'error="stripe-unavailable"', 5, hold=15),
    Count("CheckoutReconcileErrors", ERRORS, 'error="unexpected"', 15),
    Count("CheckoutOrdersDeleted", "fulfillment_unfinished_requests_deleted_total", "", 60),
    Count("CheckoutBackendNotStopped", ERRORS, 'error="backend-not-stopped"', 5, hold=10),
    Count("CheckoutStatusNotWritten", ERRORS, 'error="kubernetes"', 5, hold=10),
    Count("CheckoutBackendErrors", "fulfillment_backend_attempts_total", 'backend="http",result="try-again"', 20, 45),
    Count("CheckoutBackendErrors", "fulfillment_backend_attempts_total", 'backend="http",result="rejected"', 20, 45),
    Count("CheckoutMailErrors", "fulfillment_mails_total", 'mail="payment-failed",reason="MailRejected"', 60),
    Count("CheckoutMailErrors", "fulfillment_mails_total", 'mail="receipt",reason="MailUnavailable"', 60),
    Count(
        *("CheckoutMailDeferred", "fulfillment_mails_total", 'mail="payment-failed",reason="MailUnavailable"'),
        20,
        hold=45,
    ),
    Count("CheckoutWebhookErrors", "fulfillment_webhook_duration_seconds_count", 'status="503"', 5, hold=2),
    Count("CheckoutWebhookErrors", "fulfillment_webhook_duration_seconds_count", 'status="500"', 5, hold=2),
    Count("CheckoutPageErrors", "fulfillment_page_visits_total", 'outcome="unavailable"', 5, hold=5),
    *(
        Count("CheckoutCallbackErrors", "fulfillment_callbacks_total", f'outcome="{outcome}"', 5, hold=2)
        for outcome in ("unavailable", "blocked", "internal")
    ),
)


def count_cases(count: Count) -> Iterator[Case]:
    name, fires, at = f"{count.alert} ({count.labels})", {count.alert}, 10 + count.hold
    over = count.window + 2  # no scrape of the window has the increase
    passing = count.hold >= count.window
    yield Case(
        f"{name}: while it goes on",
        {count.series(): "0x9 1+1x100 101x200"},
        {9: set(), at: fires, 100: fires, 110 + over: set(), 300: set()},
    )
    yield Case(
        f"{name}: the first ever, and no other" + (", which passes by itself" if passing else ""),
        {count.series(): "0x9 1x200"},
        {9: set(), at: set() if passing else fires, 10 + over: set(), 200: set()},
    )
    yield Case(
        f"{name}: before the first scrape after a start, and no other" + (", which passes" if passing else ""),
        {STARTED: "_x10 590x300", count.series(): "_x10 1x300"},
        {9: set(), at: set() if passing else fires, 10 + over: set(), 200: set()},
    )
    yield Case(
        f"{name}: before the first scrape after a start, and on",
        {STARTED: "_x10 590x300", count.series(): "_x10 1+1x100 101x200"},
        {9: set(), at: fires, 100: fires, 110 + over: set(), 300: set()},
    )
    yield Case(
        f"{name}: before the first scrape of a version that does not tell when it began",
        {count.series(): "_x10 1x300"},
        {9: set(), at: set() if passing else fires, 10 + over: set(), 200: set()},
        {STARTED},
    )
    yield Case(
        f"{name}: long ago, and Prometheus was away since",
        {count.series(): f"1x99 _x{count.window + 20} 1x300"},
        {minute: set() for minute in range(99, 300, 5)},
    )
    yield Case(
        f"{name}: before the first scrape after a restart, as one before it",
        {STARTED: "0x99 6000x300", count.series(): "1x99 1x300"},
        {99: set(), 100 + count.hold: set() if passing else fires, 100 + over: set(), 300: set()},
    )
    yield Case(
        f"{name}: on both replicas it is one alert",
        {count.series("a"): "0x9 1+1x200", count.series("b"): "0x9 1+1x200"},
        {9: set(), at: fires, 200: fires},
    )
    yield Case(
        f"{name}: on the one replica alone",
        {count.series("a"): "0x300", count.series("b"): "0x9 1+1x200"},
        {9: set(), at: fires, 200: fires},
    )
    yield Case(
        f"{name}: a restart inside the window neither hides nor repeats it",
        {count.series(): "0x9 1+1x50 _x1 0+1x4 4x300"},
        {60: fires, 61: fires, 62: fires, 64: fires, 67 + over: set(), 200: set()},
    )
    yield Case(
        f"{name}: the target is gone",
        {count.series(): "0x9 1+1x50 _x200"},
        {60: fires, 62 + over: set(), 200: set()},
    )


OTHERS = (
    Case("all is well", {}, {60: set()}),
    Case(
        "a failure that nobody acknowledges is news for a day, and the next one is news again",
        {
            requests("PaymentFailed"): f"0x9 1x{DAY + 500} 2x100",
            transitions("PaymentFailed"): f"0x9 1x{DAY + 500} 2x100",
        },
        {10: {"CheckoutPaymentFailed"}, DAY + 100: set(), DAY + 520: {"CheckoutPaymentFailed"}},
    ),
    Case(
        "a restart after the day repeats nothing, even when the level is not read yet",
        {
            requests("PaymentFailed"): f"0x9 1x{DAY + 200} _x1 0x0 1x200",
            transitions("PaymentFailed"): f"0x9 1x{DAY + 200} _x1 0x200",
        },
        {10: {"CheckoutPaymentFailed"}, DAY + 200: set(), **{key: set() for key in range(DAY + 209, DAY + 225)}},
    ),
    *(
        Case(
            f"no operator for {away} minutes, days after a failure that nobody acknowledged: it is no news again",
            {
                requests("PaymentFailed"): f"0x9 1x{DAY + 200} stale _x{away - 1} 1x200",
                transitions("PaymentFailed"): f"0x9 1x{DAY + 200} stale _x{away - 1} 0x200",
            },
            {10: {"CheckoutPaymentFailed"}, **{key: set() for key in range(DAY + 200, DAY + 280, 3)}},
        )
        for away in (8, 40)
    ),
    Case(
        "a paid order that failed fires until someone has dealt with it, days later, restart or not",
        {requests("FulfillmentFailed"): f"0x9 1x{DAY + 500} _x1 0x0 1x20 0x100"},
        {9: set(), DAY + 520: {"CheckoutFulfillmentFailed"}, DAY + 560: set()},
    ),
    Case(
        "the request that helm test makes, which is refused and deleted",
        {requests("SessionNotFound"): "0x9 1x0 0x200", transitions("SessionNotFound"): "0x9 1x200"},
        {minute: set() for minute in range(9, 60)},
    ),
    Case(
        "a failed payment that was acknowledged is paid after all, and the backend cannot take it",
        {
            requests("PaymentFailed", acknowledged="true"): "1x30 0x100",
            requests("FulfillmentFailed"): "0x30 1x100",
        },
        {30: set(), 31: {"CheckoutFulfillmentFailed"}, 100: {"CheckoutFulfillmentFailed"}},
    ),
    *(
        Case(
            f"the backend has two faults, {apart} minutes apart",
            {FAULTS: f"0x9 1x{apart - 1} 2x200"},
            {minute: set() for minute in range(9, 150, 2)},
        )
        for apart in (5, 19, 21, 29, 44)
    ),
    Case(
        "the backend has faults, and is tried at the longest pause",
        {FAULTS: "0x9 1x14 2x14 3x14 4x14 5x100"},
        {54: set(), 56: {"CheckoutBackendErrors"}, 88: {"CheckoutBackendErrors"}, 93: set(), 150: set()},
    ),
    Case(
        "an order in fulfilling since minute 0, and the operator restarts in between",
        {OLDEST: "0x69 _x1 0x50 _x100"},
        {60: set(), 80: set(), 95: {"CheckoutOrderStuck"}, 140: set()},
    ),
    Case(
        "at each scrape another order is in fulfilling, that was paid a moment ago",
        {OLDEST: "0+60x200"},
        {minute: set() for minute in range(60, 200, 10)},
    ),
    Case(
        "an order that nobody has looked at since minute 0",
        {'fulfillment_oldest_request_timestamp_seconds{pod="a"}': "0x120 _x100"},
        {60: set(), 80: set(), 95: {"CheckoutOrderStuck"}, 140: set()},
    ),
    Case(
        "two replicas: the one that led before told of an order that is fulfilled now",
        {OLDEST: "0x50 _x100", OLDEST.replace('pod="a"', 'pod="b"'): "_x51 3000x50"},
        {90: set(), 100: set()},
    ),
    Case(
        "the first answer of Stripe's that cannot be judged, right after a start",
        {requests("SessionUnreadable"): "_x9 1x49 0x100"},
        {8: set(), 9: {"CheckoutSessionUnreadable"}, 58: {"CheckoutSessionUnreadable"}, 70: set()},
    ),
    Case(
        "a seller releases authorizations",
        {requests("PaymentCanceled"): "0x9 3x400", transitions("PaymentCanceled"): "0x9 3x400"},
        {9: set(), 30: set(), 300: set()},
    ),
    Case(
        "a payment that is overdue",
        {OVERDUE: "0x9 1x49 0x100"},
        {9: set(), 10: {"CheckoutPaymentOverdue"}, 60: {"CheckoutPaymentOverdue"}, 70: set()},
    ),
    Case(
        "a payment that is overdue, and the operator restarts",
        {OVERDUE: "0x9 1x20 _x1 0x0 1x100"},
        {9: set(), **{minute: {"CheckoutPaymentOverdue"} for minute in range(10, 40)}},
    ),
    Case(
        "two replicas, and the other takes the lead while a payment is overdue",
        {OVERDUE: "0x9 1x10 _x100", OVERDUE.replace('pod="a"', 'pod="b"'): "_x21 1x100"},
        {9: set(), **{minute: {"CheckoutPaymentOverdue"} for minute in range(10, 40)}},
    ),
    Case(
        "orders are restored without their status, until a person has said what they are",
        {RESTORED: "0x9 200x49 0x100"},
        {9: set(), 10: {"CheckoutOrdersRestored"}, 60: {"CheckoutOrdersRestored"}, 70: set()},
    ),
    Case(
        "orders are restored into a new cluster, of which nothing was ever scraped",
        {RESTORED: "_x10 1x50", RESTORED.replace("fulfilling", "awaiting-payment"): "_x10 1x50"},
        {9: set(), **{minute: {"CheckoutOrdersRestored"} for minute in range(10, 50)}},
    ),
    Case(
        "orders do not decode after a rollback, from the first scrape on, until a version runs that knows them",
        {UNDECODABLE: "_x9 2x50 0x100", f'{ERRORS}{{error="undecodable",pod="a"}}': "_x9 2x150"},
        {8: set(), **{minute: {"CheckoutOrderUndecodable"} for minute in range(9, 60)}, 70: set(), 150: set()},
    ),
    Case(
        "an order does not decode, and the operator restarts",
        {UNDECODABLE: "0x9 1x20 _x1 0x0 1x100"},
        {9: set(), **{minute: {"CheckoutOrderUndecodable"} for minute in range(10, 40)}},
    ),
    Case(
        "an order does not decode, and the other replica takes the lead",
        {UNDECODABLE: "0x9 1x10 _x100", UNDECODABLE.replace('pod="a"', 'pod="b"'): "_x21 1x100"},
        {9: set(), **{minute: {"CheckoutOrderUndecodable"} for minute in range(10, 40)}},
    ),
    Case(
        "a dispute of a fulfilled order, until it is acknowledged",
        {DISPUTED: "0x9 1x49 0x100"},
        {9: set(), 10: {"CheckoutOrderDisputed"}, 60: {"CheckoutOrderDisputed"}, 70: set()},
    ),
    Case(
        "a dispute, and the operator restarts",
        {DISPUTED: "0x9 1x20 _x1 0x0 1x100"},
        {9: set(), **{minute: {"CheckoutOrderDisputed"} for minute in range(10, 40)}},
    ),
    Case(
        "a dispute, and the other replica takes the lead",
        {DISPUTED: "0x9 1x10 _x100", DISPUTED.replace('pod="a"', 'pod="b"'): "0x21 1x100"},
        {9: set(), **{minute: {"CheckoutOrderDisputed"} for minute in range(10, 40)}},
    ),
    Case(
        "a refund that failed, first of all and right after a start, until it is acknowledged",
        {REFUND_FAILED: "_x9 1x50 0x100"},
        {8: set(), 10: {"CheckoutRefundFailed"}, 50: {"CheckoutRefundFailed"}, 70: set()},
    ),
    Case(
        "a dispute that was won, and an inquiry, ask for nothing",
        {
            DISPUTED.replace("disputed", "dispute-won", 1): "0x9 1x100",
            REFUND_FAILED.replace("refund-failed", "inquiry"): "0x9 1x100",
        },
        {20: set(), 100: set()},
    ),
    Case(
        "no recovery has succeeded since minute 10, until one does",
        {RECOVERED: "0x9 600x1700 102600x100"},
        {
            OVERDUE_AFTER: set(),
            OVERDUE_AFTER + 30: {"CheckoutRecoveryOverdue"},
            1700: {"CheckoutRecoveryOverdue"},
            1720: set(),
        },
    ),
    Case(
        "no recovery has succeeded since minute 10, and a day before nothing was scraped for hours",
        {RECOVERED: "0x9 600x90 _x300 600x2500"},
        {
            OVERDUE_AFTER: set(),
            **{minute: {"CheckoutRecoveryOverdue"} for minute in range(OVERDUE_AFTER + 30, OVERDUE_AFTER + 450, 15)},
        },
    ),
    Case(
        "no recovery has succeeded for long, and Prometheus keeps nothing of the time before",
        {RECOVERED: f"_x{OVERDUE_AFTER + 60} 600x300"},
        {
            OVERDUE_AFTER + 70: set(),
            **{key: {"CheckoutRecoveryOverdue"} for key in range(OVERDUE_AFTER + 80, OVERDUE_AFTER + 300, 20)},
        },
    ),
    Case(
        "no recovery has ever succeeded, and nothing was scraped for hours when they were switched on",
        {RECOVERED: "0x60 _x120 0x2700"},
        {
            OVERDUE_AFTER - 60: set(),
            **{key: {"CheckoutRecoveryOverdue"} for key in range(OVERDUE_AFTER + 200, 2800, 50)},
        },
    ),
    Case(
        "recoveries were switched on at minute 1400, and none has ever succeeded",
        {RECOVERED: "_x1400 0x1600"},
        {OVERDUE_AFTER + 100: set(), 1400 + OVERDUE_AFTER: set(), 2990: {"CheckoutRecoveryOverdue"}},
    ),
    Case(
        "no recovery succeeds, and the other replica takes the lead",
        {RECOVERED: "600x1650 _x200", RECOVERED.replace('pod="a"', 'pod="b"'): "_x1652 600x200"},
        {minute: {"CheckoutRecoveryOverdue"} for minute in range(OVERDUE_AFTER + 30, OVERDUE_AFTER + 200, 5)},
    ),
    Case(
        "recoveries succeed, and create requests",
        {RECOVERED: "0+60x2900", LEFT.replace("failed", "created"): "5x2900", LEFT: "0x2900"},
        {OVERDUE_AFTER + 500: set()},
    ),
    Case(
        "a recovery could not record an event, until one can; the operator restarts meanwhile",
        {LEFT: "0x9 1x20 _x2 1x20 0x100"},
        {9: set(), **{minute: {"CheckoutRecoveryFailed"} for minute in range(10, 53)}, 64: set()},
    ),
    Case(
        "the endpoint at Stripe lacks an event, and the operator restarts before it is put back",
        {PROBLEM: "0x9 1x20 _x1 0x0 1x20 0x100"},
        {9: set(), **{minute: {"CheckoutEndpointMisconfigured"} for minute in range(10, 50)}, 64: set()},
    ),
    Case(
        "the endpoint's events have another API version",
        {PROBLEM.replace("missing-events", "api-version"): "0x9 1x100"},
        {9: set(), 20: {"CheckoutEndpointMisconfigured"}},
    ),
    Case(
        "Stripe disabled the endpoint, until it is enabled again",
        {PROBLEM.replace("missing-events", "disabled"): "0x9 1x40 0x100"},
        {9: set(), 10: {"CheckoutEndpointMisconfigured"}, 50: {"CheckoutEndpointMisconfigured"}, 64: set()},
    ),
    Case(
        "Stripe has destinations of thin events alone",
        {PROBLEM.replace("missing-events", "not-registered"): "1x100"},
        {60: set()},
    ),
    Case(
        "an order that a refund stopped is no news: the shop gave the money back",
        {requests("Refunded"): "0x9 1x200", transitions("Refunded"): "0x9 1x200"},
        {10: set(), 60: set()},
    ),
    Case(
        "an order that a person gave up is no news",
        {requests("ManuallyFailed"): "0x9 1x200", transitions("ManuallyFailed"): "0x9 1x200"},
        {10: set(), 60: set()},
    ),
    Case(
        "requests that anybody can send are no alert",
        {
            f'{REFUSALS}{{reason="{reason}",pod="w"}}': "0+5x100"
            for reason in ("no-signature", "not-utf8", "too-large", "not-allowed")
        },
        {50: set()},
    ),
    Case(
        "events stop, and the pod restarts meanwhile",
        {EVENTS: f"0+1x100 100x500 0x{DAY + 500}"},
        {50: set(), 800: set(), DAY + 150: {"CheckoutEventsMissing"}},
    ),
    Case(
        "events come to the one of two replicas",
        {EVENTS: f"0+1x100 100x{DAY + 500}", EVENTS.replace('"w"', '"v"'): "0+1x3000"},
        {50: set(), DAY + 150: set()},
    ),
    Case(
        "a service whose first event came before the first scrape hears events, and then none for a day",
        {STARTED_WEBHOOK: f"_x10 590x{DAY + 400}", EVENTS: f"_x10 1+1x100 101x{DAY + 300}"},
        {100: set(), DAY + 150: {"CheckoutEventsMissing"}},
    ),
    Case(
        "the silence ends with an event that came before the first scrape after a restart",
        {
            STARTED_WEBHOOK: f"0x{DAY + 199} {(DAY + 200) * 60 - 10}x600",
            EVENTS: f"0+1x60 60x{DAY + 138} 1x600",
        },
        {DAY + 150: {"CheckoutEventsMissing"}, DAY + 201: set(), DAY + 300: set()},
    ),
    Case(
        "the leader hears nothing of the first order, which came before the service was first scraped",
        {STARTED_WEBHOOK: "_x30 1790x200", EVENTS: "_x30 1x200", HEARD: "0x300", HEARD_BY_STANDBY: "0x300"},
        {30: set(), 34: set(), 38: {"CheckoutWatchStale"}, 60: set()},
    ),
    Case("no event ever", {EVENTS: "0x3000"}, {DAY + 500: set()}),
    Case(
        "the first event ever ends the silence",
        {EVENTS: f"0+1x60 60x{DAY + 60} 61x600"},
        {DAY + 90: {"CheckoutEventsMissing"}, DAY + 140: set()},
    ),
    Case(
        "a small shop has a day without sales, and then two more",
        {name: f"{level}x{4 * DAY}" for name, level in ((LEADER, 1), (STANDBY, 0), (WEBHOOK, 0), (PAGE, 1))}
        | {EVENTS: f"0+1x40 40x{4 * DAY}"},
        {DAY + 150: set(), 3 * DAY: set(), 3 * DAY + 70: {"CheckoutEventsMissing"}},
    ),
    Case(
        "a mail about a failed payment is put off once, and sent a second later",
        {
            f'fulfillment_mails_total{{mail="payment-failed",reason="{reason}",pod="a"}}': "0x9 1x200"
            for reason in ("MailUnavailable", "MailSent")
        },
        {minute: set() for minute in range(9, 120, 3)},
    ),
    Case("mail is sent", {'fulfillment_mails_total{mail="receipt",reason="MailSent",pod="a"}': "0+1x100"}, {50: set()}),
    Case(
        "the webhook answers 200 and 400",
        {f'fulfillment_webhook_duration_seconds_count{{status="{each}",pod="w"}}': "0+1x100" for each in (200, 400)},
        {50: set()},
    ),
    Case(
        "callbacks are recorded, and forged ones refused",
        {
            f'fulfillment_callbacks_total{{outcome="{each}",pod="w"}}': "0+1x100"
            for each in ("recorded", "wrong-signature")
        },
        {50: set()},
    ),
    Case("no webhook service is there", {}, {3: set(), 10: {"CheckoutWebhookDown"}}, {WEBHOOK}),
    Case("no order page is there", {}, {3: set(), 10: {"CheckoutPageDown"}}, {PAGE}),
    Case("the order page's watch is interrupted, and its pod there", {PAGE: "0x200"}, {60: set()}),
    Case("one of two webhook pods is gone", {WEBHOOK.replace('"w"', '"v"'): "0x20 _x200"}, {60: set()}),
    Case(
        "the webhook pod is replaced within the hold",
        {WEBHOOK: "0x20 _x3 0x200"},
        {19: set(), 22: set(), 24: set(), 60: set()},
        {WEBHOOK},
    ),
    Case("no operator is there", {}, {3: set(), 10: {"CheckoutOperatorDown"}}, {LEADER, STANDBY}),
    Case("one standby", {}, {1: set(), 10: {"CheckoutNoLeader"}}, {LEADER}),
    Case(
        "the leader is killed, and the standby takes the lead within the hold",
        {LEADER: "1x20 _x1 0x200", STANDBY: "0x21 1x200"},
        {20: set(), 21: set(), 22: set(), 60: set()},
        {LEADER, STANDBY},
    ),
    Case(
        "the operator restarts again and again, and leads in between for a scrape or two, until it is mended",
        {
            PROCESS: "0x19 1200x1 _x3 1500x1 _x3 1800x1 _x3 2100x1 _x3 2400x150",
            BUILD: "1x19 1x1 stale _x2 1x1 stale _x2 1x1 stale _x2 1x1 stale _x2 1x150",
        },
        {
            19: set(),
            25: set(),
            **{minute: {"CheckoutRestarting"} for minute in range(30, 84)},
            100: set(),
            150: set(),
        },
    ),
    Case(
        "an operator restarts twice within an hour",
        {PROCESS: "0x19 1200x19 2400x100", BUILD: "1x140"},
        {minute: set() for minute in range(15, 120, 5)},
    ),
    Case(
        "three pods are rolled out, one after the other, and again",
        {
            series.replace('"a"', f'"{pod}{number}"'): f"_x{begun} {value}x25 stale"
            for number, (pod, begun) in enumerate((pod, 10 * step) for step, pod in enumerate("abcabc"))
            for series, value in ((PROCESS, begun * 60), (BUILD, 1))
        },
        {minute: set() for minute in range(5, 80, 5)},
    ),
    Case(
        "settings are reloaded, which begins the workload anew and not its process",
        {STARTED: "0x9 600x4 900x4 1200x4 1500x50", PROCESS: "0x80", BUILD: "1x80"},
        {minute: set() for minute in range(5, 60, 5)},
    ),
    Case(
        "something else in the namespace restarts again and again",
        {PROCESS.replace('"a"', '"other"'): "0x9 600x4 900x4 1200x4 1500x50"},
        {minute: set() for minute in range(5, 60, 5)},
    ),
    Case(
        "the leader hears nothing of the orders that come; a standby never did",
        {EVENTS: "0x9 0+1x100", HEARD: "0+60x10 600x100", HEARD_BY_STANDBY: "0x110"},
        {10: set(), 25: set(), 40: {"CheckoutWatchStale"}},
    ),
    Case(
        "the leader hears nothing of what becomes of fulfilled orders, which it does not watch",
        {EVENTS: "1x110", HEARD: "0x110"}
        | {
            f'fulfillment_webhook_events_total{{type="{each}",outcome="updated",pod="w"}}': "0x30 0+1x80"
            for each in ("charge.refunded", "refund.failed", "charge.dispute.closed", "charge.dispute.created")
        },
        {minute: set() for minute in range(30, 100, 5)},
    ),
    Case(
        "the watch is refused for as long as an API server takes to start, and later for good",
        {REFUSED: "0x10 1x1 0x20 1x60"},
        {12: set(), 33: set(), 36: {"CheckoutWatchRefused"}},
    ),
    Case(
        "the leader hears the orders; a standby hears none",
        {EVENTS: "0+1x100", HEARD: "0+60x100", HEARD_BY_STANDBY: "0x100"},
        {60: set()},
    ),
    Case(
        "an operator that began after the last order has nothing to hear",
        {EVENTS: "0x40 1x200", HEARD: "0x40 2460x5 _x1 2880x200"},
        {minute: set() for minute in range(45, 100, 5)},
    ),
)

CASES = (
    *OTHERS,
    *(case for failure in FAILURES for case in failure_cases(failure)),
    *(case for count in COUNTS for case in count_cases(count)),
)
