"""How the orders that are not fulfilled stand. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import WAITING_FOR_OTHERS, Phase, Reason
from fulfillment_cli.output import age, counted
from fulfillment_cli.state import UNSEEN
from fulfillment_runtime.findings import Check, Finding, Verdict

UNSEEN_FOR = timedelta(minutes=5)
"""After so long an order that no operator has looked at is a failure."""
STUCK_FOR = timedelta(hours=1)
"""So long after its payment an order that is not with its backend is a failure. The alert CheckoutOrderStuck takes half
an hour longer."""
_WAIT_FOR_A_PERSON = {Reason.RESTORED, Reason.PAYMENT_OVERDUE, Reason.STRIPE_MISCONFIGURED}
"""In these nothing goes on by itself, though the order has not failed."""
_LIST = "kubectl fulfillment list -n"


@dataclass(slots=True)
class _Counts:
    """How many orders there are of what is told."""

    phases: Counter[str] = field(default_factory=Counter)
    """Of those that wait."""
    held: Counter[str] = field(default_factory=Counter)
    """Of these, those that wait for a person, by their reason."""
    unacknowledged: Counter[str] = field(default_factory=Counter)
    """Of those that failed, by their reason."""
    unseen: int = 0
    stuck: int = 0
    oldest: datetime | None = None
    """Of those that wait."""

    def add(self, request: FulfillmentRequest, now: datetime) -> None:
        """Count one that is not fulfilled."""
        status, since = request.status, request.metadata.creation_timestamp
        if status is not None and status.phase is Phase.FAILED:
            if not request.is_acknowledged:
                self.unacknowledged[status.reason] += 1
            return
        self.phases[status.phase if status else UNSEEN] += 1
        self.oldest = min(self.oldest or since, since)
        if status is None:
            self.unseen += now - since > UNSEEN_FOR
            return
        if status.reason in _WAIT_FOR_A_PERSON:
            self.held[status.reason] += 1
        if status.phase is Phase.FULFILLING and status.reason not in WAITING_FOR_OTHERS:
            self.stuck += now - (status.paid_at or since) > STUCK_FOR


def judge_orders(
    requests: Iterable[FulfillmentRequest], namespace: str, now: datetime, *, undecodable: int = 0
) -> Finding:
    """Say how many orders wait, since when the oldest does, and which a person must see to.

    Args:
        requests: those that are not fulfilled.
        namespace: where they are.
        now: the time.
        undecodable: how many more there are, which do not decode.
    """
    counts = _Counts()
    for each in requests:
        counts.add(each, now)
    waiting = ", ".join(f"{count} {phase}" for phase, count in counts.phases.most_common())
    nothing = "no other waits" if undecodable else "none waits"
    backlog = f"{waiting}, the oldest for {age(now - counts.oldest)}" if counts.oldest else nothing
    failures, warnings = _failures(counts, namespace), _warnings(counts, namespace, undecodable)
    verdict = Verdict.FAILURE if failures else Verdict.WARNING if warnings else Verdict.OK
    return Finding(verdict, Check.ORDERS, "; ".join([backlog, *failures, *warnings]))


def _failures(counts: _Counts, namespace: str) -> list[str]:
    """Say of which orders nobody takes care."""
    told = []
    if counts.unseen:
        which = counted(counts.unseen, "was not looked at", "were not looked at")
        told.append(f"{which} for {age(UNSEEN_FOR)} or more: see the line on the leader")
    if counts.stuck:
        which, them = counted(counts.stuck, "is paid", "are paid"), f"{_LIST} {namespace} --phase fulfilling -o wide"
        told.append(f"{which} and not fulfilled for {age(STUCK_FOR)} or more: {them}")
    return told


def _warnings(counts: _Counts, namespace: str, undecodable: int) -> list[str]:
    """Say which orders a person must see to."""
    told = []
    if undecodable:
        which = counted(
            undecodable, "does not decode, and nothing is done for it", "do not decode, and nothing is done for them"
        )
        log = f"kubectl logs -n {namespace} -l app.kubernetes.io/component=operator --tail=-1 | grep watch.undecodable"
        told.append(f"{which}: {log}")
    for reason, count in counts.held.most_common():
        which = counted(count, "waits for a person", "wait for a person")
        told.append(f"{which}, {reason}: {_LIST} {namespace} --reason {reason}")
    if counts.unacknowledged:
        which = ", ".join(f"{reason}: {count}" for reason, count in counts.unacknowledged.most_common())
        told.append(f"failed, and not acknowledged: {which}. {_LIST} {namespace} --phase failed")
    return told
