"""Whether all orders came to their right end, once: Stripe's books against cluster, ledger and mail. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fulfillment_api.names import request_name
from fulfillment_local.fake_stripe.model import Outcome, PaymentStatus, Session
from fulfillment_local.fake_stripe.world import StripeWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the orders stand."""

    lost: tuple[str, ...]
    """Sessions of which an event was acknowledged, and that are in no object."""
    doubled: tuple[str, ...]
    """Sessions that were handed over under two keys."""
    wrong: Mapping[str, str]
    """Requests that stand other than Stripe's books say, were handed over unpaid or never, or not mailed about; and
    the metric `fulfillment_requests`, should it count others than there are."""
    second_mails: int
    """Mails beyond the first about the same."""
    posted_again: int
    """Hand-overs beyond the first, under the same key."""

    @property
    def is_clean(self) -> bool:
        """Whether what must not happen did not."""
        return not (self.lost or self.doubled or self.wrong)


def judge(  # noqa: PLR0913 - Stripe's side, and all that it is compared with
    world: StripeWorld,
    *,
    acknowledged: Iterable[str],
    objects: Iterable[Mapping[str, Any]],
    keys: Mapping[str, set[str]],
    posts: Mapping[str, int],
    mails: Counter[str],
    counted: float | None,
    deleted: Iterable[str] = (),
) -> Verdict:
    """Compare what is with what must be.

    Args:
        world: Stripe's books.
        acknowledged: the Sessions of which an event was acknowledged.
        objects: the FulfillmentRequests as the API server has them.
        keys: under which keys each Session was handed over.
        posts: how often each key was.
        mails: how many mails of each Message-ID there are.
        counted: how many requests the leader's metrics count as not fulfilled; None: no operator leads.
        deleted: the Sessions whose requests were deleted before they were paid: nobody is to fulfill them.
    """
    known = set(acknowledged)
    found = {each["spec"]["session"]["id"]: each for each in objects}
    unfulfilled = sum(each.get("status", {}).get("phase") != "fulfilled" for each in found.values())
    mailed = {message.lstrip("<").partition(".")[0] for message in mails}
    wrong = {}
    for session_id in known & found.keys():
        name, end = request_name(session_id), _end_by_the_books(world, world.sessions[session_id])
        problem = _problem(found[session_id], end, bool(keys.get(session_id)), name in mailed)
        problem = problem or _hint_problem(found[session_id], world.sessions[session_id])
        if problem:
            wrong[name] = problem
    gone = set(deleted)
    wrong |= {request_name(each): "handed over, and was deleted before" for each in gone if keys.get(each)}
    if counted is None:
        wrong["fulfillment_requests"] = "no operator leads"
    elif counted != unfulfilled:
        wrong["fulfillment_requests"] = f"the leader counts {counted:g} unfulfilled requests of {unfulfilled}"
    return Verdict(
        lost=tuple(sorted(known - found.keys() - gone)),
        doubled=tuple(sorted(session for session, under in keys.items() if len(under) > 1)),
        wrong=wrong,
        second_mails=sum(mails.values()) - len(mails),
        posted_again=sum(posts.values()) - len(posts),
    )


def _problem(stored: Mapping[str, Any], end: str, was_handed_over: bool, was_mailed: bool) -> str | None:  # noqa: FBT001 - facts
    status = stored.get("status", {})
    phase, reason = status.get("phase", "new"), status.get("reason", "")
    is_refunded = any(each["type"] == "Refunded" and each["status"] == "True" for each in status.get("conditions", ()))
    stands = "refunded" if is_refunded or reason == "Refunded" else phase
    if stands != end:
        return f"{phase} {reason}".rstrip() + f", and must be {end}"
    if end == "fulfilled" and not was_handed_over:
        return "fulfilled, and never handed over"
    if end == "failed" and was_handed_over:
        return "handed over, and never paid"
    if end == "failed" and not was_mailed:
        return "failed, and the customer was not mailed"
    return None


def _hint_problem(stored: Mapping[str, Any], session: Session) -> str | None:
    """Tell whether an event has undone a newer one, in whatever order they came; a fulfilled order takes no news."""
    hint: str = stored["spec"]["payment"]["status"]
    has_failed = session.order.outcome is Outcome.UNPAID and session.payment_status is PaymentStatus.UNPAID
    return f"spec says {hint}, and the newest event said failed" if has_failed and hint != "failed" else None


def _end_by_the_books(world: StripeWorld, session: Session) -> str:
    intent = world.payment_of(session.id)
    if intent and intent.refunded:
        return "refunded"
    return "failed" if session.payment_status is PaymentStatus.UNPAID else "fulfilled"
