"""What a dispute's `status` at Stripe means for the order (Stripe, "The Dispute object")."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fulfillment_api.spec import ReversalKind

_KINDS: Mapping[str, ReversalKind] = MappingProxyType(
    {
        "needs_response": ReversalKind.DISPUTED,
        "under_review": ReversalKind.DISPUTED,
        "appeal_needs_response": ReversalKind.DISPUTED,
        "appeal_under_review": ReversalKind.DISPUTED,
        "lost": ReversalKind.DISPUTE_LOST,
        "warning_needs_response": ReversalKind.INQUIRY,
        "warning_under_review": ReversalKind.INQUIRY,
        "won": ReversalKind.DISPUTE_WON,
        "prevented": ReversalKind.DISPUTE_PREVENTED,
        "warning_closed": ReversalKind.INQUIRY_CLOSED,
    }
)
DISPUTE_KINDS = tuple(dict.fromkeys(_KINDS.values()))
"""What a dispute can mean, from what weighs most on the order."""


def dispute_kind(status: str | None) -> ReversalKind:
    """Tell what a dispute's status means. One that is not known here, or not shown, is an open dispute."""
    return _KINDS.get(status or "", ReversalKind.DISPUTED)


def gravest(statuses: Iterable[str | None]) -> ReversalKind | None:
    """Tell what the disputes of one payment mean, by the gravest of them; None when there is none."""
    kinds = {dispute_kind(each) for each in statuses}
    return next((each for each in DISPUTE_KINDS if each in kinds), None)
