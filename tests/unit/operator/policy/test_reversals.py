"""Refunds and disputes: what stops an order, what is news of it, how it is shown, and what a backend is told."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fulfillment_api.disputes import DISPUTE_KINDS, dispute_kind, gravest
from fulfillment_api.resource import Annotations, FulfillmentRequest
from fulfillment_api.spec import Amount, Callback, CallbackResult, Expiry, Reversal, ReversalKind
from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Reversals, Status
from fulfillment_operator.backends.order import ReversalNotice
from fulfillment_operator.backends.outcome import Done, InProgress, Outcome, Rejected, TryAgain
from fulfillment_operator.checkout.session import CheckoutSession
from fulfillment_operator.mail.interface import MailOutcome
from fulfillment_operator.policy.decide import Fail, Fulfill, Reverse, decide
from fulfillment_operator.policy.manual_actions import Complete
from fulfillment_operator.policy.reversals import (
    is_reversal_due,
    new_reversals,
    reversal_change,
    shown_reversals,
    unknown_change,
    with_reversals,
)
from fulfillment_operator.policy.transition import Attempt, Retries, dispatched, failed, manually_ended
from support.builders import CREATED, make_request, make_session

NOW = CREATED + timedelta(hours=1)
RETRIES = Retries(delay=timedelta(seconds=2), deadline=timedelta(hours=72))
REFUNDED, DISPUTED = ReversalKind.REFUNDED, ReversalKind.DISPUTED
NAME = make_request().metadata.name


def usd(total: int) -> Amount:
    return Amount(total=total, currency="usd", display=f"{total / 100:.2f} USD")


NOTHING = make_session()
PART, MORE = make_session(amount_refunded=usd(500)), make_session(amount_refunded=usd(800))
ALL = make_session(amount_refunded=usd(1099), refunded=True)


def disputed(kind: ReversalKind) -> CheckoutSession:
    return make_session(dispute=kind)


def fulfilled(kind: ReversalKind | None = REFUNDED, *, generation: int = 2) -> FulfillmentRequest:
    """Return a request that was fulfilled in its first generation, and hinted at in its second."""
    status = dispatched(make_request(), Attempt(make_session(), Done("order-7"), "http"), RETRIES, CREATED)
    request = make_request(status=status, generation=generation)
    return replace(request, spec=replace(request.spec, reversal=Reversal(kind=kind) if kind else None))


def expired() -> FulfillmentRequest:
    request = fulfilled(None)
    return replace(request, spec=replace(request.spec, expiry=Expiry(event="evt_1")))


def conditions(status: Status) -> dict[str, tuple[ConditionStatus, str, str]]:
    return {each.type: (each.status, each.reason, each.message) for each in status.conditions}


def seen(request: FulfillmentRequest, *sessions: CheckoutSession) -> tuple[FulfillmentRequest, list[ReversalNotice]]:
    """Let the sweep see what Stripe says, one after the other; return the request, and what the backend was told."""
    told: list[ReversalNotice] = []
    for number, session in enumerate(sessions):
        assert request.status is not None
        change = reversal_change(request, session, NOW)
        told += change.notices
        at = NOW + timedelta(hours=number)
        request = replace(request, status=with_reversals(request, request.status, change, at))
    return request, told


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (ALL, Reason.REFUNDED),
        (disputed(ReversalKind.DISPUTED), Reason.DISPUTED),
        (disputed(ReversalKind.DISPUTE_LOST), Reason.DISPUTE_LOST),
        (make_session(refunded=True, dispute=DISPUTED), Reason.REFUNDED),
    ],
)
def test_what_was_undone_before_it_was_fulfilled_is_not_fulfilled(session: CheckoutSession, reason: Reason) -> None:
    """The request fails with a reason of its own; the conditions tell all that came after the sale."""
    step = decide(make_request(), session, NOW)
    assert isinstance(step, Reverse)  # a backend may have it, although nobody noted that
    status = failed(make_request(), step.fail, NOW)
    assert (status.phase, status.reason) == (Phase.FAILED, reason)
    found = conditions(status)
    assert found["Paid"][0] is ConditionStatus.TRUE
    assert (ConditionType.REFUNDED in found) == session.refunded
    assert (ConditionType.DISPUTED in found) == (session.dispute is not None)


@pytest.mark.parametrize(
    "session",
    [
        PART,
        *map(
            disputed,
            [
                ReversalKind.INQUIRY,
                ReversalKind.INQUIRY_CLOSED,
                ReversalKind.DISPUTE_WON,
                ReversalKind.DISPUTE_PREVENTED,
            ],
        ),
    ],
)
def test_what_stops_nothing(session: CheckoutSession) -> None:
    """The order is handed over, and shows it from the first try on."""
    assert decide(make_request(), session, NOW) == Fulfill(session)
    change = reversal_change(make_request(), session, NOW)
    status = dispatched(make_request(), Attempt(session, Done(), "http", None, change), RETRIES, NOW)
    assert status.phase is Phase.FULFILLED
    assert shown_reversals(status) == change.kinds != ()
    assert new_reversals(None, status) == change.kinds


@pytest.mark.parametrize(
    ("stopped", "since", "reason"),
    [
        (ALL, NOTHING, Reason.REFUND_FAILED),
        (ALL, PART, Reason.REFUND_FAILED),
        (disputed(DISPUTED), disputed(ReversalKind.DISPUTE_WON), Reason.DISPUTE_WON),
        (disputed(DISPUTED), disputed(ReversalKind.DISPUTE_PREVENTED), Reason.DISPUTE_PREVENTED),
        (disputed(ReversalKind.DISPUTE_LOST), disputed(ReversalKind.DISPUTE_WON), Reason.DISPUTE_WON),
    ],
)
def test_an_order_that_was_stopped_goes_on_when_a_person_says_so(
    stopped: CheckoutSession, since: CheckoutSession, reason: Reason
) -> None:
    """What stopped it is undone: it says so, and stays stopped, however often it is looked at, until a retry."""
    reversed_ = decide(make_request(), stopped, NOW)
    assert isinstance(reversed_, Reverse)
    request = make_request(status=failed(make_request(), reversed_.fail, NOW), generation=2)
    for _ in range(2):
        step = decide(request, since, NOW)
        assert isinstance(step, Fail)
        assert step.reason is reason
        request = replace(request, status=failed(request, step, NOW))
        assert request.status is not None
        assert not {each for each in shown_reversals(request.status) if each in {REFUNDED, DISPUTED}}
    retried = make_request(status=request.status, annotations=Annotations(retry="now"))
    assert decide(retried, since, NOW) == Fulfill(since)


@pytest.mark.parametrize("outcome", [Rejected("the endpoint refused the order with 422"), TryAgain("it is away")])
@pytest.mark.parametrize("news", [NOTHING, PART, disputed(ReversalKind.INQUIRY), disputed(ReversalKind.DISPUTE_WON)])
def test_what_failed_is_handed_over_again_by_a_retry_alone(outcome: Outcome, news: CheckoutSession) -> None:
    """A person may have fulfilled it since: a fraud warning, or what else comes, says nothing of that."""
    over = Retries(delay=RETRIES.delay, deadline=timedelta(0))
    before = make_request(status=dispatched(make_request(), Attempt(NOTHING, outcome, "http"), over, NOW), generation=2)
    assert before.status is not None
    step = decide(before, news, NOW)
    assert isinstance(step, Fail | Reverse)
    after = failed(before, step.fail if isinstance(step, Reverse) else step, NOW)
    assert (after.phase, after.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)
    assert after.message == before.status.message
    assert conditions(after)["Paid"][0] is ConditionStatus.TRUE
    assert shown_reversals(after) == reversal_change(before, news, NOW).kinds
    retried = replace(before, metadata=make_request(annotations=Annotations(retry="now")).metadata)
    assert decide(retried, news, NOW) == Fulfill(news)


def called_back(status: Status) -> FulfillmentRequest:
    request = make_request(status=status, generation=2)
    callback = Callback(result=CallbackResult.DONE, reference="parcel-9", observed_at=NOW)
    return replace(request, spec=replace(request.spec, callback=callback))


def test_a_late_word_of_the_backend_counts() -> None:
    """It took the order, and said so after the deadline, or after a refund: asking it hands nothing over."""
    over = Retries(delay=RETRIES.delay, deadline=timedelta(0))
    taken = dispatched(make_request(), Attempt(NOTHING, InProgress("taken"), "http"), RETRIES, CREATED)
    late = dispatched(make_request(status=taken), Attempt(NOTHING, InProgress("taken"), "http"), over, NOW)
    assert (late.phase, late.reason) == (Phase.FAILED, Reason.FULFILLMENT_FAILED)
    assert isinstance(decide(make_request(status=late, generation=2), NOTHING, NOW), Fail)
    assert decide(called_back(late), NOTHING, NOW) == Fulfill(NOTHING)

    stopped = failed(make_request(status=taken), Fail(Reason.REFUNDED, "…", ALL), NOW)
    assert isinstance(decide(make_request(status=stopped, generation=2), ALL, NOW), Fail)
    assert isinstance(decide(called_back(stopped), ALL, NOW), Reverse)


@pytest.mark.parametrize("between", [Reason.SESSION_UNREADABLE, Reason.LIVEMODE_MISMATCH, Reason.SESSION_NOT_FOUND])
def test_an_order_that_could_not_be_judged_meanwhile_stays_stopped(between: Reason) -> None:
    """The conditions tell what had stopped it before that."""
    request = make_request(status=failed(make_request(), Fail(Reason.DISPUTED, "…", disputed(DISPUTED)), NOW))
    request = replace(request, status=failed(request, Fail(between, "…"), NOW))
    step = decide(request, disputed(ReversalKind.DISPUTE_WON), NOW)
    assert isinstance(step, Fail)
    assert step.reason is Reason.DISPUTE_WON


def test_what_a_person_completes_is_looked_at_once_more_for_its_reversal() -> None:
    """Stripe is not asked when a person completes an order, and a dispute may have come during a pause."""
    request = replace(fulfilled(), status=None)
    completed = replace(request, status=manually_ended(request, Complete("parcel-9"), NOW))
    assert is_reversal_due(completed)
    completed, _ = seen(completed, ALL)
    assert not is_reversal_due(completed)
    without = replace(fulfilled(None), status=None)
    assert not is_reversal_due(replace(without, status=manually_ended(without, Complete("parcel-9"), NOW)))


def test_the_backend_that_has_a_stopped_order_is_told_that_its_refund_failed() -> None:
    """As it was told of the refund."""
    before = make_request(status=dispatched(make_request(), Attempt(NOTHING, Done(), "http"), RETRIES, NOW))
    assert before.status is not None
    stopped = replace(before, status=failed(before, Fail(Reason.REFUNDED, "…", ALL), NOW))
    step = decide(stopped, NOTHING, NOW)
    assert isinstance(step, Reverse)
    assert [each.kind for each in reversal_change(stopped, NOTHING, NOW).notices] == [ReversalKind.REFUND_FAILED]


@pytest.mark.parametrize(
    ("request_", "due"),
    [
        (fulfilled(REFUNDED), True),
        (fulfilled(DISPUTED), True),
        (fulfilled(REFUNDED, generation=1), True),  # as a backup may bring its status back
        (expired(), False),
        (fulfilled(None), False),
        (make_request(generation=2), False),
    ],
)
def test_which_fulfilled_orders_are_looked_at(request_: FulfillmentRequest, due: bool) -> None:
    """Those of which an event hinted at something that nobody looked at."""
    assert due == is_reversal_due(request_)


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        (ConditionStatus.TRUE, None),
        (ConditionStatus.FALSE, None),
        (None, (ConditionStatus.UNKNOWN, Reason.STRIPE_MISCONFIGURED)),
    ],
)
def test_what_is_asked_again_leaves_what_is_known(
    before: ConditionStatus | None, shown: tuple[ConditionStatus, Reason] | None
) -> None:
    """What Stripe then says is compared with that; and what is unknown is written once."""
    request = fulfilled(REFUNDED)
    assert request.status is not None
    known = (
        Condition(type=ConditionType.REFUNDED, status=before, reason="R", message="m", last_transition_time=NOW)
        if before
        else None
    )
    request = replace(request, status=replace(request.status, conditions=[known] if known else []))
    change = unknown_change(request, Reason.STRIPE_MISCONFIGURED, "no right", handled=False)
    updates = {kind: each[:2] for kind, each in change.updates.items()}
    assert updates == ({ConditionType.REFUNDED: shown} if shown else {})
    assert request.status is not None
    once = with_reversals(request, request.status, change, NOW)
    again = unknown_change(replace(request, status=once), Reason.STRIPE_MISCONFIGURED, "no right", handled=False)
    assert with_reversals(request, once, again, NOW + timedelta(hours=1)) == once


def test_it_is_shown_once_and_the_order_stays_fulfilled() -> None:
    """A second look finds no news; the first time stays."""
    request, told = seen(fulfilled(), ALL)
    status = request.status
    assert status is not None
    assert (status.phase, status.reason, status.message) == (
        Phase.FULFILLED,
        Reason.FULFILLED,
        "the backend http fulfilled the order as order-7",
    )
    assert status.observed_generation == 2
    assert conditions(status)["Refunded"] == (ConditionStatus.TRUE, "Refunded", "all of the payment was given back")
    assert status.reversals == Reversals(amount_refunded=usd(1099), news={"refunded": 1}, handled="refunded")
    assert told == [ReversalNotice(REFUNDED, f"{NAME}.refunded")]
    assert seen(request, ALL) == (request, [])


@pytest.mark.parametrize(
    ("hint", "observed_at"),
    [(Reversal(kind=REFUNDED, observed_at=NOW), NOW), (Reversal(kind=DISPUTED), None), (None, None)],
)
def test_a_notice_tells_when_an_event_said_so(hint: Reversal | None, observed_at: object) -> None:
    """One that told of something else, or none, does not know when that was."""
    request = fulfilled()
    request = replace(request, spec=replace(request.spec, reversal=hint))
    assert [each.observed_at for each in reversal_change(request, ALL, NOW).notices] == [observed_at]


@pytest.mark.parametrize(
    ("sessions", "condition", "keys"),
    [
        ((PART,), ("False", "PartiallyRefunded", "5.00 USD of 10.99 USD was given back"), ["partially-refunded.500"]),
        (
            (PART, MORE),
            ("False", "PartiallyRefunded", "8.00 USD of 10.99 USD was given back"),
            ["partially-refunded.500", "partially-refunded.800.2"],
        ),
        (
            (PART, ALL),
            ("True", "Refunded", "all of the payment was given back"),
            ["partially-refunded.500", "refunded"],
        ),
        (
            (ALL, NOTHING),
            ("False", "RefundFailed", "the refund failed, or was canceled: nothing is given back"),
            ["refunded", "refund-failed"],
        ),
        (
            (MORE, PART),
            ("False", "RefundFailed", "the refund failed, or was canceled: 5.00 USD of 10.99 USD is given back"),
            ["partially-refunded.800", "refund-failed.500"],
        ),
        (
            (ALL, NOTHING, ALL),
            ("True", "Refunded", "all of the payment was given back"),
            ["refunded", "refund-failed", "refunded.2"],
        ),
        (
            (PART, NOTHING, PART, NOTHING),
            ("False", "RefundFailed", "the refund failed, or was canceled: nothing is given back"),
            ["partially-refunded.500", "refund-failed", "partially-refunded.500.2", "refund-failed.2"],
        ),
    ],
)
def test_refunds_are_shown_and_told_as_stripe_says_now(
    sessions: Sequence[CheckoutSession], condition: tuple[str, str, str], keys: Sequence[str]
) -> None:
    """Both ways; each notice once, and each with a key of its own."""
    twice = [each for session in sessions for each in (session, session)]
    request, told = seen(fulfilled(), *twice)
    assert request.status is not None
    assert conditions(request.status)["Refunded"] == condition
    assert [each.key for each in told] == [f"{NAME}.{key}" for key in keys]


@pytest.mark.parametrize(
    ("kinds", "condition", "keys"),
    [
        ((DISPUTED,), ("True", "Disputed"), ["disputed"]),
        ((DISPUTED, ReversalKind.DISPUTE_WON), ("False", "DisputeWon"), ["disputed", "dispute-won"]),
        ((DISPUTED, ReversalKind.DISPUTE_LOST), ("True", "DisputeLost"), ["disputed", "dispute-lost"]),
        ((ReversalKind.INQUIRY,), ("False", "Inquiry"), []),
        ((ReversalKind.INQUIRY, ReversalKind.INQUIRY_CLOSED), ("False", "InquiryClosed"), []),
        ((ReversalKind.INQUIRY, DISPUTED), ("True", "Disputed"), ["disputed"]),
        ((ReversalKind.DISPUTE_PREVENTED,), ("False", "DisputePrevented"), ["dispute-prevented"]),
        (
            (DISPUTED, ReversalKind.DISPUTE_WON, DISPUTED),
            ("True", "Disputed"),
            ["disputed", "dispute-won", "disputed.2"],
        ),
    ],
)
def test_disputes_are_shown_and_told_as_stripe_says_now(
    kinds: Sequence[ReversalKind], condition: tuple[str, str], keys: Sequence[str]
) -> None:
    """Both ways. An inquiry is no dispute: it is shown, and no backend is told."""
    request, told = seen(fulfilled(DISPUTED), *(disputed(each) for kind in kinds for each in (kind, kind)))
    assert request.status is not None
    assert conditions(request.status)["Disputed"][:2] == condition
    assert [each.key for each in told] == [f"{NAME}.{key}" for key in keys]


def test_a_fraud_warning_is_what_its_event_says() -> None:
    """It is shown once, also when another event follows, and no backend is told."""
    request, told = seen(fulfilled(ReversalKind.FRAUD_WARNING), NOTHING, NOTHING)
    later = replace(request, spec=replace(request.spec, reversal=Reversal(kind=DISPUTED)))
    request, more = seen(later, disputed(DISPUTED))
    assert request.status is not None
    assert shown_reversals(request.status) == (DISPUTED, ReversalKind.FRAUD_WARNING)
    assert request.status.reversals == Reversals(news={"fraud-warning": 1, "disputed": 1}, handled="disputed")
    assert (told, [each.kind for each in more]) == ([], [DISPUTED])


@given(st.lists(st.sampled_from([NOTHING, PART, MORE, ALL, *map(disputed, DISPUTE_KINDS)]), max_size=12))
def test_no_key_is_told_twice_whatever_stripe_says(sessions: list[CheckoutSession]) -> None:
    """Else a backend would take a second refund for the first; and a second look at the same tells nothing."""
    request, told = seen(fulfilled(), *sessions)
    assert len({each.key for each in told}) == len(told)
    assert seen(request, *sessions[-1:]) == (request, [])


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ([], None),
        (["won", "needs_response"], DISPUTED),
        (["won", "warning_closed", "lost"], ReversalKind.DISPUTE_LOST),
        (["warning_closed", "won"], ReversalKind.DISPUTE_WON),
        (["won", "unheard-of"], DISPUTED),
        ([None], DISPUTED),
    ],
)
def test_of_several_disputes_the_gravest_counts(statuses: list[str | None], kind: ReversalKind | None) -> None:
    """One that is open above all; one whose state is not known is taken for open."""
    assert gravest(statuses) is kind
    assert {dispute_kind(each) for each in statuses} <= {*DISPUTE_KINDS}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (MailOutcome(Reason.MAIL_SENT, "sent"), ConditionStatus.TRUE),
        (MailOutcome(Reason.MAIL_UNAVAILABLE, "not sent"), ConditionStatus.FALSE),
    ],
)
def test_a_receipt_is_shown_and_holds_nothing(outcome: MailOutcome, expected: ConditionStatus) -> None:
    """The order is fulfilled whatever became of the mail about it."""
    status = dispatched(make_request(), Attempt(make_session(), Done(), "log", outcome), RETRIES, NOW)
    assert status.phase is Phase.FULFILLED
    assert conditions(status)["CustomerNotified"] == (expected, outcome.reason, outcome.message)
