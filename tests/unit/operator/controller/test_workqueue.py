"""The work queue: each name once, never twice at a time, now or later."""

import asyncio

import pytest

from fulfillment_operator.controller.workqueue import WorkQueue


async def test_a_name_added_twice_is_handed_out_once() -> None:
    """Many events about one object are one look."""
    queue = WorkQueue()
    for name in ("a", "a", "b", "a"):
        queue.add(name, urgent=False)
    assert [await queue.get(), await queue.get(), len(queue)] == ["a", "b", 0]


async def test_a_name_added_during_the_work_on_it_comes_again_afterwards() -> None:
    """News that come during a look are not lost, and are not looked at by a second worker at once."""
    queue = WorkQueue()
    queue.add("a", urgent=False)
    assert await queue.get() == "a"
    queue.add("a", urgent=False)
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_later_is_later_and_now_is_now() -> None:
    """A name waits for its time, unless it becomes due before; the wait is then over."""
    queue = WorkQueue()
    queue.add_after("later", 0.05, urgent=False)
    queue.add_after("never", 3600, urgent=False)
    queue.add_after("early", 3600, urgent=False)
    queue.add("early", urgent=False)
    assert await asyncio.wait_for(queue.get(), 60) == "early"
    assert await asyncio.wait_for(queue.get(), 60) == "later"
    queue.cancel("never")
    queue.done("early")
    assert len(queue) == 0


async def test_a_new_time_takes_the_place_of_the_old() -> None:
    """A name has one time at most."""
    queue = WorkQueue()
    queue.add_after("a", 3600, urgent=False)
    queue.add_after("a", 0, urgent=False)
    assert await asyncio.wait_for(queue.get(), 60) == "a"


async def test_what_is_urgent_goes_first() -> None:
    """In its own order; and so does what becomes urgent while it waits, or is worked on."""
    queue = WorkQueue()
    for name in ("slow", "known", "slower", "working"):
        queue.add(name, urgent=False)
    queue.add("first", urgent=True)
    queue.add("known", urgent=True)
    queue.add("known", urgent=False)
    assert [await queue.get() for _ in range(3)] == ["first", "known", "slow"]
    queue.add("slow", urgent=False)
    queue.add("slow", urgent=True)
    queue.done("slow")
    assert [await queue.get() for _ in range(3)] == ["slow", "slower", "working"]
    assert len(queue) == 0


@pytest.mark.parametrize("waiting", [1, 5])
async def test_closing_sends_every_worker_home(waiting: int) -> None:
    """Workers that wait, and those that come later, are told that there is no more."""
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(waiting)]
    await asyncio.sleep(0)
    queue.shut_down()
    assert await asyncio.gather(*workers, queue.get()) == [None] * (waiting + 1)
