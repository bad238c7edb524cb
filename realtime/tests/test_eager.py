"""What does not have to wait ends at once; what has to goes on as a task, as if it had been one from the start."""

from __future__ import annotations

import asyncio

import pytest

from realtime.eager import run_now


async def test_what_does_not_wait_has_ended_when_it_was_started():
    done = []

    async def work():
        done.append(1)

    assert run_now(work()) is None
    assert done == [1]


async def test_what_waits_goes_on_when_it_may():
    gate, done = asyncio.Event(), []

    async def work():
        for step in range(3):
            await gate.wait()
            await asyncio.sleep(0)
            done.append(step)

    task = run_now(work())
    await asyncio.sleep(0.01)
    assert (done, task.done()) == ([], False)
    gate.set()
    await task
    assert done == [0, 1, 2]


async def test_an_error_at_once_comes_to_the_caller_and_a_later_one_is_the_tasks():
    async def work(*waits):
        for wait in waits:
            await wait
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_now(work())
    with pytest.raises(OSError, match="gone"):
        await run_now(work(asyncio.sleep(0)))


@pytest.mark.parametrize("steps", [0, 1, 3])
async def test_a_task_that_is_cancelled_ends_what_it_does(steps):
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = run_now(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_what_it_waits_for_may_fail_and_be_caught():
    future, caught = asyncio.get_running_loop().create_future(), []

    async def work():
        try:
            await future
        except OSError as error:
            caught.append(error)
        await asyncio.sleep(0)

    task = run_now(work())
    future.set_exception(OSError("gone"))
    await task
    assert len(caught) == 1
