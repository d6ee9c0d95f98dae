import asyncio
from collections.abc import AsyncIterator

import pytest

from ecs.docker_remote_api.images import PullProgress
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.follow import Event, OutputPiece, follow
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, TaskState
from tests.unit import builders

LONG_SECONDS = 60.0


@pytest.fixture
async def task() -> AsyncIterator[Task]:
    task = builders.task()
    yield task
    task.output.close()


def progress(status: str) -> PullProgress:
    return PullProgress("layer", status, None, None)


async def events_of(task: Task, idle_seconds: float = LONG_SECONDS) -> list[Event]:
    async with asyncio.timeout(LONG_SECONDS):
        return [event async for event in follow(task, idle_seconds=idle_seconds)]


async def test_who_comes_after_the_end_sees_everything_and_the_final_state_last(
    task: Task,
) -> None:
    task.enter(TaskState.INITIALIZING)
    task.add_progress(progress("Downloading"))
    task.enter(TaskState.RUNNING)
    await task.output.write([(Stream.STDOUT, b"out"), (Stream.STDERR, b"err")])
    task.end(Outcome.EXITED, 0)

    assert await events_of(task) == [
        TaskState.QUEUED,
        TaskState.INITIALIZING,
        TaskState.RUNNING,
        progress("Downloading"),
        OutputPiece(Stream.STDOUT, b"out"),
        OutputPiece(Stream.STDERR, b"err"),
        TaskState.COMPLETE,
    ]


async def test_who_follows_from_the_beginning_sees_each_event_as_it_happens(task: Task) -> None:
    seen = []
    async with asyncio.timeout(LONG_SECONDS):
        async for event in follow(task, idle_seconds=LONG_SECONDS):
            seen.append(event)
            match seen:  # what happens next, once the follower has come so far
                case [TaskState.QUEUED]:
                    task.enter(TaskState.INITIALIZING)
                case [_, TaskState.INITIALIZING]:
                    task.add_progress(progress("1"))
                    task.add_progress(progress("2"))
                case [_, _, _, PullProgress(status="2")]:
                    task.enter(TaskState.RUNNING)
                case [*_, TaskState.RUNNING]:
                    await task.output.write([(Stream.STDOUT, b"a")])
                case [*_, OutputPiece(data=b"a")]:
                    await task.output.write([(Stream.STDERR, b"b")])
                case [*_, OutputPiece(data=b"b")]:
                    task.end(Outcome.EXITED, 1)

    assert seen == [
        TaskState.QUEUED,
        TaskState.INITIALIZING,
        progress("1"),
        progress("2"),
        TaskState.RUNNING,
        OutputPiece(Stream.STDOUT, b"a"),
        OutputPiece(Stream.STDERR, b"b"),
        TaskState.EXECUTOR_ERROR,
    ]


async def test_of_progress_that_is_too_old_only_the_newest_lines_are_told(task: Task) -> None:
    for number in range(300):
        task.add_progress(progress(str(number)))
    task.end(Outcome.CANCELED, None)

    told = [event.status for event in await events_of(task) if isinstance(event, PullProgress)]

    assert told == [str(number) for number in range(300 - 256, 300)]


async def test_progress_is_told_once(task: Task) -> None:
    events = follow(task, idle_seconds=LONG_SECONDS)
    assert await anext(events) is TaskState.QUEUED
    for status in ("1", "2"):
        task.add_progress(progress(status))
        assert await anext(events) == progress(status)
        await task.output.write([(Stream.STDOUT, status.encode())])
        assert await anext(events) == OutputPiece(Stream.STDOUT, status.encode())

    task.end(Outcome.EXITED, 0)

    assert [event async for event in events] == [TaskState.COMPLETE]


async def test_progress_that_comes_while_a_line_is_being_told_is_told_next(task: Task) -> None:
    task.add_progress(progress("1"))
    told = []
    async for event in follow(task, idle_seconds=LONG_SECONDS):
        if isinstance(event, PullProgress):
            told.append(event.status)
        if event == progress("1"):
            task.add_progress(progress("2"))
            task.end(Outcome.EXITED, 0)

    assert told == ["1", "2"]


async def test_when_nothing_happens_the_follower_is_told_so(task: Task) -> None:
    events = follow(task, idle_seconds=0.001)
    assert await anext(events) is TaskState.QUEUED

    assert await anext(events) is None
    assert await anext(events) is None

    task.end(Outcome.CANCELED, None)
    assert [event async for event in events][-1] is TaskState.CANCELED


async def test_followers_at_their_own_pace_see_the_same(task: Task) -> None:
    async with asyncio.timeout(LONG_SECONDS), asyncio.TaskGroup() as group:
        following = [group.create_task(events_of(task)) for _ in range(3)]
        for number in range(50):
            await task.output.write([(Stream.STDOUT, b"%d\n" % number)])
            await asyncio.sleep(0)
        task.end(Outcome.EXITED, 0)
        last = following[-1]

    seen = [
        b"".join(event.data for event in work.result() if isinstance(event, OutputPiece))
        for work in following
    ]
    assert seen == [b"".join(b"%d\n" % number for number in range(50))] * 3
    assert last.result()[-1] is TaskState.COMPLETE
