"""A task may be canceled at any moment: it ends, and nothing of it stays, on the real engine."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, RunnerState, StateMachine, TaskState
from tests import images
from tests.canceling import SLEEP, STDIN, arrives, end_of, is_canceled
from tests.engines import EngineProbe
from tests.harness import running_ecs
from tests.integration.conftest import LeaveNothing
from tests.registries import Registry
from tests.waiting import eventually
from tests.ways import EVERY_WAY, ONE_WAY, THREE_WAYS, Way, ways

TALK = ("sh", "-c", "cat; echo out; echo err >&2")
TALK_AND_STAY = ("sh", "-c", "cat; echo out; echo err >&2; sleep 3600")
"""A warm one that does not may have ended after a few turns of the event loop."""
TASKS: dict[RunnerState, dict[str, Any]] = {
    RunnerState.RESOLVING: {"cmd": TALK_AND_STAY, "stdin": STDIN},
    RunnerState.CREATING: {"cmd": TALK_AND_STAY, "stdin": STDIN},
    RunnerState.ATTACHING: {"cmd": TALK_AND_STAY, "stdin": STDIN},
    RunnerState.STARTING: {"cmd": TALK_AND_STAY, "stdin": STDIN},
    RunnerState.RUNNING: {"cmd": SLEEP, "stdin": STDIN},
    RunnerState.STOPPING: {"cmd": ("yes",)},  # beyond the output limit
    RunnerState.COLLECTING: {"cmd": TALK, "stdin": STDIN},
}
"""What makes a task pass through a state."""
BEFORE_WARM = {RunnerState.CREATING, RunnerState.ATTACHING}
"""What has happened already to a container that is warm."""


def on_entering(
    monkeypatch: pytest.MonkeyPatch, state: RunnerState, act: Callable[[], None], turns: int
) -> None:
    """Have something done some turns of the event loop after a run has entered a state."""
    enter = StateMachine.enter

    def later(remaining: int) -> None:
        if remaining:
            asyncio.get_running_loop().call_soon(later, remaining - 1)
        else:
            act()

    def enter_and_act(machine: StateMachine, entered: RunnerState) -> None:
        enter(machine, entered)
        if entered is state:
            later(turns)

    monkeypatch.setattr(StateMachine, "enter", enter_and_act)


@pytest.mark.parametrize(
    ("way", "state"),
    [
        pytest.param(way, state, id=f"{state}-{way.value}")
        for way in (Way.COLD, Way.WITHOUT_INIT, Way.SANDBOXED, Way.WARM)
        for state in TASKS
        if not (way is Way.WARM and state in BEFORE_WARM)
    ],
)
async def test_a_task_can_be_canceled_in_every_state(
    leaving_nothing: LeaveNothing, monkeypatch: pytest.MonkeyPatch, way: Way, state: RunnerState
) -> None:
    tasks: list[Task] = []
    async with leaving_nothing(output_limit_bytes=2**20) as ecs:
        for turns in (0, 2, 20):
            await eventually(ecs.is_ready, 30)
            with monkeypatch.context() as patched:
                on_entering(patched, state, lambda: ecs.dispatcher.cancel(tasks[-1]), turns)
                fields = dict(TASKS[state])
                tasks.append(ecs.submit(*fields.pop("cmd"), image=images.VOLUME, **fields))
                result = await end_of(ecs, tasks[-1])

            # Collecting takes but a few turns, or none: the result may have come first.
            late = state is RunnerState.COLLECTING and (turns > 0 or way is not Way.WITHOUT_INIT)
            assert is_canceled(result) or (late and result.outcome is Outcome.EXITED), turns
    assert {task.start for task in tasks} <= {way.start, None}


@THREE_WAYS
async def test_a_task_canceled_before_its_first_step_is_canceled(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing() as ecs:
        task = ecs.submit("true")
        ecs.dispatcher.cancel(task)

        assert is_canceled(await end_of(ecs, task))


@THREE_WAYS
async def test_a_task_can_be_canceled_in_the_queue(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing(max_running_tasks=1) as ecs:
        running, waiting = ecs.submit(*SLEEP), ecs.submit("true")
        await arrives(running, RunnerState.RUNNING)
        assert ecs.admission.queue_length == 1
        ecs.dispatcher.cancel(waiting)

        assert is_canceled(await end_of(ecs, waiting))
        assert waiting.states == [TaskState.QUEUED, TaskState.CANCELED]
        assert running.result is None

        ecs.dispatcher.cancel(running)
        assert is_canceled(await end_of(ecs, running))


@THREE_WAYS
async def test_a_task_canceled_in_the_very_moment_its_turn_comes_gives_its_places_back(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing(at_once=2, max_running_tasks=1) as ecs:
        running, waiting = ecs.submit(*SLEEP), ecs.submit("true")
        await arrives(running, RunnerState.RUNNING)
        ecs.dispatcher.cancel(running)
        await eventually(lambda: ecs.admission.queue_length == 0, 30)
        ecs.dispatcher.cancel(waiting)

        for task in (running, waiting):
            await end_of(ecs, task)
        assert (await ecs.run("true")).outcome is Outcome.EXITED


@ONE_WAY
async def test_a_task_can_be_canceled_while_its_registry_is_silent(
    leaving_nothing: LeaveNothing, silent_registry: str
) -> None:
    async with leaving_nothing() as ecs:
        task = ecs.submit("true", image=f"{silent_registry}/ecs-test/nothing:1")
        await arrives(task, RunnerState.PULLING)
        ecs.dispatcher.cancel(task)

        assert is_canceled(await end_of(ecs, task))


@ONE_WAY
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 50])
async def test_a_task_can_be_canceled_while_it_pulls(
    leaving_nothing: LeaveNothing,
    monkeypatch: pytest.MonkeyPatch,
    engine: EngineProbe,
    open_registry: Registry,
    turns: int,
) -> None:
    image = open_registry.push_image(engine)
    async with leaving_nothing() as ecs:
        on_entering(monkeypatch, RunnerState.PULLING, lambda: ecs.dispatcher.cancel(task), turns)
        task = ecs.submit("cat", "/marker", image=image.reference)

        assert is_canceled(await end_of(ecs, task))
    monkeypatch.undo()
    async with leaving_nothing() as ecs:
        assert (await ecs.run("cat", "/marker", image=image.reference)).exit_code == 0


@EVERY_WAY
async def test_a_task_that_writes_without_end_can_be_canceled(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing() as ecs:
        task = ecs.submit("sh", "-c", "while :; do echo 0123456789; done", image=images.VOLUME)
        await eventually(lambda: task.output.size_bytes("stdout") > 2**20, 30)
        ecs.dispatcher.cancel(task)

        assert is_canceled(await end_of(ecs, task))


@EVERY_WAY
async def test_a_task_canceled_again_and_again_is_canceled(
    leaving_nothing: LeaveNothing, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    first = RunnerState.STARTING if way is Way.WARM else RunnerState.CREATING
    async with leaving_nothing() as ecs:
        at_the_engine = asyncio.Event()
        on_entering(monkeypatch, first, at_the_engine.set, turns=0)
        task = ecs.submit(*TALK, image=images.VOLUME, stdin=STDIN)
        await at_the_engine.wait()
        while task.result is None:
            ecs.dispatcher.cancel(task)
            await asyncio.sleep(0)

        assert is_canceled(await end_of(ecs, task))


@EVERY_WAY
async def test_many_tasks_canceled_at_once_leave_nothing(
    leaving_nothing: LeaveNothing,
) -> None:
    async with leaving_nothing(at_once=4) as ecs:
        tasks = [ecs.submit(*SLEEP, image=images.VOLUME, stdin=STDIN) for _ in range(12)]
        await arrives(tasks[0], RunnerState.RUNNING)
        for task in tasks:
            ecs.dispatcher.cancel(task)

        assert all([is_canceled(await end_of(ecs, task)) for task in tasks])


@ways(Way.COLD, Way.SANDBOXED)  # a warm container's pool is left before: see test_restart
async def test_leaving_the_dispatcher_cancels_what_still_runs(
    engine: EngineProbe, docker_host: str, tmp_path: Path, way: Way
) -> None:
    settings = way.settings({images.BUSYBOX: 1})
    async with running_ecs(tmp_path, docker_host, **settings) as ecs:
        await eventually(ecs.is_ready, 30)
        task = ecs.submit(*SLEEP)
        await arrives(task, RunnerState.RUNNING)
    assert task.result is not None
    assert is_canceled(task.result)
    assert task.start is way.start

    # The reaper went with it; the next start finds what was left.
    async with running_ecs(tmp_path, docker_host) as ecs:
        await ecs.sweep.sweep()
        await eventually(lambda: not engine.containers(ecs.instance), 30)
