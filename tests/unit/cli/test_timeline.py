"""What happened to an order, as a person is shown it; how it is laid out; and where Stripe shows it."""

import re
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import Callback, CallbackResult, Reversal, ReversalKind, Session
from fulfillment_api.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Fulfillment,
    LineItem,
    Order,
    Phase,
    Reason,
    Status,
)
from fulfillment_cli.dashboard import dashboard_url
from fulfillment_cli.output import age, aligned, request_page, requests_table
from fulfillment_cli.timeline import timeline
from fulfillment_runtime.kubernetes.events import PostedEvent
from support.builders import CREATED, make_request

SIGNED = "2026-11-02T09:30:00Z by alice"


def at(minutes: int) -> datetime:
    return CREATED + timedelta(minutes=minutes)


def condition(kind: str, reason: str, minutes: int) -> Condition:
    return Condition(
        type=kind, status=ConditionStatus.FALSE, reason=reason, message="m", last_transition_time=at(minutes)
    )


def failed() -> FulfillmentRequest:
    tries = Fulfillment(
        backend="http", attempts=3, started_at=at(1), accepted_at=at(2), next_attempt_at=at(60), last_error="503"
    )
    request = make_request(
        annotations=Annotations(retry="2026-11-02T09:30:00Z by alice (night shift)", paused="by kubectl annotate"),
        status=Status(
            phase=Phase.FAILED,
            reason=Reason.FULFILLMENT_FAILED,
            message="refused",
            observed_generation=1,
            conditions=[
                condition("Paid", "Paid", 1),
                condition("Fulfilled", "FulfillmentFailed", 1),
                condition("Ready", "FulfillmentFailed", 5),
            ],
            fulfillment=tries,
            order=Order(line_items=[LineItem(id=f"li_{each}", description="Mug", quantity=2) for each in range(12)]),
        ),
    )
    session = replace(request.spec.session, created_at=at(-5))
    callback = Callback(result=CallbackResult.REJECTED, message="no stock", observed_at=at(4))
    sale = Reversal(kind=ReversalKind.DISPUTED, event="evt_2", observed_at=at(40))
    return replace(request, spec=replace(request.spec, session=session, callback=callback, reversal=sale))


EVENTS = [
    PostedEvent(at(5), "FulfillmentFailed", "m"),
    PostedEvent(at(3), "BackendUnavailable", "the endpoint answered 503"),
    PostedEvent(at(1), "ResumeRequested", "resumed by alice"),
]


def test_everything_that_happened_stands_in_its_order() -> None:
    """A condition takes its time from the Event of the same words, which is left out, as are its mirrors."""
    assert [(each.at, each.what) for each in timeline(failed(), EVENTS)] == [
        (at(-5), "SessionCreated"),
        (at(0), "RequestCreated"),
        (at(0), "PaymentEvent"),
        (at(1), "ResumeRequested"),
        (at(1), "Paid=False"),
        (at(1), "Dispatched"),
        (at(2), "Accepted"),
        (at(3), "BackendUnavailable"),
        (at(4), "Callback"),
        (at(5), "Fulfilled=False"),
        (at(30), "RetryRequested"),
        (at(40), "ReversalEvent"),
        (at(60), "NextAttempt"),
    ]


def test_what_comes_of_a_callback_stands_after_it() -> None:
    """Within one second, too, of which the callback alone tells the part; and first of all the order is paid."""
    request = failed()
    assert request.status
    done = Fulfillment(
        backend="http", attempts=1, started_at=at(1), accepted_at=at(1), completed_at=at(4), reference="7"
    )
    conditions = [condition("Fulfilled", "Fulfilled", 4), condition("Paid", "Paid", 4)]
    callback = Callback(result=CallbackResult.DONE, observed_at=at(4) + timedelta(milliseconds=600))
    request = replace(
        request,
        spec=replace(request.spec, callback=callback, reversal=None),
        status=replace(request.status, fulfillment=done, conditions=conditions),
    )
    shown = [each.what for each in timeline(request, []) if each.at >= at(4)]
    assert shown == ["Paid=False", "Callback", "Completed", "Fulfilled=False", "RetryRequested"]


