import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.tasks.changes import ChangeSignal


async def let_others_run() -> None:
    """Let every task that can go on come to its next wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_each_change_is_counted() -> None:
    signal = ChangeSignal()

    signal.notify()
    signal.notify()

    assert signal.count == 2


async def test_a_change_that_was_not_seen_is_told_at_once() -> None:
    signal = ChangeSignal()
    signal.notify()

    assert await signal.wait(0) == 1


async def test_who_has_seen_all_waits_for_the_next_change() -> None:
    signal = ChangeSignal()
    signal.notify()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(signal.wait(1))
        await let_others_run()
        assert not waiting.done()

        signal.notify()

    assert waiting.result() == 2


async def test_every_follower_is_woken() -> None:
    signal = ChangeSignal()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(signal.wait(0)) for _ in range(10)]
        await let_others_run()

        signal.notify()

    assert [work.result() for work in waiting] == [1] * 10


async def test_changes_before_a_follower_wakes_are_told_as_one() -> None:
    signal = ChangeSignal()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(signal.wait(0))
        await let_others_run()

        for _ in range(3):
            signal.notify()

    assert waiting.result() == 3


async def test_a_follower_that_is_cancelled_takes_none_along() -> None:
    signal = ChangeSignal()
    async with asyncio.TaskGroup() as group:
        leaving, staying = (group.create_task(signal.wait(0)) for _ in range(2))
        await let_others_run()

        leaving.cancel()
        await let_others_run()
        assert not staying.done()
        signal.notify()

    assert leaving.cancelled()
    assert staying.result() == 1


async def test_a_signal_whose_every_follower_has_left_can_be_followed_again() -> None:
    signal = ChangeSignal()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await signal.wait(0)

    signal.notify()

    assert await signal.wait(0) == 1


@given(script=st.lists(st.sampled_from(["notify", "step"]), max_size=30))
async def test_a_follower_always_learns_of_the_last_change(script: list[str]) -> None:
    signal = ChangeSignal()
    notified = script.count("notify")
    seen = [0]

    async def follow() -> None:
        while seen[-1] < notified:
            seen.append(await signal.wait(seen[-1]))

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for what in script:
            if what == "notify":
                signal.notify()
            else:
                await asyncio.sleep(0)

    assert seen == sorted(set(seen))
    assert seen[-1] == notified
