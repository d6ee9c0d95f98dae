"""A task whose time is over ends, and nothing of it stays, on the real engine."""

import pytest

from ecs.tasks.states import Outcome, RunnerState, TaskState
from tests import images
from tests.canceling import SLEEP, arrives, end_of
from tests.engines import EngineProbe
from tests.integration.conftest import LeaveNothing
from tests.waiting import eventually
from tests.ways import EVERY_WAY, ONE_WAY, THREE_WAYS


@THREE_WAYS
async def test_a_task_that_waited_too_long_in_the_queue_leaves_nothing(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing(max_running_tasks=1, queue_timeout_seconds=0.5) as ecs:
        running = ecs.submit(*SLEEP)
        await arrives(running, RunnerState.RUNNING)
        result = await ecs.run("true")

        assert (result.state, result.outcome) == (
            TaskState.SYSTEM_ERROR,
            Outcome.QUEUE_TIMED_OUT,
        )
        ecs.dispatcher.cancel(running)
        await end_of(ecs, running)


@ONE_WAY
async def test_a_task_whose_pull_took_too_long_leaves_nothing(
    leaving_nothing: LeaveNothing, silent_registry: str
) -> None:
    async with leaving_nothing(pull_timeout_seconds=1.0) as ecs:
        result = await ecs.run("true", image=f"{silent_registry}/ecs-test/nothing:1")

        assert result.outcome is Outcome.IMAGE_PULL_TIMED_OUT


@EVERY_WAY
@pytest.mark.parametrize(
    ("cmd", "exit_code"),
    [
        pytest.param(SLEEP, 137, id="killed"),
        pytest.param(("sh", "-c", "trap 'exit 7' TERM; sleep 3600 & wait"), 7, id="ended itself"),
    ],
)
async def test_a_task_that_ran_too_long_leaves_nothing(
    leaving_nothing: LeaveNothing, cmd: tuple[str, ...], exit_code: int
) -> None:
    async with leaving_nothing(stop_grace_seconds=1.0) as ecs:
        result = await ecs.run(*cmd, image=images.VOLUME, timeout_seconds=1.0)

        assert (result.state, result.outcome, result.exit_code) == (
            TaskState.EXECUTOR_ERROR,
            Outcome.TIMED_OUT,
            exit_code,
        )


@THREE_WAYS
@pytest.mark.parametrize(
    ("signal", "outcome", "exit_code"),
    [
        ("SIGSTOP", Outcome.TIMED_OUT, 137),  # a stopped init enforces nothing
        ("SIGKILL", Outcome.EXITED, 137),
        ("SIGTERM", Outcome.EXITED, 143),  # passed on to the task
    ],
)
async def test_an_init_that_is_signalled_from_outside_leaves_nothing(
    leaving_nothing: LeaveNothing,
    engine: EngineProbe,
    monkeypatch: pytest.MonkeyPatch,
    signal: str,
    outcome: Outcome,
    exit_code: int,
) -> None:
    monkeypatch.setattr("ecs.tasks.init_run._BACKSTOP_SECONDS", 0.5)
    async with leaving_nothing(stop_grace_seconds=0.5) as ecs:
        task = ecs.submit("sh", "-c", "echo began; exec sleep 3600", timeout_seconds=2.0)
        await eventually(lambda: task.output.size_bytes("stdout") > 0, 30)
        await eventually(lambda: task.container_name in engine.containers(ecs.instance), 30)

        engine.client.api.kill(task.container_name, signal)
        result = await end_of(ecs, task)

        assert (result.outcome, result.exit_code) == (outcome, exit_code)
