"""How fast Stripe is asked, second by second."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulfillment_runtime.stripe.pace import Pace


def sent(pace: Pace, count: int, begin: float = 0.0) -> list[float]:
    """Send so many requests, each as soon as it may go, and return when they went."""
    times, now = [], begin
    for _ in range(count):
        now = pace.free_at(now)
        pace.take(now)
        times.append(now)
    return times


@pytest.mark.parametrize(
    ("most", "expected"),
    [(2.0, [0, 0, 1, 1, 2]), (1.0, [0, 1, 2, 3, 4]), (0.5, [0, 2, 4, 6, 8]), (2.5, [0, 0, 0, 1.2, 1.2])],
)
def test_so_many_go_in_a_second(most: float, expected: list[float]) -> None:
    """As many as a second allows go at once; the next wait for theirs."""
    assert sent(Pace(most), 5) == pytest.approx(expected)


@given(st.floats(0.2, 60), st.lists(st.floats(0, 3), max_size=60))
def test_no_second_has_more(most: float, pauses: list[float]) -> None:
    """However the requests come, and however Stripe counts its seconds; a fraction of a request is rounded up."""
    pace, now, times = Pace(most), 0.0, []
    for pause in pauses:
        now = pace.free_at(now + pause)
        pace.take(now)
        times.append(now)
    assert all(sum(start <= time < start + 0.999 for time in times) <= math.ceil(most) for start in times)


def test_a_refusal_halves_the_pace_which_grows_again() -> None:
    """By the same amount each second: ten seconds after one refusal it is what it was."""
    pace = Pace(20)
    pace.refuse(asked_at=100, now=100)
    assert [pace.per_second(100 + after) for after in (0, 1, 5, 10, 60)] == pytest.approx([10, 11, 15, 20, 20])


def test_refusals_of_one_burst_count_once() -> None:
    """What went before the pace was halved says nothing about the new one."""
    pace = Pace(20)
    for asked_at in (99.9, 100.0, 100.0):
        pace.refuse(asked_at, now=100.2)
    assert pace.per_second(100.2) == 10
    pace.refuse(asked_at=100.2, now=100.2)
    assert pace.per_second(100.2) == 5


def test_it_is_never_given_up() -> None:
    """However often Stripe refuses."""
    pace = Pace(32)
    for _ in range(50):
        pace.refuse(asked_at=100, now=100)
    assert pace.per_second(100) == 1
    assert pace.free_at(100) == 100


def test_stripe_may_ask_to_be_left_alone() -> None:
    """Nothing goes before that."""
    pace = Pace(20)
    pace.refuse(asked_at=100, now=100, pause=7)
    assert pace.free_at(101) == 107


def test_two_programs_come_to_share_a_limit() -> None:
    """One that begins late, against one at full speed: after a while each has about half of what Stripe allows."""
    paces, limit, counts = (Pace(25), Pace(25)), 25, [0, 0]
    for second in range(600):
        begin = float(second)
        for turn in range(25):  # each second, each asks as often as its pace allows, in turns
            for place, pace in enumerate(paces):
                now = begin + turn / 25
                if (place == 1 and second < 60) or turn >= pace.per_second(now):
                    continue
                limit -= 1
                if limit < 0:
                    pace.refuse(now, now)
                elif second >= 300:
                    counts[place] += 1
        limit = 25
    assert min(counts) > 0.4 * sum(counts)
    assert sum(counts) > 0.6 * 25 * 300
