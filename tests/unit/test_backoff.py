"""Backoff: it doubles, it is bounded, and half of it is jitter."""

from datetime import timedelta

import pytest

from fulfillment_operator.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "random", "seconds"),
    [(1, 0.0, 1.0), (1, 1.0, 2.0), (2, 1.0, 4.0), (5, 1.0, 32.0), (6, 1.0, 60.0), (1000, 1.0, 60.0), (1000, 0.5, 45.0)],
)
def test_the_wait_doubles_up_to_the_longest(failures: int, random: float, seconds: float) -> None:
    """From half of the wait to all of it, as chance has it."""
    backoff = Backoff(timedelta(seconds=2), timedelta(minutes=1), lambda: random)
    assert backoff.delay(failures) == timedelta(seconds=seconds)
