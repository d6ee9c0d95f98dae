import asyncio
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tasks.admitted import (
    admission_of,
    frozen_clock,
    occupied_lane,
    pass_on,
    settle,
    waiting_for,
)

PATIENCE_SECONDS = 3.0
REFILL_PATIENCE_SECONDS = 1.0


async def test_owners_take_turns_however_many_tasks_one_of_them_has() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        for owner in ["a", "a", "a", "a", "b", "c", "b"]:
            await waiting.begin(owner)

        for _ in range(7):
            await pass_on(admission)

        assert waiting.granted == ["a", "b", "c", "a", "b", "a", "a"]


async def test_an_owner_who_comes_late_waits_for_one_round_and_no_more() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        for owner in ["a", "a", "a", "b", "b", "b"]:
            await waiting.begin(owner)
        await pass_on(admission)
        await waiting.begin("late")

        for _ in range(3):
            await pass_on(admission)

        assert waiting.granted == ["a", "b", "a", "late"]


@given(owners=st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
async def test_nobody_has_a_second_turn_while_another_waits_for_the_first(
    owners: list[str],
) -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        for owner in owners:
            await waiting.begin(owner)

        for _ in owners:
            await pass_on(admission)

        assert Counter(waiting.granted) == Counter(owners)
        left = Counter(owners)
        turns: Counter[str] = Counter()
        for owner in waiting.granted:
            turns[owner] += 1
            left[owner] -= 1
            assert all(
                turns[other] >= turns[owner] - 1 for other, tasks in left.items() if tasks > 0
            )


async def test_a_task_that_comes_back_from_its_pull_goes_before_the_queue() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.begin("queued")
        await waiting.enter_lane("returning")

        await pass_on(admission)

        assert waiting.granted == ["returning"]


async def test_a_task_that_comes_back_needs_no_second_place_among_the_running() -> None:
    admission = await occupied_lane(running=1)
    admission.leave_lane()
    async with waiting_for(admission) as waiting:
        await waiting.enter_lane("returning")

        assert waiting.granted == ["returning"]


async def test_a_deletion_gives_way_to_tasks_that_came_after_it() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.cleanup("deletion")
        await waiting.begin("queued")
        await waiting.enter_lane("returning")

        for _ in range(3):
            await pass_on(admission)

        assert waiting.granted == ["returning", "queued", "deletion"]


@pytest.mark.parametrize(
    ("seconds", "first"),
    [(PATIENCE_SECONDS, "returning"), (PATIENCE_SECONDS + 0.001, "deletion")],
)
async def test_a_deletion_gives_way_for_three_seconds_and_no_longer(
    seconds: float, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_on = frozen_clock(monkeypatch)
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.cleanup("deletion")
        await waiting.begin("queued")
        await waiting.enter_lane("returning")
        move_on(seconds)

        await pass_on(admission)

        assert waiting.granted[0] == first


@pytest.mark.parametrize(("places", "deletions"), [(1, 1), (2, 1), (3, 2), (5, 4)])
async def test_deletions_leave_one_place_to_tasks_where_there_is_more_than_one(
    places: int, deletions: int
) -> None:
    admission = admission_of(starting=places)
    release = asyncio.Event()

    async def hang() -> None:
        async with admission.cleanup():
            begun.append(None)
            await release.wait()

    begun: list[None] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(places + 1):
            group.create_task(hang())
        await settle()
        assert len(begun) == deletions
        async with waiting_for(admission) as waiting:
            await waiting.begin("task")
            assert len(waiting.granted) == places - deletions
        release.set()

    assert len(begun) == places + 1


async def test_deletions_go_on_while_no_more_tasks_may_run() -> None:
    admission = admission_of(running=0)
    async with waiting_for(admission) as waiting:
        await waiting.begin("queued")

        await waiting.cleanup("deletion")

        assert waiting.granted == ["deletion"]


async def test_a_refill_gives_way_to_everybody_who_came_after_it() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.refill("refill")
        await waiting.cleanup("deletion")
        await waiting.begin("queued")
        await waiting.enter_lane("returning")

        for _ in range(3):
            await pass_on(admission)

        assert waiting.granted == ["returning", "queued", "deletion", "refill"]


@pytest.mark.parametrize(
    ("seconds", "first"),
    [(REFILL_PATIENCE_SECONDS, "returning"), (REFILL_PATIENCE_SECONDS + 0.001, "refill")],
)
async def test_a_refill_gives_way_for_one_second_and_no_longer(
    seconds: float, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_on = frozen_clock(monkeypatch)
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.refill("refill")
        await waiting.cleanup("deletion")
        await waiting.begin("queued")
        await waiting.enter_lane("returning")
        move_on(seconds)

        await pass_on(admission)

        assert waiting.granted[0] == first


async def test_of_refills_the_one_whose_patience_ends_first_is_the_next() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.refill("endless", patience_seconds=math.inf)
        await waiting.refill("patient")

        await pass_on(admission)
        await pass_on(admission)

        assert waiting.granted == ["patient", "endless"]


async def test_a_refill_of_endless_patience_gives_way_to_tasks_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    move_on = frozen_clock(monkeypatch)
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.refill("endless", patience_seconds=math.inf)
        await waiting.begin("queued")
        move_on(30)

        await pass_on(admission)

        assert waiting.granted == ["queued"]


async def test_of_refills_one_at_a_time_has_a_place() -> None:
    admission = admission_of(starting=4)
    begun: list[None] = []
    release = asyncio.Event()

    async def hang() -> None:
        async with admission.refill(patience_seconds=REFILL_PATIENCE_SECONDS):
            begun.append(None)
            await release.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(hang())
        await settle()
        assert len(begun) == 1
        release.set()

    assert len(begun) == 2


async def test_a_refill_leaves_the_last_place_to_the_task_that_comes_next() -> None:
    admission = await occupied_lane(starting=2)
    async with waiting_for(admission) as waiting:
        await waiting.refill("refill")
        assert waiting.granted == []
        await waiting.begin("task")
        assert waiting.granted == ["task"]

        await pass_on(admission)
        await pass_on(admission)

        assert waiting.granted == ["task", "refill"]


async def test_a_refill_and_deletions_together_leave_one_place_to_tasks() -> None:
    admission = admission_of(starting=2)
    async with (
        admission.refill(patience_seconds=REFILL_PATIENCE_SECONDS),
        waiting_for(admission) as waiting,
    ):
        await waiting.cleanup("deletion")
        await waiting.begin("task")

        assert waiting.granted == ["task"]


async def test_a_refill_that_is_cancelled_in_the_moment_of_its_grant_gives_its_place_back() -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        refill = await waiting.refill("cancelled")
        admission.leave_lane()
        refill.cancel()
        await settle()

        await waiting.refill("next")

        assert waiting.granted == ["next"]


async def test_a_task_that_needs_no_lane_passes_those_who_wait_for_it() -> None:
    admission = await occupied_lane(running=2)
    async with waiting_for(admission) as waiting:
        await waiting.begin("cold")
        await waiting.begin_warm("warm")
        await waiting.begin_warm("another")

        assert waiting.granted == ["warm"]  # and that was the last place among the running
        assert admission.queue_length == 2
        admission.end()
        await settle()

        assert waiting.granted == ["warm", "another"]
        assert admission.queue_length == 1


async def test_tasks_that_need_no_lane_begin_in_turn_too() -> None:
    admission = await occupied_lane(running=1)
    async with waiting_for(admission) as waiting:
        for owner in ("a", "a", "b"):
            await waiting.begin_warm(owner)
        for _ in range(3):
            admission.end()
            await settle()

        assert waiting.granted == ["a", "b", "a"]
