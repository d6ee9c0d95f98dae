import asyncio
import re

import pytest

from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.images import PullProgress
from ecs.errors import EngineFailedError
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, RunnerState, TaskState
from tests.unit import builders


def progress(status: str) -> PullProgress:
    return PullProgress("layer", status, None, None)


def test_a_new_task_is_queued_and_has_no_result() -> None:
    task = builders.task()

    assert task.states == [TaskState.QUEUED]
    assert task.result is None


def test_an_id_is_random_and_names_the_container() -> None:
    one, two = builders.task(), builders.task()

    assert re.fullmatch("[0-9a-f]{32}", one.id)
    assert one.id != two.id
    assert one.container_name == f"ecs-task-{one.id}"


def test_entering_a_state_shows_it_once() -> None:
    task = builders.task()

    for state in (TaskState.INITIALIZING, TaskState.INITIALIZING, TaskState.RUNNING):
        task.enter(state)

    assert task.states == [TaskState.QUEUED, TaskState.INITIALIZING, TaskState.RUNNING]
    assert task.changes.count == 2


def test_the_newest_lines_of_progress_are_kept_and_all_are_counted() -> None:
    task = builders.task()

    for number in range(300):
        task.add_progress(progress(str(number)))

    assert [line.status for line in task.progress] == [str(n) for n in range(300 - 256, 300)]
    assert task.progress_count == 300
    assert task.changes.count == 300


def test_the_end_gives_a_task_its_result_and_its_final_state() -> None:
    task = builders.task()
    task.machine.enter(RunnerState.ENDED)
    error = EngineFailedError("no")

    task.end(Outcome.ENGINE_ERROR, None, error)

    assert task.result is not None
    assert task.result.state is TaskState.SYSTEM_ERROR
    assert task.result.outcome is Outcome.ENGINE_ERROR
    assert task.result.exit_code is None
    assert task.result.error is error
    assert task.result.timings == task.machine.timings()
    assert task.states[-1] is TaskState.SYSTEM_ERROR


def test_the_first_statement_of_an_end_counts() -> None:
    task = builders.task()
    task.end(Outcome.EXITED, 3)
    first = task.result

    task.end(Outcome.CANCELED, None)

    assert task.result is first
    assert task.states[-1] is TaskState.EXECUTOR_ERROR


async def test_everybody_who_waits_for_the_end_is_given_the_result() -> None:
    task = builders.task()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(task.ended()) for _ in range(3)]
        await asyncio.sleep(0)

        task.end(Outcome.EXITED, 0)

    assert [work.result() for work in waiting] == [task.result] * 3


async def test_who_comes_after_the_end_is_given_the_result_at_once() -> None:
    task = builders.task()
    task.end(Outcome.EXITED, 0)

    assert await task.ended() is task.result


@pytest.fixture
def secretive() -> Task:
    """A task whose every secret part holds the word `sesame`."""
    return builders.task(
        env={"TOKEN": "sesame"},
        stdin=b"sesame",
        credentials=RegistryCredentials("sesame", "sesame"),
    )


def test_the_text_of_a_request_shows_no_environment_no_stdin_and_no_credentials(
    secretive: Task,
) -> None:
    assert "sesame" not in repr(secretive.request)
    assert "sesame" not in str(secretive.request)
