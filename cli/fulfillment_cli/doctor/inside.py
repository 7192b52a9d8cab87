"""What the pods say of themselves, and of an order that is sent through them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from fulfillment_cli.cluster import Cluster, for_each
from fulfillment_cli.doctor.in_pod import Answer, Exec, NotAskedError, ask_pod
from fulfillment_cli.doctor.installation import Installation, Workload
from fulfillment_cli.doctor.round_trip import judge_round_trip
from fulfillment_cli.doctor.workloads import OPERATOR, PAGE, WEBHOOK, container_of, leading_pod
from fulfillment_runtime.findings import Check, Finding, Verdict

LARGEST_SKEW = timedelta(seconds=30)
"""Between the clock of a pod and this machine's, more is worth a word: signatures are dated."""
_SETTINGS = {OPERATOR: "operator", WEBHOOK: "service", PAGE: "page"}
"""Whose settings a workload's pods have, as `check-config` takes it."""


@dataclass(frozen=True, slots=True)
class PodCheckup:
    """Asks the pods of an installation."""

    execute: Exec | None
    """Runs commands in pods; None where there is no kubectl."""
    cluster: Cluster
    installation: Installation

    async def examine(self) -> AsyncIterator[Finding]:
        """Have the pods check their configuration and all that they reach, and send an order through them."""
        answers: list[Answer] = []
        for component, settings in _SETTINGS.items():
            for workload in self.installation.of(component):
                asked = await self._ask(workload, settings)
                told = [each for each in asked if isinstance(each, Answer)]
                answers += told
                for finding in merged(told):
                    yield _of_workload(component, finding)
                for why in (each for each in asked if not isinstance(each, Answer)):
                    yield Finding(Verdict.UNKNOWN, Check.SETTINGS, f"{component}: {why}")
        if answers:
            yield judge_clocks(answers)
        for workload in self.installation.of(WEBHOOK):
            yield await self._round_trip(workload, answers)

    async def _ask(self, workload: Workload, settings: str) -> Sequence[Answer | Exception]:
        """Ask every pod of the webhook, since each counts its own events; of the operator the one that leads."""
        ready = workload.ready
        if self.execute is None or not ready:
            why = "no pod of it is ready" if self.execute else "there is no kubectl on PATH, which executes in pods"
            return [NotAskedError(f"not asked, since {why}")]
        if workload.component == OPERATOR:
            ready = [leading_pod(self.installation.lease, ready) or ready[0]]
        container, execute = container_of(workload.deployment).name, self.execute
        return await for_each(
            ready, lambda each: ask_pod(execute, each.metadata.name, container, settings), NotAskedError
        )

    async def _round_trip(self, workload: Workload, answers: Sequence[Answer]) -> Finding:
        """Send an order by the first pod that could be asked: where none could, that says nothing of events."""
        asked, livemode = {each.pod for each in answers}, _livemode(answers)
        pod = next((name for each in workload.ready if (name := each.metadata.name) in asked), None)
        if self.execute is None or pod is None or livemode is None:
            return Finding(Verdict.UNKNOWN, Check.ROUND_TRIP, "not tried: the lines on pods and settings say why")
        container = container_of(workload.deployment).name
        return await judge_round_trip(self.execute, pod, container, self.cluster, livemode=livemode)


def _of_workload(component: str, finding: Finding) -> Finding:
    """Say of which workload something is that each of them has."""
    if finding.check not in {Check.SETTINGS, Check.RIGHTS}:
        return finding
    return replace(finding, message=f"{component}: {finding.message}")


def judge_clocks(answers: Sequence[Answer]) -> Finding:
    """Say whether the pods' clocks agree with this machine's."""
    worst = max(answers, key=lambda each: abs(each.clock_skew))
    seconds = abs(worst.clock_skew).total_seconds()
    if abs(worst.clock_skew) <= LARGEST_SKEW:
        return Finding(Verdict.OK, Check.CLOCK, "the pods' clocks agree with this machine's")
    direction = "ahead of" if worst.clock_skew > timedelta(0) else "behind"
    return Finding(
        Verdict.WARNING,
        Check.CLOCK,
        f"the clock of {worst.pod} is {seconds:g} s {direction} this machine's: one of both is wrong. Beyond "
        "webhook.tolerance every signature of Stripe's is rejected: have the nodes keep time (NTP)",
    )


def merged(answers: Sequence[Answer]) -> list[Finding]:
    """Say once what several pods say; of the last event, which any pod may have had, what they say together."""
    found = [each.finding for answer in answers for each in answer.report.findings]
    last = [each for each in found if each.check is Check.LAST_EVENT]
    return [*dict.fromkeys(each for each in found if each.check is not Check.LAST_EVENT), *_last_event(last)]


def _last_event(found: Sequence[Finding]) -> list[Finding]:
    """Give wrong signatures, whichever pod had them; else the latest event; else that nobody knows of one."""
    wrong = dict.fromkeys(each for each in found if each.verdict in {Verdict.FAILURE, Verdict.WARNING})
    if wrong:  # where a right one came, too, most of Stripe's may be
        has_right_one = any(each.verdict in {Verdict.OK, Verdict.WARNING} for each in found)
        return [replace(each, verdict=Verdict.WARNING) if has_right_one else each for each in wrong]
    latest_first = sorted(found, key=lambda each: (each.verdict is Verdict.OK, each.message), reverse=True)
    return latest_first[:1]


def _livemode(answers: Sequence[Answer]) -> bool | None:
    """Tell the mode of the operator's API key; None where no pod told."""
    told = (each.finding.livemode for answer in answers for each in answer.report.findings)
    return next((each for each in told if each is not None), None)
