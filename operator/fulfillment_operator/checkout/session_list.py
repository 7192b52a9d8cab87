"""Which part of Stripe's list of Checkout Sessions answers for many orders at once. Pure.

`GET /v1/checkout/sessions` shows up to a hundred Sessions that were created in a span of time, newest first. Those of
other programs stand in it, too, and it cannot be asked for ids: so a span pays where the Sessions that are due lie
close together, as after an outage. What a page did not show is asked for by its id, as ever.

Whatever the list holds, this costs at most a twentieth more, and one, than to ask for each Session by its id: a page
that shows none of what is due is paid for by those before it that showed several, or by twenty requests by id
(`_credit`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

PAGE = 100
"""The most Sessions that Stripe lists at once."""
WORTHWHILE = 10
"""So many Sessions are asked for by one list although each could be asked for by itself at once."""

_FILL = 80  # Sessions that a span may hold, as far as is known: a guess that fails leaves a part of it to the next page
_FORGETS = 0.8  # of the density, each time that it keeps a list from being asked: it may have changed
_LARGEST_CREDIT = 1000  # requests
_WALKS = 100  # seconds whose pages are remembered
_TRIED_AGAIN_AFTER = 20  # requests by id: the list may be of more use than it was


@dataclass(frozen=True, slots=True)
class Due:
    """A Session that Stripe is to be asked for."""

    session: str
    """cs_…."""
    created: int | None
    """When it was created, in Unix time; None: nobody knows, so no list is asked for it."""
    account: str | None = None
    """The connected account, acct_…; None: the key's own."""
    request: str = ""
    """The name of its FulfillmentRequest."""
    version: str = ""
    """The resource version of that. A newer one is a newer wish, which no answer to the older one fulfills."""

    @property
    def key(self) -> tuple[str | None, str]:
        """What names the Session at Stripe."""
        return self.account, self.session


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the list."""

    first: int
    """The earliest second of creation."""
    last: int
    """The latest."""
    due: tuple[Due, ...]
    """What it is asked for."""
    after: str | None = None
    """The id of a Session: what stands behind it is listed (`starting_after`)."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was listed, as far as it says where in the list it is."""

    sessions: tuple[tuple[str, int], ...]
    """Each id with its second of creation, newest first."""
    has_more: bool


@dataclass(slots=True)
class SessionList:
    """What is known of the list of one account, and what is planned by that."""

    _density: float = 0.0
    """Sessions of anyone in a second, as the last page showed."""
    _credit: int = 0
    """By how many requests the lists were cheaper so far."""
    _by_id: int = 0
    """Requests by id since the lists were dearer."""
    _walks: dict[int, str] = field(default_factory=dict)
    """Seconds that have more than a page, each with the Session that ended its last page."""
    _asked: list[Span] = field(default_factory=list)

    def covers(self, due: Due) -> bool:
        """Tell whether a page is on its way that may show a Session."""
        return due.created is not None and any(each.first <= due.created <= each.last for each in self._asked)

    def plan(self, anchor: Due, due: Sequence[Due]) -> Span | None:
        """Choose the span of a page for a Session and its neighbours; None: ask for the Session itself.

        Args:
            anchor: the one that is asked for in any case.
            due: all that are due, by the time of their creation; those without one left out.
        """
        if anchor.created is None or self._credit < len(self._asked):  # each page on its way may show nothing
            return None
        start = bisect_left(due, anchor.created, key=created_of)
        crowd = due[start : bisect_left(due, anchor.created + 1, key=created_of)]
        if crowd and anchor.created in self._walks:
            return Span(anchor.created, anchor.created, tuple(crowd), after=self._walks[anchor.created])
        if len(crowd) > PAGE:  # time does not tell them apart: page after page
            return Span(anchor.created, anchor.created, tuple(crowd))
        found = self._neighbours(anchor.created, due, start)
        if len(found) > 1:
            return Span(created_of(found[0]), created_of(found[-1]), tuple(found))
        self._density *= _FORGETS
        return None

    def _neighbours(self, created: int, due: Sequence[Due], start: int) -> Sequence[Due]:
        """Take the next one in time, again and again, as long as all that lies between probably fits a page."""
        left, right = start, start
        while right - left < PAGE:
            before = created - created_of(due[left - 1]) if left else None
            after = created_of(due[right]) - created if right < len(due) else None
            if before is None and after is None:
                break
            take_before = after is None or (before is not None and before < after)
            first, last = (left - 1, right) if take_before else (left, right + 1)
            seconds = created_of(due[last - 1]) - created_of(due[first]) + 1
            if seconds > 1 and self._density * seconds > _FILL:
                break
            left, right = first, last
        return due[left:right]

    def asked(self, span: Span) -> None:
        """Take in that a page is asked for."""
        self._asked.append(span)

    def asked_by_id(self) -> None:
        """Take in that one was asked for by its id."""
        if self._credit < 0:
            self._by_id += 1
            if self._by_id == _TRIED_AGAIN_AFTER:
                self._credit, self._by_id = self._credit + 1, 0

    def failed(self, span: Span) -> None:
        """Take in that Stripe did not list it."""
        self._asked.remove(span)
        self._credit -= 1

    def answered(self, span: Span, page: Page, shown: int) -> frozenset[Due]:
        """Take in a page, and return what the list lacks: where it should stand, it does not.

        Args:
            span: what was asked for.
            page: what was answered.
            shown: how many Sessions it showed that were due, of the span or besides.
        """
        self._asked.remove(span)
        self._credit = min(self._credit + shown - 1, _LARGEST_CREDIT)
        self._learn_density(span, page)
        ids = {session for session, _ in page.sessions}
        unseen = [each for each in span.due if each.session not in ids]
        is_within_a_second = span.first == span.last
        if not page.has_more or not page.sessions or not (shown or is_within_a_second):
            self._walks.pop(span.first, None)
            return frozenset(unseen)
        last, oldest = page.sessions[-1]
        if is_within_a_second:  # what was answered before may fill a page: the rest stands behind it
            self._walks[span.first] = last
            if len(self._walks) > _WALKS:
                del self._walks[next(iter(self._walks))]
        return frozenset(each for each in unseen if created_of(each) > oldest)

    def _learn_density(self, span: Span, page: Page) -> None:
        times = [created for _, created in page.sessions]
        seconds = max(times) - min(times) + 1 if page.has_more and times else span.last - span.first + 1
        self._density = len(times) / seconds

    def unused(self) -> None:
        """Take in that an answer was let go before anyone asked for it: it saved no request."""
        self._credit -= 1


def created_of(due: Due) -> int:
    """Return when a Session was created that has a time."""
    if due.created is None:
        raise ValueError(f"nobody knows when {due.session} was created")
    return due.created
