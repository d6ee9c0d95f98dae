import asyncio

import pytest

from tests.unit.tasks.admitted import (
    LONG_SECONDS,
    admission_of,
    occupied_lane,
    pass_on,
    settle,
    waiting_for,
)


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_no_more_begin_at_a_time_than_the_lane_has_places(limit: int) -> None:
    admission = admission_of(starting=limit)

    async with waiting_for(admission) as waiting:
        for _ in range(limit + 3):
            await waiting.begin("a")

        assert len(waiting.granted) == limit
        assert admission.queue_length == 3


async def test_a_place_in_the_lane_that_is_given_back_goes_to_one_who_waits() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.begin("a")
        await waiting.begin("b")

        await pass_on(admission)

        assert waiting.granted == ["a"]


async def test_no_more_run_at_a_time_than_may_though_the_lane_is_free() -> None:
    admission = admission_of(starting=10, running=2)

    async with waiting_for(admission) as waiting:
        for _ in range(5):
            await waiting.begin("a")
        for _ in range(2):
            await pass_on(admission)

        assert len(waiting.granted) == 2


async def test_a_task_that_ends_makes_room_for_another() -> None:
    admission = await occupied_lane(running=1)
    async with waiting_for(admission) as waiting:
        await waiting.begin("a")
        await pass_on(admission)
        assert waiting.granted == []

        admission.end()
        await settle()

        assert waiting.granted == ["a"]


async def test_a_place_in_the_lane_is_held_from_its_grant_and_not_only_from_the_next_step() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.begin("a")

        admission.leave_lane()
        await waiting.begin("b")

        assert waiting.granted == ["a"]


async def test_larger_limits_let_those_in_who_wait() -> None:
    admission = await occupied_lane(running=1)
    async with waiting_for(admission) as waiting:
        for _ in range(4):
            await waiting.begin("a")

        admission.set_limits(max_starting=3, max_running=10)
        await settle()

        assert len(waiting.granted) == 2


async def test_smaller_limits_let_nobody_in_until_enough_have_left() -> None:
    admission = admission_of(starting=3)
    for _ in range(3):
        await admission.begin("first", LONG_SECONDS)
    async with waiting_for(admission) as waiting:
        await waiting.begin("a")

        admission.set_limits(max_starting=1, max_running=10)
        await pass_on(admission)
        await pass_on(admission)
        assert waiting.granted == []
        await pass_on(admission)

        assert waiting.granted == ["a"]


async def test_a_grant_looks_at_few_of_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    class Counted(asyncio.Future[None]):
        def cancelled(self) -> bool:
            nonlocal looks
            looks += 1
            return super().cancelled()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_future", Counted)
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        for number in range(200):
            await waiting.begin(f"owner {number % 20}")
        looks = 0

        await pass_on(admission)

        assert len(waiting.granted) == 1
        assert looks < 10


async def test_who_gives_up_is_no_longer_counted_though_nothing_is_granted() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        leaving = [await waiting.begin(owner) for owner in ["a", "a", "b"]]

        for task in leaving[1:]:
            task.cancel()
        await settle()

        assert admission.queue_length == 1


async def test_a_cleanup_gives_its_place_back_also_when_it_fails() -> None:
    admission = admission_of()

    with pytest.raises(RuntimeError):
        async with admission.cleanup():
            raise RuntimeError

    async with waiting_for(admission) as waiting:
        await waiting.begin("a")
        assert waiting.granted == ["a"]


async def test_a_cleanup_takes_a_place_in_the_lane_and_none_among_the_running() -> None:
    admission = admission_of(running=1)
    async with waiting_for(admission) as waiting:
        async with admission.cleanup():
            await waiting.begin("a")
            assert waiting.granted == []
        await settle()

        assert waiting.granted == ["a"]