def test_what_a_person_asked_is_told_once() -> None:
    """By the Event while the cluster has it, by the annotation afterwards."""
    event = PostedEvent(at(30), "RetryRequested", "retried by alice")
    shown = [each.detail for each in timeline(failed(), [event]) if each.what == "RetryRequested"]
    assert shown == ["retried by alice"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Annotations(retry=SIGNED), ("RetryRequested", "retried by alice")),
        (Annotations(retry="2026-11-02T09:30:00Z"), ("RetryRequested", "retried")),
        (Annotations(paused=f"odd: address ({SIGNED})"), ("PauseRequested", "paused by alice: odd: address")),
        (Annotations(complete=SIGNED), ("CompleteRequested", "completed by alice")),
        (Annotations(fail=f"sold out ({SIGNED})"), ("FailRequested", "failed by alice: sold out")),
        (
            Annotations(acknowledged=f"PaymentFailed: told ({SIGNED})"),
            ("Acknowledged", "acknowledged by alice: PaymentFailed: told"),
        ),
        (
            Annotations(acknowledged=f"PaymentFailed: {SIGNED}"),
            ("Acknowledged", "acknowledged by alice: PaymentFailed"),
        ),
        (
            Annotations(acknowledged=f"Disputed,RefundFailed: told ({SIGNED})"),
            ("Acknowledged", "acknowledged by alice: Disputed,RefundFailed: told"),
        ),
        (
            Annotations(fail=f"sold out\nin all sizes ({SIGNED})"),
            ("FailRequested", "failed by alice: sold out\nin all sizes"),
        ),
        (Annotations(retry=f"{SIGNED} (night)"), ("RetryRequested", "retried by alice (night)")),
        (
            Annotations(paused=f"odd (very) ({SIGNED} (night))"),
            ("PauseRequested", "paused by alice (night): odd (very)"),
        ),
        (
            Annotations(acknowledged=f"PaymentFailed: {SIGNED} (night)"),
            ("Acknowledged", "acknowledged by alice (night): PaymentFailed"),
        ),
        (
            Annotations(fail="as told (2026-11-01T08:00:00Z by bob): sold out (2026-11-02T09:30:00Z)"),
            ("FailRequested", "failed: as told (2026-11-01T08:00:00Z by bob): sold out"),
        ),
        (Annotations(retry="yesterday, by hand"), None),
        (Annotations(retry="2026-13-45T99:99:99Z by hand"), None),
    ],
    ids=str,
)
def test_an_annotation_tells_it_in_the_words_of_the_event(asked: Annotations, expected: tuple[str, str] | None) -> None:
    """Who, and why; what somebody wrote by hand has no time, and so no place in the timeline."""
    shown = timeline(make_request(annotations=asked), [])
    told = [(each.what, each.detail) for each in shown if each.what not in {"RequestCreated", "PaymentEvent"}]
    assert told == ([expected] if expected else [])


def test_a_new_order_has_a_timeline() -> None:
    """Before the first reconcile."""
    assert [each.what for each in timeline(make_request(), [])] == ["RequestCreated", "PaymentEvent"]


def test_a_page_shows_the_order_and_its_timeline() -> None:
    """Facts that there are none of have no line, and of many items the first are shown."""
    page = request_page(failed(), timeline(failed(), []), at(10))
    assert "\nPhase:        failed (FulfillmentFailed)\n" in page
    assert "\nBackend:      http, attempts: 3\n" in page
    assert "\nItem:         2 x Mug\nItem:         and 2 more\n\nTIME " in page
    assert "Subscription" not in page
    assert (
        page.splitlines()[-1]
        == "2026-11-02T10:00:00Z   in 50m   NextAttempt       dispatched to the backend http again"
    )


def test_a_list_has_a_line_for_each() -> None:
    """Also for one that nobody looked at yet."""
    assert requests_table([failed(), make_request()], at(10)).splitlines() == [
        "NAME                            PHASE                REASON              AMOUNT      ATTEMPTS   AGE   MANUAL",
        "cs-xuqydawjncdn64mj7jy65vokke   failed               FulfillmentFailed   10.99 USD   3          10m   paused",
        "cs-xuqydawjncdn64mj7jy65vokke   not reconciled yet                       10.99 USD              10m",
    ]


def test_a_terminal_obeys_nobody_else() -> None:
    """What a buyer or a backend wrote moves no cursor."""
    assert aligned([("a\x1b[2J", "b\nc")]) == "a [2J   b c"


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(hours=3), "3h"),
        (timedelta(days=2), "2d"),
        (timedelta(minutes=-5), "in 5m"),
    ],
)
def test_ages(span: timedelta, expected: str) -> None:
    """As short as kubectl's."""
    assert age(span) == expected


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (Session(id="cs_test_1", livemode=False, payment_intent="pi_1"), "test/payments/pi_1"),
        (Session(id="cs_live_1", livemode=True, payment_intent="pi_1"), "payments/pi_1"),
        (Session(id="cs_test_1", livemode=False, subscription="sub_1"), "test/subscriptions/sub_1"),
        (Session(id="cs_test_1", livemode=False), "test/search?query=cs_test_1"),
        (Session(id="cs_test_1", livemode=False, account="acct_1", payment_intent="pi_1"), "acct_1/test/payments/pi_1"),
    ],
)
def test_the_dashboards_page(session: Session, expected: str) -> None:
    """Of the payment, the subscription, or whatever has the Session's id; in test mode, and of a connected account."""
    made = make_request()
    request = replace(made, spec=replace(made.spec, session=session))
    assert dashboard_url(request) == f"https://dashboard.stripe.com/{expected}"


def test_the_dashboards_page_of_a_payment_that_stripe_named() -> None:
    """As of a thin event's order, once it was looked at."""
    status = Status(
        phase=Phase.FULFILLED,
        reason=Reason.FULFILLED,
        message="",
        observed_generation=1,
        conditions=[],
        payment_intent="pi_2",
    )
    assert dashboard_url(make_request(status=status)) == "https://dashboard.stripe.com/test/payments/pi_2"


def test_what_was_not_understood_is_shown() -> None:
    """Until it is mended."""
    condition = Condition(
        type=ConditionType.ANNOTATIONS_VALID,
        status=ConditionStatus.FALSE,
        reason=Reason.INVALID_ANNOTATION,
        message="the annotation is empty",
        last_transition_time=CREATED,
    )
    status = Status(
        phase=Phase.FAILED, reason=Reason.NO_ROUTE, message="", observed_generation=1, conditions=[condition]
    )
    page = request_page(make_request(status=status), (), CREATED)
    assert re.search(r"^Invalid input: +the annotation is empty$", page, re.MULTILINE)
    mended = replace(status, conditions=[replace(condition, status=ConditionStatus.TRUE)])
    assert "Invalid input" not in request_page(make_request(status=mended), (), CREATED)
