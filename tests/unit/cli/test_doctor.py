"""What doctor makes of what it found: orders, clocks, the last event, and the exit code."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from fulfillment_api.status import Condition, ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_cli.doctor.in_pod import Answer, Executed
from fulfillment_cli.doctor.inside import judge_clocks, merged
from fulfillment_cli.doctor.orders import judge_orders
from fulfillment_cli.doctor.report import ExitCode, exit_code, finding_lines
from fulfillment_runtime.findings import Check, Finding, Report, Verdict, WorkloadFinding
from fulfillment_service.check_online import judge_last_event
from support.builders import CREATED, make_request

LIST = "kubectl fulfillment list -n shop"
PAID = partial(Condition, type=ConditionType.PAID, status=ConditionStatus.TRUE, reason="Paid", message="m")


def status(phase: Phase, reason: Reason, *, paid_after: timedelta | None = None) -> Status:
    paid = [] if paid_after is None else [PAID(last_transition_time=CREATED + paid_after)]
    return Status(phase=phase, reason=reason, message="m", observed_generation=1, conditions=paid)


@pytest.mark.parametrize(
    ("orders", "age", "verdict", "message"),
    [
        ([], timedelta(0), Verdict.OK, "none waits"),
        (
            [status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_PROCESSING)],
            timedelta(days=3),
            Verdict.OK,
            "1 awaiting-payment, the oldest for 3d",
        ),
        ([None], timedelta(minutes=1), Verdict.OK, "1 not reconciled yet, the oldest for 60s"),
        (
            [None, status(Phase.FULFILLING, Reason.DISPATCHED)],
            timedelta(minutes=6),
            Verdict.FAILURE,
            "; 1 was not looked at for 5m or more: see the line on the leader",
        ),
        (
            [status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)],
            timedelta(hours=2),
            Verdict.FAILURE,
            f"; 1 is paid and not fulfilled for 60m or more: {LIST} --phase fulfilling -o wide",
        ),
        (
            [status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, paid_after=timedelta(days=5))],
            timedelta(days=5, hours=2),
            Verdict.FAILURE,
            f"; 1 is paid and not fulfilled for 60m or more: {LIST} --phase fulfilling -o wide",
        ),
        (
            [status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE, paid_after=timedelta(days=5))],
            timedelta(days=5, minutes=30),
            Verdict.OK,
            "1 fulfilling, the oldest for 5d",
        ),
        ([status(Phase.FULFILLING, Reason.DISPATCHED)], timedelta(hours=5), Verdict.OK, "the oldest for 5h"),
        ([status(Phase.FULFILLING, Reason.PAUSED)], timedelta(hours=5), Verdict.OK, "the oldest for 5h"),
        (
            [
                status(Phase.AWAITING_PAYMENT, Reason.PAYMENT_OVERDUE),
                *2 * [status(Phase.FULFILLING, Reason.RESTORED)],
            ],
            timedelta(hours=2),
            Verdict.WARNING,
            (
                f"; 2 wait for a person, Restored: {LIST} --reason Restored"
                f"; 1 waits for a person, PaymentOverdue: {LIST} --reason PaymentOverdue"
            ),
        ),
        (
            [
                None,
                *2 * [status(Phase.FULFILLING, Reason.STRIPE_MISCONFIGURED)],
                status(Phase.FAILED, Reason.NO_ROUTE),
            ],
            timedelta(hours=2),
            Verdict.FAILURE,
            (
                "2 fulfilling, 1 not reconciled yet, the oldest for 120m"
                "; 1 was not looked at for 5m or more: see the line on the leader"
                f"; 2 are paid and not fulfilled for 60m or more: {LIST} --phase fulfilling -o wide"
                f"; 2 wait for a person, StripeMisconfigured: {LIST} --reason StripeMisconfigured"
                f"; failed, and not acknowledged: NoRoute: 1. {LIST} --phase failed"
            ),
        ),
        (
            [status(Phase.FAILED, Reason.PAYMENT_FAILED), status(Phase.FAILED, Reason.PAYMENT_FAILED)],
            timedelta(hours=2),
            Verdict.WARNING,
            "failed, and not acknowledged: PaymentFailed: 2. kubectl fulfillment list -n shop --phase failed",
        ),
    ],
)
def test_orders(orders: list[Status | None], age: timedelta, verdict: Verdict, message: str) -> None:
    """What waits for a buyer, a bank or a backend is well; what waits for a person, or for nobody, is not."""
    found = judge_orders([make_request(status=each) for each in orders], "shop", CREATED + age)
    assert (found.verdict, found.message.endswith(message)) == (verdict, True), found.message


UNDECODABLE = (
    "2 do not decode, and nothing is done for them: "
    "kubectl logs -n shop -l app.kubernetes.io/component=operator --tail=-1 | grep watch.undecodable"
)


@pytest.mark.parametrize(
    ("orders", "verdict", "begins"),
    [
        ([], Verdict.WARNING, f"no other waits; {UNDECODABLE}"),
        (
            [status(Phase.FULFILLING, Reason.DISPATCHED)],
            Verdict.WARNING,
            f"1 fulfilling, the oldest for 5h; {UNDECODABLE}",
        ),
        (
            [status(Phase.FAILED, Reason.NO_ROUTE)],
            Verdict.WARNING,
            f"no other waits; {UNDECODABLE}; failed, and not acknowledged: NoRoute: 1. ",
        ),
        (
            [status(Phase.FULFILLING, Reason.BACKEND_UNAVAILABLE)],
            Verdict.FAILURE,
            (
                "1 fulfilling, the oldest for 5h; 1 is paid and not fulfilled for 60m or more: "
                f"kubectl fulfillment list -n shop --phase fulfilling -o wide; {UNDECODABLE}"
            ),
        ),
    ],
)
def test_orders_that_do_not_decode(orders: list[Status], verdict: Verdict, begins: str) -> None:
    """A person is told how many, and by which command to see them, also where something worse is to be told."""
    later = CREATED + timedelta(hours=5)
    found = judge_orders([make_request(status=each) for each in orders], "shop", later, undecodable=2)
    assert (found.verdict, found.message[: len(begins)]) == (verdict, begins)


@pytest.mark.parametrize(
    ("last", "wrong", "verdict", "begins"),
    [
        (0.0, 0, Verdict.UNKNOWN, "no event of Stripe's came since the pod started, 1970-01-01T00:00:00Z"),
        (0.0, 3, Verdict.FAILURE, "each of the 3 events since the pod started, 1970-01-01T00:00:00Z, had a wrong"),
        (60.0, 0, Verdict.OK, "Stripe's last event came 1970-01-01T00:01:00Z"),
        (60.0, 3, Verdict.WARNING, "Stripe's last event came 1970-01-01T00:01:00Z, and 3 had a wrong signature: a str"),
    ],
)
def test_the_last_event(last: float, wrong: int, verdict: Verdict, begins: str) -> None:
    """Where all signatures are wrong, the signing secret is not the endpoint's."""
    found = judge_last_event(last, 0.0, wrong)
    assert (found.verdict, found.message[: len(begins)]) == (verdict, begins)


