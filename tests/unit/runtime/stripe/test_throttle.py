"""Turns at Stripe: for the account, for each endpoint, and so many at once."""

import asyncio

import pytest
import stripe

from fulfillment_runtime.stripe.refusals import should_retry
from fulfillment_runtime.stripe.throttle import Limits, Throttle, Turn

ONE, OTHER = "/v1/one", "/v1/other"


def refusal(reason: str | None, code: str = "rate_limit", **headers: str) -> stripe.RateLimitError:
    """Make what the library raises of a 429."""
    named = {"Stripe-Rate-Limited-Reason": reason} if reason else {}
    return stripe.RateLimitError(
        "slower", http_status=429, json_body={"error": {"code": code}}, headers={**named, **headers}
    )


class Clock:
    """Time stands still until it is told to pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(throttle: Throttle, endpoint: str, most: int = 100) -> list[Turn]:
    """Take all the turns that there are now."""
    found: list[Turn] = []
    while len(found) < most and (turn := throttle.turn_at_once(endpoint)) is not None:
        found.append(turn)
    return found


async def test_each_endpoint_has_its_limit_and_the_account_one() -> None:
    """Of one endpoint no more than its own go, of all together no more than the account's."""
    throttle = Throttle(Limits(per_second=5, per_endpoint=3, concurrency=100), clock=Clock())
    assert [len(taken(throttle, endpoint)) for endpoint in (ONE, OTHER, "/v1/third")] == [3, 2, 0]


async def test_only_so_many_are_asked_at_once() -> None:
    """The next goes when one has ended."""
    throttle = Throttle(Limits(per_second=100, per_endpoint=100, concurrency=2))
    first, _ = taken(throttle, ONE)
    waiting = asyncio.create_task(throttle.turn(ONE))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.end()
    assert (await waiting).endpoint == ONE


async def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    """One that waits for a busy endpoint holds up nobody who asks another."""
    throttle = Throttle(Limits(per_second=40, per_endpoint=20, concurrency=100))
    taken(throttle, ONE)
    order = []

    async def ask(name: str, *endpoints: str) -> None:
        turn = await throttle.turn(*endpoints)
        order.append((name, turn.endpoint))
        turn.end()

    await asyncio.gather(ask("a", ONE), ask("b", ONE, OTHER), ask("c", ONE), ask("d", OTHER))
    assert order == [("b", OTHER), ("d", OTHER), ("a", ONE), ("c", ONE)]


async def test_a_turn_that_nobody_wants_any_more_is_given_on() -> None:
    """Who waits may be cancelled, before the turn comes and just after."""
    throttle = Throttle(Limits(per_second=100, per_endpoint=100, concurrency=1))
    (first,) = taken(throttle, ONE)
    gone, kept = asyncio.create_task(throttle.turn(ONE)), asyncio.create_task(throttle.turn(ONE))
    await asyncio.sleep(0)
    first.end()  # gives it to the one that is cancelled
    gone.cancel()
    assert (await kept).endpoint == ONE
    assert gone.cancelled()


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (refusal("endpoint-rate"), (5, 10)),
        (refusal("endpoint-concurrency"), (5, 10)),
        (refusal("global-rate"), (10, 10)),
        (refusal("global-concurrency"), (10, 10)),
        (refusal(None), (5, 10)),
        (refusal("what is new"), (5, 10)),
        (refusal("resource-specific"), (10, 10)),
        (refusal(None, code="lock_timeout"), (10, 10)),
        (stripe.APIError("away", http_status=503), (10, 10)),
        (None, (10, 10)),
    ],
)
async def test_a_refusal_slows_the_limit_that_it_names(error: stripe.StripeError | None, left: tuple[int, int]) -> None:
    """A lock on one object, or Stripe's own trouble, says nothing about the pace."""
    clock = Clock()
    throttle = Throttle(Limits(per_second=1000, per_endpoint=10, concurrency=10_000), clock=clock)
    (turn,) = taken(throttle, ONE, most=1)
    turn.end(error)
    assert (len(taken(throttle, ONE)) + 1, len(taken(throttle, OTHER))) == left


async def test_a_refusal_of_the_account_slows_all() -> None:
    """Every endpoint together."""
    clock = Clock()
    throttle = Throttle(Limits(per_second=20, per_endpoint=20, concurrency=100), clock=clock)
    (turn,) = taken(throttle, ONE, most=1)
    turn.end(refusal("global-rate"))
    assert len(taken(throttle, OTHER)) + 1 == 10


async def test_stripe_is_left_alone_for_as_long_as_it_asks() -> None:
    """For a minute at most, whatever it says."""
    clock = Clock()
    throttle = Throttle(Limits(per_second=20, per_endpoint=20, concurrency=100), clock=clock)
    (turn,) = taken(throttle, ONE, most=1)
    turn.end(refusal("global-rate", **{"Retry-After": "86400"}))
    clock.now += 59
    assert taken(throttle, ONE) == []
    clock.now += 1
    assert taken(throttle, ONE)


async def test_each_turn_tells_how_long_it_waited() -> None:
    """By its endpoint."""
    clock, waits = Clock(), list[tuple[str, float]]()
    throttle = Throttle(
        Limits(per_second=20, per_endpoint=20, concurrency=1),
        clock=clock,
        waited=lambda endpoint, seconds: waits.append((endpoint, seconds)),
    )
    (turn,) = taken(throttle, ONE)
    waiting = asyncio.create_task(throttle.turn(OTHER))
    await asyncio.sleep(0)
    clock.now += 3
    turn.end()
    await waiting
    assert waits == [(ONE, 0), (OTHER, 3)]


def test_stripe_says_what_is_worth_another_try() -> None:
    """Whatever the status is."""
    assert should_retry(stripe.APIError("x", headers={"Stripe-Should-Retry": "true"}))
    assert not should_retry(stripe.APIError("x", headers={"stripe-should-retry": "false"}))
    assert not should_retry(stripe.APIError("x"))
