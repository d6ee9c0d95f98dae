from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ecs.errors import QueueFullError, QueueTimedOutError, TooManyTasksError
from ecs.tasks.admission import Admission
from tests.unit.tasks.admitted import (
    LONG_SECONDS,
    admission_of,
    frozen_clock,
    occupied_lane,
    pass_on,
    waiting_for,
)

SECONDS_PER_TASK = 10.0


@pytest.mark.parametrize("tasks", [0, 6])
def test_a_task_is_taken_while_fewer_are_there_than_may_run_and_wait(tasks: int) -> None:
    admission_of(running=3, queued=4).check_room(
        tasks=tasks, own_tasks=0, timeout_seconds=LONG_SECONDS
    )


@pytest.mark.parametrize("tasks", [7, 8])
def test_a_task_is_refused_when_as_many_are_there_as_may_run_and_wait(tasks: int) -> None:
    admission = admission_of(running=3, queued=4)

    with pytest.raises(QueueFullError, match=f"{tasks} tasks .* as many as may") as refusal:
        admission.check_room(tasks=tasks, own_tasks=0, timeout_seconds=LONG_SECONDS)

    assert refusal.value.retry_after_seconds == 5  # nothing is known yet of how fast it drains


def test_one_caller_may_have_half_of_the_queue() -> None:
    admission = admission_of(running=3, queued=4)
    admission.check_room(tasks=6, own_tasks=4, timeout_seconds=LONG_SECONDS)

    with pytest.raises(TooManyTasksError, match="5 of your tasks"):
        admission.check_room(tasks=6, own_tasks=5, timeout_seconds=LONG_SECONDS)


@asynccontextmanager
async def draining(
    monkeypatch: pytest.MonkeyPatch, *, begun: int, waiting: int
) -> AsyncIterator[Admission]:
    """An admission that let one task begin each 10 seconds, and has more waiting."""
    move_on = frozen_clock(monkeypatch)
    admission = await occupied_lane()
    async with waiting_for(admission) as queue:
        for _ in range(begun + waiting):
            await queue.begin("a")
        for _ in range(begun):
            move_on(SECONDS_PER_TASK)
            await pass_on(admission)
        yield admission


async def test_a_task_whose_predicted_wait_is_too_long_is_refused_with_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = "3 tasks are waiting; this one would begin in about 30 seconds, more than the 29 "
    async with draining(monkeypatch, begun=5, waiting=3) as admission:
        with pytest.raises(QueueFullError, match=expected) as refusal:
            admission.check_room(tasks=3, own_tasks=0, timeout_seconds=29.0)

        assert refusal.value.retry_after_seconds == 30


async def test_a_task_is_taken_whose_predicted_wait_is_what_it_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with draining(monkeypatch, begun=5, waiting=3) as admission:
        admission.check_room(tasks=3, own_tasks=0, timeout_seconds=30.0)


async def test_a_task_that_needs_no_place_in_the_lane_is_taken_however_long_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with draining(monkeypatch, begun=5, waiting=3) as admission:
        admission.check_room(tasks=3, own_tasks=0, timeout_seconds=1.0, needs_lane=False)


async def test_nothing_is_predicted_from_a_few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    async with draining(monkeypatch, begun=4, waiting=100) as admission:
        admission.check_room(tasks=100, own_tasks=0, timeout_seconds=1.0)

        assert admission.retry_after_seconds() == 5


@pytest.mark.parametrize(("waiting", "seconds"), [(0, 1), (1, 10), (7, 70), (61, 600)])
async def test_the_time_to_try_again_is_what_the_queue_takes_within_bounds(
    waiting: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with draining(monkeypatch, begun=5, waiting=waiting) as admission:
        assert admission.retry_after_seconds() == seconds


async def test_a_queue_that_was_empty_is_predicted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        draining(monkeypatch, begun=5, waiting=0) as admission,
        waiting_for(admission) as queue,
    ):
        await queue.begin("b")

        assert admission.retry_after_seconds() == 5


async def test_who_waits_too_long_is_told_how_long_and_when_to_try_again() -> None:
    admission = await occupied_lane()

    with pytest.raises(QueueTimedOutError, match=r"waited 0\.01 seconds") as refusal:
        await admission.begin("a", 0.01)

    assert refusal.value.retry_after_seconds == 5


async def test_who_waited_too_long_waits_no_more() -> None:
    admission = await occupied_lane()
    with pytest.raises(QueueTimedOutError):
        await admission.begin("a", 0.001)

    assert admission.queue_length == 0


async def test_who_waited_too_long_takes_no_place_with_it() -> None:
    admission = await occupied_lane()
    with pytest.raises(QueueTimedOutError):
        await admission.begin("a", 0.001)

    async with waiting_for(admission) as waiting:
        await waiting.begin("b")
        await pass_on(admission)

        assert waiting.granted == ["b"]