def answer(pod: str, *findings: Finding, skew: timedelta = timedelta(0)) -> Answer:
    return Answer(pod, Report(CREATED, [WorkloadFinding("service", each) for each in findings]), skew)


WELL = Finding(Verdict.OK, Check.SETTINGS, "the settings are right")
NONE = Finding(Verdict.UNKNOWN, Check.LAST_EVENT, "no event came")
EARLY = Finding(Verdict.OK, Check.LAST_EVENT, "Stripe's last event came 2026-11-02T09:00:00Z")
LATE = Finding(Verdict.OK, Check.LAST_EVENT, "Stripe's last event came 2026-11-02T10:00:00Z")
ALL_WRONG = Finding(Verdict.FAILURE, Check.LAST_EVENT, "each of the 3 events had a wrong signature")
SOME_WRONG = Finding(Verdict.WARNING, Check.LAST_EVENT, "Stripe's last event came then, and 3 had a wrong signature")


@pytest.mark.parametrize(
    ("of_pods", "expected"),
    [
        ([LATE, NONE, EARLY], [LATE]),
        ([NONE, NONE], [NONE]),
        ([NONE, ALL_WRONG], [ALL_WRONG]),
        ([ALL_WRONG, ALL_WRONG], [ALL_WRONG]),
        ([EARLY, ALL_WRONG], [replace(ALL_WRONG, verdict=Verdict.WARNING)]),
        ([EARLY, SOME_WRONG, ALL_WRONG], [SOME_WRONG, replace(ALL_WRONG, verdict=Verdict.WARNING)]),
    ],
)
def test_what_several_pods_say_is_said_once(of_pods: list[Finding], expected: list[Finding]) -> None:
    """And of their last events the latest, whichever pod had it, unless one had a wrong signature."""
    answers = [answer(str(number), WELL, each) for number, each in enumerate(of_pods)]
    assert merged(answers) == [WELL, *expected]


@pytest.mark.parametrize(
    ("errors", "last_words"),
    [
        ("Defaulted container\nError: no secret\ncommand terminated with exit code 78\n", "Error: no secret"),
        ("error: unable to upgrade connection\n", "error: unable to upgrade connection"),
        ("command terminated with exit code 137\n", ""),
        ("", ""),
    ],
)
def test_a_commands_last_words_are_its_own(errors: str, last_words: str) -> None:
    """After them kubectl says how it ended, which explains nothing."""
    assert Executed(1, "", errors).last_words == last_words


@pytest.mark.parametrize(
    ("seconds", "verdict", "message"),
    [
        (0, Verdict.OK, "the pods' clocks agree with this machine's"),
        (-30, Verdict.OK, "the pods' clocks agree with this machine's"),
        (31, Verdict.WARNING, "the clock of b is 31 s ahead of this machine's"),
        (-600, Verdict.WARNING, "the clock of b is 600 s behind this machine's"),
    ],
)
def test_clocks(seconds: int, verdict: Verdict, message: str) -> None:
    """Of several the worst."""
    found = judge_clocks([answer("a"), answer("b", skew=timedelta(seconds=seconds))])
    assert (found.verdict, found.message[: len(message)]) == (verdict, message)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([], ExitCode.OK),
        ([Verdict.OK], ExitCode.OK),
        ([Verdict.OK, Verdict.UNKNOWN], ExitCode.UNKNOWN),
        ([Verdict.WARNING, Verdict.UNKNOWN], ExitCode.WARNING),
        ([Verdict.WARNING, Verdict.FAILURE, Verdict.UNKNOWN], ExitCode.FAILURE),
    ],
)
def test_the_exit_code_is_that_of_the_worst(verdicts: list[Verdict], code: ExitCode) -> None:
    """A script goes by it."""
    assert exit_code([Finding(each, Check.PODS, "m") for each in verdicts]) is code


@pytest.mark.parametrize("width", [None, 80, 40])
def test_a_line_is_as_wide_as_the_terminal(width: int | None) -> None:
    """Nothing of it is lost."""
    finding = Finding(Verdict.FAILURE, Check.ROUND_TRIP, "the webhook cannot record the event, and its log says why")
    shown = finding_lines(finding, finding.verdict, width)
    assert shown.split() == f"failure round-trip {finding.message}".split()
    assert max(map(len, shown.splitlines())) <= (width or len(shown))
