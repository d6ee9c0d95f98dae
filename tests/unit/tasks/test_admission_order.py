import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tasks.admitted import (
    REFILL_PATIENCE_SECONDS,
    admission_of,
    frozen_clock,
    occupied_lane,
    pass_on,
    settle,
    waiting_for,
)

DELETION_PATIENCE_SECONDS = 3.0
TASKS = ("begin", "enter_lane")
AFTER_A_DELETION = ("cleanup", *TASKS)
AFTER_A_REFILL = ("refill", "cleanup", *TASKS)


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


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param(TASKS, id="a task that comes back from its pull before the queue"),
        pytest.param(AFTER_A_DELETION, id="tasks before a deletion"),
        pytest.param(AFTER_A_REFILL, id="everybody before a refill"),
    ],
)
async def test_who_is_more_urgent_goes_first_however_late_it_came(ways: Sequence[str]) -> None:
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.ask(*ways)

        for _ in range(3):  # the place of the first task, and of the two that get it
            await pass_on(admission)

        assert waiting.granted == list(reversed(ways))


@pytest.mark.parametrize(
    ("ways", "seconds", "first"),
    [
        pytest.param(
            AFTER_A_DELETION, DELETION_PATIENCE_SECONDS, "enter_lane", id="deletion: three seconds"
        ),
        pytest.param(
            AFTER_A_DELETION,
            DELETION_PATIENCE_SECONDS + 0.001,
            "cleanup",
            id="deletion: no longer",
        ),
        pytest.param(
            AFTER_A_REFILL, REFILL_PATIENCE_SECONDS, "enter_lane", id="refill: one second"
        ),
        pytest.param(
            AFTER_A_REFILL, REFILL_PATIENCE_SECONDS + 0.001, "refill", id="refill: no longer"
        ),
    ],
)
async def test_who_is_less_urgent_gives_way_for_a_while_and_no_longer(
    ways: Sequence[str], seconds: float, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_on = frozen_clock(monkeypatch)
    admission = await occupied_lane()
    async with waiting_for(admission) as waiting:
        await waiting.ask(*ways)
        move_on(seconds)

        await pass_on(admission)

        assert waiting.granted[0] == first


async def test_a_task_that_comes_back_needs_no_second_place_among_the_running() -> None:
    admission = await occupied_lane(running=1)
    admission.leave_lane()
    async with waiting_for(admission) as waiting:
        await waiting.enter_lane("returning")

        assert waiting.granted == ["returning"]


@pytest.mark.parametrize(("places", "deletions"), [(1, 1), (2, 1), (3, 2), (5, 4)])
async def test_deletions_leave_one_place_to_tasks_where_there_is_more_than_one(
    places: int, deletions: int
) -> None:
    admission = admission_of(starting=places)
    async with waiting_for(admission) as waiting:
        waiting.released.clear()
        for _ in range(places + 1):
            await waiting.cleanup("deletion")
        assert waiting.granted == ["deletion"] * deletions
        task = await waiting.begin("task")
        assert waiting.granted.count("task") == places - deletions

        task.cancel()
        waiting.released.set()
        await settle()

        assert waiting.granted.count("deletion") == places + 1


async def test_deletions_go_on_while_no_more_tasks_may_run() -> None:
    admission = admission_of(running=0)
    async with waiting_for(admission) as waiting:
        await waiting.begin("queued")

        await waiting.cleanup("deletion")

        assert waiting.granted == ["deletion"]


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
    async with waiting_for(admission) as waiting:
        waiting.released.clear()
        await waiting.refill("first")
        await waiting.refill("second")
        assert waiting.granted == ["first"]

        waiting.released.set()
        await settle()

        assert waiting.granted == ["first", "second"]


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
