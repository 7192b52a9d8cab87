"""A model of Stripe's list of Checkout Sessions, and of who settles what is due by it: no I/O, and no clock."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fulfillment_operator.checkout.session_list import PAGE, Due, Page, SessionList, Span, created_of


@dataclass
class Account:
    """An account: the Sessions that the list has, oldest first, as (id, second of creation); and what it was asked."""

    sessions: Sequence[tuple[str, int]]
    lists: int = 0
    by_id: list[str] = field(default_factory=list)

    def page(self, span: Span) -> Page:
        """List newest first, as Stripe does."""
        self.lists += 1
        begin = bisect_left(self.sessions, span.first, key=_second)
        found = self.sessions[begin : bisect_right(self.sessions, span.last, key=_second)][::-1]
        if span.after is not None:
            found = found[1 + [session for session, _ in found].index(span.after) :]
        return Page(tuple(found[:PAGE]), has_more=len(found) > PAGE)


def _second(session: tuple[str, int]) -> int:
    return session[1]


def settle(stripe: Account, due: Iterable[Due], listing: SessionList | None = None, at_once: int = 1) -> set[str]:
    """Settle what is due in its order, as many pages at once as are planned; return the ids that were answered."""
    listing = listing or SessionList()
    left = {each.session: each for each in due}
    answered: set[str] = set()
    while left:
        by_time = sorted((each for each in left.values() if each.created is not None), key=created_of)
        spans: list[Span] = []
        for anchor in left.values():
            span = listing.plan(anchor, by_time) if len(spans) < at_once and not listing.covers(anchor) else None
            if span is not None:
                listing.asked(span)
                spans.append(span)
                by_time = [each for each in by_time if not listing.covers(each)]
        if not spans:
            anchor = next(iter(left.values()))
            stripe.by_id.append(anchor.session)
            listing.asked_by_id()
            answered.add(left.pop(anchor.session).session)
        for span in spans:
            page = stripe.page(span)
            shown = [session for session, _ in page.sessions if session in left]
            answered.update(left.pop(session).session for session in shown)
            for lacking in listing.answered(span, page, len(shown)):
                stripe.by_id.append(lacking.session)
                listing.asked_by_id()
                answered.add(left.pop(lacking.session).session)
    return answered
