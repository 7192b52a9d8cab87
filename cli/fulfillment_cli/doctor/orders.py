"""How the orders that are not fulfilled stand. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_api.status import ConditionStatus, ConditionType, Phase, Reason, Status
from fulfillment_cli.output import age
from fulfillment_cli.state import UNSEEN
from fulfillment_runtime.findings import Check, Finding, Verdict

UNSEEN_FOR = timedelta(minutes=5)
"""After so long an order that no operator has looked at is a failure."""
STUCK_FOR = timedelta(hours=1)
"""So long after its payment an order that is not with its backend is a failure. The alert CheckoutOrderStuck, which
knows when orders were created and no more, takes half an hour longer."""
_WITH_OTHERS = {Reason.DISPATCHED, Reason.PAUSED, Reason.RESTORED}
"""In these the operator has nothing to do, however long it takes."""


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
    phases, unacknowledged = Counter[str](), Counter[str]()
    oldest: datetime | None = None
    unseen = stuck = 0
    for request in requests:
        status, since = request.status, request.metadata.creation_timestamp
        if status is not None and status.phase is Phase.FAILED:
            if not request.is_acknowledged:
                unacknowledged[status.reason] += 1
            continue
        phases[status.phase if status else UNSEEN] += 1
        oldest = min(oldest or since, since)
        if status is None:
            unseen += now - since > UNSEEN_FOR
        elif status.phase is Phase.FULFILLING and status.reason not in _WITH_OTHERS:
            stuck += now - _paid_at(status, since) > STUCK_FOR
    waiting = ", ".join(f"{count} {phase}" for phase, count in phases.most_common())
    nothing = "no other waits" if undecodable else "none waits"
    backlog = f"{waiting}, the oldest for {age(now - oldest)}" if oldest else nothing
    listed = f"kubectl fulfillment list -n {namespace}"
    if unseen:
        why = f"{unseen} were not looked at for {age(UNSEEN_FOR)} or more. See the line on the leader"
        return Finding(Verdict.FAILURE, Check.ORDERS, f"{backlog}; {why}")
    if stuck:
        why = f"{stuck} are paid and not fulfilled for {age(STUCK_FOR)} or more: "
        return Finding(Verdict.FAILURE, Check.ORDERS, f"{backlog}; {why}{listed} --phase fulfilling -o wide")
    warnings = []
    if undecodable:
        log = f"kubectl logs -n {namespace} -l app.kubernetes.io/component=operator --tail=-1 | grep watch.undecodable"
        warnings.append(f"{undecodable} do not decode, and nothing is done for them: {log}")
    if unacknowledged:
        failed = ", ".join(f"{reason}: {count}" for reason, count in unacknowledged.most_common())
        warnings.append(f"failed, and not acknowledged: {failed}. {listed} --phase failed")
    return Finding(Verdict.WARNING if warnings else Verdict.OK, Check.ORDERS, "; ".join([backlog, *warnings]))


def _paid_at(status: Status, created_at: datetime) -> datetime:
    """Tell when an order was paid, for a bank may take days; of one that does not say when it was created."""
    paid = status.condition(ConditionType.PAID)
    return paid.last_transition_time if paid is not None and paid.status is ConditionStatus.TRUE else created_at
