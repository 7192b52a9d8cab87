"""Backoff: it doubles, it is bounded, and half of it is jitter; and what tries again by it."""

from datetime import timedelta

import pytest

from fulfillment_runtime.backoff import Backoff, retry

BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=4), lambda: 1.0)


@pytest.mark.parametrize(
    ("failures", "random", "seconds"),
    [(1, 0.0, 1.0), (1, 1.0, 2.0), (2, 1.0, 4.0), (5, 1.0, 32.0), (6, 1.0, 60.0), (1000, 1.0, 60.0), (1000, 0.5, 45.0)],
)
def test_the_wait_doubles_up_to_the_longest(failures: int, random: float, seconds: float) -> None:
    """From half of the wait to all of it, as chance has it."""
    backoff = Backoff(timedelta(seconds=2), timedelta(minutes=1), lambda: random)
    assert backoff.delay(failures) == timedelta(seconds=seconds)


class ThrottledError(Exception):
    def __init__(self, after: float | None = None) -> None:
        super().__init__(after)
        self.after = None if after is None else timedelta(seconds=after)


class Attempts:
    """Has its outcomes come one after the other, and keeps how long was waited between them."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self._outcomes = iter(outcomes)
        self.waits: list[float] = []

    async def __call__(self) -> str:
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_a_passing_fault_is_tried_again_until_it_passed() -> None:
    """Each wait is reported with its fault before it begins."""
    faults = [ThrottledError() for _ in range(4)]
    attempt = Attempts(*faults, "done")
    scheduled: list[tuple[ThrottledError, float]] = []
    found = await retry(
        attempt,
        on=ThrottledError,
        backoff=BACKOFF,
        scheduled=lambda error, delay: scheduled.append((error, delay.total_seconds())),
        sleep=attempt.sleep,
    )
    assert found == "done"
    assert attempt.waits == [1, 2, 4, 4]
    assert scheduled == [*zip(faults, attempt.waits, strict=True)]


async def test_no_try_comes_sooner_than_the_other_side_asks() -> None:
    """A Retry-After below the backoff shortens nothing."""
    attempt = Attempts(ThrottledError(30), ThrottledError(0.1), ThrottledError(), "done")
    await retry(attempt, on=ThrottledError, backoff=BACKOFF, retry_after=lambda error: error.after, sleep=attempt.sleep)
    assert attempt.waits == [30, 2, 4]


async def test_the_last_of_so_many_tries_fails_for_good() -> None:
    """Its own fault is what is raised."""
    last = ThrottledError()
    attempt = Attempts(ThrottledError(), last, "too late")
    with pytest.raises(ThrottledError) as failed:
        await retry(
            attempt,
            on=ThrottledError,
            backoff=Backoff(*(timedelta(0),) * 2, lambda: 1.0, attempts=2),
            sleep=attempt.sleep,
        )
    assert failed.value is last
    assert len(attempt.waits) == 1


async def test_another_fault_is_not_tried_again() -> None:
    """It does not pass by itself."""
    attempt = Attempts(PermissionError(), "never")
    with pytest.raises(PermissionError):
        await retry(attempt, on=ThrottledError, backoff=BACKOFF, sleep=attempt.sleep)
    assert attempt.waits == []
