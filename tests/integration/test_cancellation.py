"""A task may be canceled at any moment: it ends, and nothing of it stays, on the real engine."""

import asyncio
import itertools
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from ecs.tasks.model import Network, Start, Task, TaskResult
from ecs.tasks.runner import AsyncEndToEndContainerRunner
from ecs.tasks.states import Outcome, RunnerState, StateMachine, TaskState
from tests import images
from tests.engines import EngineProbe
from tests.harness import Ecs, result_of, running_ecs
from tests.registries import Registry
from tests.traces import Traces
from tests.waiting import eventually
from tests.ways import EVERY_WAY, ONE_WAY, THREE_WAYS, Way, ways

SLEEP = ("sh", "-c", "trap '' TERM; sleep 3600")
TALK = ("sh", "-c", "cat; echo out; echo err >&2")
STDIN = b"in\n" * 10_000


class LeaveNothing(Protocol):
    """What the fixture `leaving_nothing` gives: runs ECS, and sees at the end what is left."""

    def __call__(
        self, *, at_once: int = 1, **settings: Any
    ) -> AbstractAsyncContextManager[Ecs]: ...


@pytest.fixture
def leaving_nothing(
    tmp_path: Path, docker_host: str, engine: EngineProbe, way: Way
) -> LeaveNothing:
    """Every task starts the way of the test, unless it has more than `at_once` at the same time."""

    @asynccontextmanager
    async def run(*, at_once: int = 1, **settings: Any) -> AsyncIterator[Ecs]:
        chosen = way.settings({images.BUSYBOX: at_once, images.VOLUME: at_once})
        if way is Way.SANDBOXED:
            chosen["sandboxes"] = at_once  # as many afterwards as before
        chosen |= {"spool_memory_bytes": 1024, **settings}
        async with running_ecs(tmp_path, docker_host, **chosen) as ecs:
            # The first requests open connections that stay.
            await ecs.run("true", network=Network.NONE)
            await eventually(ecs.is_ready, 30)
            traces = Traces(ecs, engine)
            misses = missed(ecs)
            yield ecs
            await traces.vanish()
            assert missed(ecs) == misses or at_once > 1
        assert engine.containers(ecs.instance) == []

    return run


def missed(ecs: Ecs) -> int:
    """How many tasks could not start the way that they were to."""
    return ecs.sandboxes.misses + ecs.warm_pool.misses


def is_canceled(result: TaskResult) -> bool:
    return (result.state, result.outcome, result.exit_code) == (
        TaskState.CANCELED,
        Outcome.CANCELED,
        None,
    )


async def end_of(ecs: Ecs, task: Task) -> TaskResult:
    """The result of a task whose answer nobody reads."""
    result = await result_of(task)
    await ecs.dispatcher.release(task)
    return result


async def arrives(task: Task, state: RunnerState) -> None:
    await eventually(lambda: task.machine.state is state, 30)


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


TASKS: dict[RunnerState, dict[str, Any]] = {
    RunnerState.RESOLVING: {"cmd": TALK, "stdin": STDIN},
    RunnerState.CREATING: {"cmd": TALK, "stdin": STDIN},
    RunnerState.ATTACHING: {"cmd": TALK, "stdin": STDIN},
    RunnerState.STARTING: {"cmd": TALK, "stdin": STDIN},
    RunnerState.RUNNING: {"cmd": SLEEP, "stdin": STDIN},
    RunnerState.STOPPING: {"cmd": ("yes",)},  # beyond the output limit
    RunnerState.COLLECTING: {"cmd": TALK, "stdin": STDIN},
}
"""What makes a task pass through a state."""


BEFORE_WARM = {RunnerState.CREATING, RunnerState.ATTACHING}
"""What has happened already to a container that is warm."""


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


class Interruption:
    """Cancels a run at one of the places where it waits."""

    def __init__(self, suspension: int, *, too_late: bool) -> None:
        self._suspension = suspension
        self._too_late = too_late
        self.happened = False

    def __repr__(self) -> str:
        return f"<at suspension {self._suspension}>"

    @types.coroutine
    def run(self, coroutine: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Run the coroutine, step by step, and cancel it at its nth suspension."""
        steps = coroutine.__await__()
        resume: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        for suspension in itertools.count():
            try:
                awaited = resume()
            except StopIteration:
                return
            if suspension == self._suspension:
                self._cancel(awaited)
            try:
                yield awaited
                resume = lambda: next(steps)  # noqa: E731
            except BaseException as error:  # noqa: BLE001 - handed on
                resume = lambda error=error: steps.throw(error)  # noqa: E731

    def _cancel(self, awaited: Any) -> None:
        self.happened = True
        task = asyncio.current_task()
        assert task
        if self._too_late and awaited is not None:
            # What it waits for has come; the cancellation overtakes the news.
            awaited.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


@pytest.fixture(params=[False, True], ids=["while it waits", "as it would go on"])
def interrupted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Interruption]:
    """Interruptions of the next run, each at a later place, until one has not happened."""
    run = AsyncEndToEndContainerRunner.run

    def interruptions() -> Iterator[Interruption]:
        for suspension in itertools.count():
            interruption = Interruption(suspension, too_late=request.param)
            monkeypatch.setattr(
                AsyncEndToEndContainerRunner,
                "run",
                lambda runner, by=interruption: by.run(run(runner)),
            )
            yield interruption
            if not interruption.happened:
                assert suspension > 3  # a warm one waits for image, hand-over and output alone
                return

    return interruptions()


@EVERY_WAY
async def test_a_run_can_be_canceled_at_every_place_where_it_waits(
    leaving_nothing: LeaveNothing,
    interrupted: Iterator[Interruption],
    engine: EngineProbe,
    way: Way,
) -> None:
    # The engine is faster without a network; the other ways are for tasks that have one.
    network = Network.NONE if way.start is Start.COLD else Network.DEFAULT
    async with leaving_nothing(stop_grace_seconds=0.2) as ecs:
        traces = Traces(ecs, engine)
        fields = {"stdin": STDIN, "network": network, "timeout_seconds": 0.2}
        for interruption in interrupted:
            result = await end_of(ecs, ecs.submit(*SLEEP, image=images.VOLUME, **fields))
            assert is_canceled(result) or result.outcome is Outcome.TIMED_OUT
            print(interruption, result.outcome)
            await traces.vanish()
    assert result.outcome is Outcome.TIMED_OUT


@ONE_WAY
async def test_a_run_that_pulls_can_be_canceled_at_every_place_where_it_waits(
    leaving_nothing: LeaveNothing,
    interrupted: Iterator[Interruption],
    engine: EngineProbe,
    open_registry: Registry,
) -> None:
    image = open_registry.push_image(engine)
    async with leaving_nothing() as ecs:
        traces = Traces(ecs, engine)
        for interruption in interrupted:
            task = ecs.submit("cat", "/marker", image=image.reference, network=Network.NONE)
            result = await end_of(ecs, task)
            assert is_canceled(result) or result.outcome is Outcome.EXITED
            print(interruption, result.outcome)
            await traces.vanish()
            engine.remove_images(image.reference)
    assert result.outcome is Outcome.EXITED
