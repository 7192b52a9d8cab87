"""The work queue: each name once, never twice at a time, now or later."""

import asyncio

import pytest

from fulfillment_operator.workqueue import WorkQueue


async def test_a_name_added_twice_is_handed_out_once() -> None:
    """Many events about one object are one look."""
    queue = WorkQueue()
    for name in ("a", "a", "b", "a"):
        queue.add(name)
    assert [await queue.take(), await queue.take(), len(queue)] == ["a", "b", 0]


async def test_a_name_added_during_the_work_on_it_comes_again_afterwards() -> None:
    """News that come during a look are not lost, and are not looked at by a second worker at once."""
    queue = WorkQueue()
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.finish("a")
    assert await queue.take() == "a"


async def test_later_is_later_and_now_is_now() -> None:
    """A name waits for its time, unless it becomes due before; the wait is then over."""
    queue = WorkQueue()
    queue.add_after("later", 0.05)
    queue.add_after("never", 3600)
    queue.add_after("early", 3600)
    queue.add("early")
    assert await asyncio.wait_for(queue.take(), 5) == "early"
    assert await asyncio.wait_for(queue.take(), 5) == "later"
    queue.cancel("never")
    queue.finish("early")
    assert len(queue) == 0


async def test_a_new_time_takes_the_place_of_the_old() -> None:
    """A name has one time at most."""
    queue = WorkQueue()
    queue.add_after("a", 3600)
    queue.add_after("a", 0)
    assert await asyncio.wait_for(queue.take(), 5) == "a"


@pytest.mark.parametrize("waiting", [1, 5])
async def test_closing_sends_every_worker_home(waiting: int) -> None:
    """Workers that wait, and those that come later, are told that there is no more."""
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.take()) for _ in range(waiting)]
    await asyncio.sleep(0)
    queue.close()
    assert await asyncio.gather(*workers, queue.take()) == [None] * (waiting + 1)
