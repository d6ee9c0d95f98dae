"""What a runner does before it speaks to the engine, and how it sees a piece of work to its end."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.errors import EngineFailedError, QueueTimedOutError
from ecs.store.private_images import PrivateImageStore
from ecs.tasks.admission import Admission
from ecs.tasks.finish_first import finish_first
from ecs.tasks.images import Images
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Task
from ecs.tasks.reaper import Reaper
from ecs.tasks.runner import AsyncEndToEndContainerRunner
from ecs.tasks.states import Outcome, TaskState
from tests.unit import builders

Run = Callable[..., Coroutine[None, None, None]]


@pytest.fixture
def admission() -> Admission:
    """No task may ever run."""
    return Admission(max_starting=1, max_running=0, max_queued=10)


@pytest.fixture
def reaper(no_engine: DockerRemoteApi, admission: Admission) -> Reaper:
    return Reaper(no_engine, admission)


@pytest.fixture
def run(
    no_engine: DockerRemoteApi, admission: Admission, reaper: Reaper, tmp_path: Path
) -> Iterator[Run]:
    """Runs a task that may not wait for long, unless told so."""
    store = PrivateImageStore(tmp_path / "store.sqlite3")

    def run_it(task: Task, queue_timeout_seconds: float = 0.001) -> Coroutine[None, None, None]:
        return AsyncEndToEndContainerRunner(
            task,
            no_engine,
            images=Images(no_engine, store, pull_timeout_seconds=1, proof_seconds=1),
            admission=admission,
            reaper=reaper,
            policy=builders.container_policy(),
            init=InitVolume(no_engine, reaper, lambda _: None),
            sandboxes=builders.no_sandboxes(no_engine, admission, reaper),
            warm_pool=builders.no_warm_pool(no_engine, admission, reaper),
            queue_timeout_seconds=queue_timeout_seconds,
        ).run()

    yield run_it
    store.close()


async def test_a_task_whose_turn_does_not_come_ends_with_that_outcome(run: Run) -> None:
    task = builders.task()

    await run(task)

    assert task.result is not None
    assert task.result.outcome is Outcome.QUEUE_TIMED_OUT
    assert task.result.state is TaskState.SYSTEM_ERROR
    assert isinstance(task.result.error, QueueTimedOutError)
    assert task.result.timings["queued_seconds"] == task.result.timings["total_seconds"] > 0


async def test_a_task_that_never_began_has_no_container_to_delete(run: Run, reaper: Reaper) -> None:
    task = builders.task()

    await run(task)

    assert reaper.pending_count == 0
    assert task.states == [TaskState.QUEUED, TaskState.SYSTEM_ERROR]


async def test_a_task_cancelled_in_the_queue_ends_as_cancelled(run: Run) -> None:
    task = builders.task()
    running = asyncio.create_task(run(task, 60))
    await asyncio.sleep(0)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert task.result is not None
    assert task.result.outcome is Outcome.CANCELED


class Work:
    """Work that ends when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.ended = False

    async def do(self, error: Exception | None = None) -> str:
        await self.release.wait()
        self.ended = True
        if error is not None:
            raise error
        return "done"


async def some_steps() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_finished_first_returns_its_value() -> None:
    work = Work()
    work.release.set()

    assert await finish_first(work.do()) == "done"


async def test_what_is_finished_first_raises_its_error() -> None:
    work = Work()
    work.release.set()

    with pytest.raises(EngineFailedError):
        await finish_first(work.do(EngineFailedError("no")))


@pytest.mark.parametrize("error", [None, EngineFailedError("no")])
async def test_a_cancellation_waits_until_the_work_has_ended(error: Exception | None) -> None:
    work = Work()
    finishing = asyncio.create_task(finish_first(work.do(error)))
    await some_steps()

    finishing.cancel()
    await some_steps()
    assert not finishing.done()
    work.release.set()
    await asyncio.wait({finishing})

    assert finishing.cancelled()
    assert work.ended


async def test_a_second_cancellation_waits_too() -> None:
    work = Work()
    finishing = asyncio.create_task(finish_first(work.do()))
    await some_steps()

    for _ in range(2):
        finishing.cancel()
        await some_steps()
    waited = not finishing.done()
    work.release.set()
    await asyncio.wait({finishing})
    await some_steps()

    assert waited
