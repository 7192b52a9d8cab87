"""Which spans of Stripe's list are asked for, against a list that is as Stripe's."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fulfillment_operator.checkout.session_list import WORTHWHILE, Due, Page, SessionList, created_of
from support.session_lists import Account, settle

START = 1_790_000_000
TRIED_AGAIN_AFTER = 20
"""Requests by id."""


def account(times: Sequence[int], is_due: Sequence[bool], *, seed: int | None = None) -> tuple[Account, list[Due]]:
    """Make an account whose Sessions were created at these times; with a seed, what is due comes in any order."""
    times = sorted(times)
    sessions = [(f"cs_{place}", START + time) for place, time in enumerate(times)]
    due = [Due(session, created) for (session, created), wanted in zip(sessions, is_due, strict=True) if wanted]
    if seed is not None:
        Random(seed).shuffle(due)
    return Account(sessions), due


@given(
    sessions=st.lists(st.tuples(st.integers(0, 400), st.booleans(), st.sampled_from(["in", "lacking", "timeless"]))),
    crowd=st.integers(0, 400),
    seed=st.integers(0, 9),
    at_once=st.integers(1, 4),
)
@example(sessions=[], crowd=400, seed=0, at_once=1)
@example(sessions=[(0, True, "lacking")] * 30, crowd=400, seed=0, at_once=4)
def test_each_is_answered_for_hardly_a_request_more(
    sessions: list[tuple[int, bool, str]], crowd: int, seed: int, at_once: int
) -> None:
    """Wherever the Sessions of others lie, whatever the list lacks, and in whatever order the orders are due.

    One at most, and one in twenty. Some have no time, and a crowd has the same second.
    """
    crowded = [(7, place % 3 > 0, "in") for place in range(crowd)]
    every = sorted([*sessions, *crowded])
    named = [(f"cs_{place}", *each) for place, each in enumerate(every)]
    stripe = Account([(session, START + time) for session, time, _, kind in named if kind != "lacking"])
    due = [
        Due(session, None if kind == "timeless" else START + time) for session, time, wanted, kind in named if wanted
    ]
    Random(seed).shuffle(due)
    assert settle(stripe, due, at_once=at_once) == {each.session for each in due}
    assert len(stripe.by_id) == len(set(stripe.by_id))
    assert stripe.lists + len(stripe.by_id) <= len(due) + 1 + len(stripe.by_id) // TRIED_AGAIN_AFTER


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("at_once", [1, 5])
def test_a_backlog_takes_a_list_for_each_page(seed: int | None, at_once: int) -> None:
    """5,000 orders of two hours, among 3,000 of other apps: a request for 33 or more, in whatever order they come."""
    random = Random(3)
    stripe, due = account(
        [random.randrange(7200) for _ in range(8000)], [place % 8 < 5 for place in range(8000)], seed=seed
    )
    assert len(settle(stripe, due, at_once=at_once)) == 5000
    assert stripe.lists + len(stripe.by_id) <= 5000 / 33


def test_a_crowd_of_one_second_is_listed_page_after_page() -> None:
    """Time does not tell them apart, the cursor does."""
    stripe, due = account([0] * 1000, [True] * 1000, seed=1)
    assert len(settle(stripe, due)) == 1000
    assert (stripe.lists, stripe.by_id) == (10, [])


def test_what_lies_apart_is_asked_for_by_id() -> None:
    """One order in each hour of a busy account: a list is tried now and then, and shows one at least."""
    stripe, due = account(range(0, 36_000, 4), [place % 900 == 0 for place in range(9000)])
    settle(stripe, due)
    assert stripe.lists < len(stripe.by_id)
    assert stripe.lists + len(stripe.by_id) <= len(due) + 1 + len(stripe.by_id) // TRIED_AGAIN_AFTER


def test_a_list_that_was_busy_is_tried_again_when_it_may_not_be() -> None:
    """At night the same account is empty, and the next backlog of it lies close together."""
    listing = SessionList()
    busy, due = account([place // 50 for place in range(5000)], [place % 50 == 0 for place in range(5000)])
    settle(busy, due, listing)
    night = [Due(f"cs_night_{place}", START + 100_000 + 60 * place) for place in range(600)]
    calm = Account([(each.session, created_of(each)) for each in night])
    settle(calm, night, listing)
    assert calm.lists + len(calm.by_id) < 100


def test_a_crowd_of_which_nobody_is_due_any_more_is_walked_through_no_further() -> None:
    """What is asked for is another one of that second, which may have changed since."""
    listing, due = SessionList(), [Due(f"cs_{place}", START) for place in range(150)]
    span = listing.plan(due[0], due)
    assert span is not None
    listing.asked(span)
    listing.answered(span, Page(tuple((each.session, START) for each in due[:100]), has_more=True), 100)
    again = listing.plan(due[149], due[100:])
    assert again is not None
    assert (again.after, len(again.due)) == ("cs_99", 50)
    assert listing.plan(due[149], []) is None


def test_no_list_is_asked_for_one_order() -> None:
    """Nor for one whose time nobody knows."""
    one, timeless = Due("cs_1", START), Due("cs_2", None)
    assert SessionList().plan(one, [one]) is None
    assert SessionList().plan(timeless, [one]) is None


def test_a_list_that_fails_is_not_tried_again_in_vain() -> None:
    """Until lists have saved requests, one that failed is the only one, for twenty requests by id."""
    listing, due = SessionList(), [Due(f"cs_{place}", START + place) for place in range(WORTHWHILE)]
    span = listing.plan(due[0], due)
    assert span is not None
    listing.asked(span)
    assert listing.covers(due[3])
    assert listing.plan(due[0], due) is None  # the first is a try
    listing.failed(span)
    assert not listing.covers(due[3])
    for _ in range(TRIED_AGAIN_AFTER):
        assert listing.plan(due[0], due) is None
        listing.asked_by_id()
    assert listing.plan(due[0], due) == span


def test_an_answer_that_nobody_asked_for_saved_no_request() -> None:
    """So the credit that it gave is taken back."""
    listing, due = SessionList(), [Due(f"cs_{place}", START + place) for place in range(2)]
    span = listing.plan(due[0], due)
    assert span is not None
    listing.asked(span)
    assert (
        listing.answered(span, Page(tuple((e.session, created_of(e)) for e in due), has_more=False), 2) == frozenset()
    )
    for _ in due:
        assert listing.plan(due[0], due) is not None
        listing.unused()
    assert listing.plan(due[0], due) is None
