"""A wait may be cancelled at any moment; no place is ever lost, and none is given twice."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.errors import QueueTimedOutError
from ecs.tasks.admission import Admission
from tests.unit.tasks.admitted import (
    LONG_SECONDS,
    admission_of,
    occupied_lane,
    pass_on,
    settle,
    waiting_for,
)


async def test_who_is_cancelled_while_it_waits_is_passed_over() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        leaving = await waiting.begin("leaving")
        await waiting.begin("staying")

        leaving.cancel()
        await pass_on(admission)

        assert waiting.granted == ["staying"]


@pytest.mark.parametrize("wait", ["begin", "enter_lane", "cleanup"])
async def test_who_is_cancelled_in_the_moment_of_its_grant_gives_the_place_on(wait: str) -> None:
    admission = await occupied_lane(running=2)
    async with waiting_for(admission) as waiting:
        leaving = await getattr(waiting, wait)("leaving")
        await waiting.begin("staying")

        admission.leave_lane()  # grants the place
        leaving.cancel()  # before the task could take its next step
        await settle()

        assert waiting.granted == ["staying"]


@pytest.mark.parametrize("wait", ["begin", "enter_lane", "cleanup"])
async def test_who_is_cancelled_just_before_its_turn_takes_no_place(wait: str) -> None:
    admission = await occupied_lane(running=2)
    async with waiting_for(admission) as waiting:
        leaving = await getattr(waiting, wait)("leaving")
        await waiting.begin("staying")

        leaving.cancel()
        admission.leave_lane()
        await settle()

        assert waiting.granted == ["staying"]


@pytest.mark.parametrize("first", ["grant", "timeout"])
async def test_a_grant_and_a_timeout_in_one_moment_lose_no_place(first: str) -> None:
    admission = await occupied_lane()
    loop = asyncio.get_running_loop()
    async with waiting_for(admission) as waiting:
        before = loop.time()
        timing_out = asyncio.create_task(admission.begin("late", 0.05))
        await asyncio.sleep(0)
        after = loop.time()
        grant_at = before + 0.049 if first == "grant" else after + 0.051
        loop.call_at(grant_at, admission.leave_lane)
        while loop.time() < after + 0.06:
            pass  # both are due when the loop turns again
        with pytest.raises(QueueTimedOutError):
            await timing_out

        await waiting.begin("next")

        assert waiting.granted == ["next"]


class Crowd:
    """Tasks and deletions that go their way through an admission, and count the places they hold.

    Each holds its places as the runner and the reaper do, and gives back what it has whatever
    happens.
    """

    def __init__(self, admission: Admission, dice: random.Random) -> None:
        self._admission = admission
        self._dice = dice
        self.in_lane = self.running = 0

    async def task(self, owner: str) -> None:
        await self._admission.begin(owner, LONG_SECONDS)
        self.running += 1
        self.in_lane += 1
        holds_lane = True
        try:
            await self._some_steps()
            holds_lane = self._leave_lane()
            await self._some_steps()
            await self._admission.enter_lane()
            self.in_lane += 1
            holds_lane = True
            await self._some_steps()
        finally:
            if holds_lane:
                self._leave_lane()
            self.running -= 1
            self._admission.end()

    async def deletion(self) -> None:
        async with self._admission.cleanup():
            self.in_lane += 1
            try:
                await self._some_steps()
            finally:
                self.in_lane -= 1

    def _leave_lane(self) -> bool:
        self.in_lane -= 1
        self._admission.leave_lane()
        return False

    async def _some_steps(self) -> None:
        for _ in range(self._dice.randrange(4)):
            await asyncio.sleep(0)


@given(
    seed=st.integers(0, 2**32),
    starting=st.integers(1, 3),
    running=st.integers(1, 4),
    count=st.integers(1, 25),
    cancelled=st.floats(0, 1),
)
async def test_whoever_is_cancelled_whenever_the_limits_hold_and_no_place_is_lost(
    seed: int, starting: int, running: int, count: int, cancelled: float
) -> None:
    dice = random.Random(seed)
    admission = admission_of(starting=starting, running=running)
    crowd = Crowd(admission, dice)

    async with asyncio.timeout(LONG_SECONDS), asyncio.TaskGroup() as group:
        everybody = [
            group.create_task(crowd.task(dice.choice("abc")) if number % 3 else crowd.deletion())
            for number in range(count)
        ]
        while any(not work.done() for work in everybody):
            if dice.random() < cancelled:
                dice.choice(everybody).cancel()
            await asyncio.sleep(0)
            assert crowd.in_lane <= starting
            assert crowd.running <= running

    assert crowd.in_lane == crowd.running == 0
    async with waiting_for(admission) as waiting:
        for _ in range(starting + running):
            await waiting.begin("afterwards")
        assert len(waiting.granted) == min(starting, running)


async def test_who_needs_no_lane_and_is_cancelled_at_its_grant_gives_its_place_on() -> None:
    admission = await occupied_lane(running=1)
    async with waiting_for(admission) as waiting:
        leaving = await waiting.begin_warm("leaving")
        await waiting.begin_warm("staying")

        admission.end()
        leaving.cancel()
        await settle()

        assert waiting.granted == ["staying"]
        assert admission._running == 1
        assert admission._in_lane == 1  # the first one's
