"""The dispatcher beside runners that do what a test says; real ones need an engine."""

import asyncio

import pytest
import structlog

from ecs.errors import DrainingError, EcsError, QueueFullError, TooManyTasksError
from ecs.tasks import dispatcher as dispatcher_module
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.tasks.model import Task, TraceContext
from ecs.tasks.states import Outcome, TaskState
from tests.unit import builders
from tests.unit.scripted_runner import (
    LONG_SECONDS,
    Run,
    dispatcher_of,
    go_on_for_ever,
    succeed,
)


def submit(dispatcher: TaskDispatcher, owner: str = "somebody") -> Task:
    return dispatcher.submit(builders.task_request(), owner=owner, request_id="r1")


async def ended(task: Task) -> Outcome:
    async with asyncio.timeout(LONG_SECONDS):
        return (await task.ended()).outcome


async def test_a_task_runs_by_itself_once_it_is_taken_in() -> None:
    async with dispatcher_of(succeed) as dispatcher:
        task = submit(dispatcher)

        assert await ended(task) is Outcome.EXITED


async def test_a_task_knows_what_it_was_asked_and_by_whom() -> None:
    request = builders.task_request()
    async with dispatcher_of(succeed) as dispatcher:
        task = dispatcher.submit(request, owner="key k", request_id="r2")

    assert (task.request, task.owner, task.request_id) == (request, "key k", "r2")


async def test_a_cancelled_task_ends_as_cancelled() -> None:
    async with dispatcher_of(go_on_for_ever) as dispatcher:
        task = submit(dispatcher)
        await asyncio.sleep(0)

        dispatcher.cancel(task)

        assert await ended(task) is Outcome.CANCELED


async def test_a_task_that_is_cancelled_before_its_first_step_ends_as_cancelled() -> None:
    async with dispatcher_of(succeed) as dispatcher:
        task = submit(dispatcher)

        dispatcher.cancel(task)

        assert await ended(task) is Outcome.CANCELED


async def test_cancelling_a_task_that_has_ended_changes_nothing() -> None:
    async with dispatcher_of(succeed) as dispatcher:
        task = submit(dispatcher)
        await ended(task)

        dispatcher.cancel(task)
        await asyncio.sleep(0)

        assert task.result is not None
        assert task.result.state is TaskState.COMPLETE


async def test_the_container_of_a_task_is_live_until_the_task_has_ended() -> None:
    async with dispatcher_of(go_on_for_ever) as dispatcher:
        task = submit(dispatcher)
        assert task.container_name in dispatcher
        assert "ecs-task-of-another" not in dispatcher

        dispatcher.cancel(task)
        await ended(task)
        await asyncio.sleep(0)

        assert task.container_name not in dispatcher


async def test_a_task_too_many_is_refused_though_the_others_took_no_step_yet() -> None:
    async with dispatcher_of(go_on_for_ever, running=2) as dispatcher:
        submit(dispatcher)
        submit(dispatcher)

        with pytest.raises(QueueFullError):
            submit(dispatcher)


async def test_a_caller_with_too_many_tasks_is_refused_and_another_is_not() -> None:
    async with dispatcher_of(go_on_for_ever, running=1, queued=4) as dispatcher:
        for _ in range(3):
            submit(dispatcher, "greedy")

        with pytest.raises(TooManyTasksError):
            submit(dispatcher, "greedy")
        submit(dispatcher, "modest")


async def test_a_task_counts_until_what_it_wrote_is_given_back() -> None:
    async with dispatcher_of(succeed, running=1) as dispatcher:
        task = submit(dispatcher)
        await ended(task)
        with pytest.raises(QueueFullError):
            submit(dispatcher)

        await dispatcher.release(task)

        submit(dispatcher)


async def test_releasing_a_task_that_runs_cancels_it() -> None:
    async with dispatcher_of(go_on_for_ever) as dispatcher:
        task = submit(dispatcher)
        await asyncio.sleep(0)

        await dispatcher.release(task)

        assert await ended(task) is Outcome.CANCELED


async def test_a_drain_does_not_wait_for_ever_for_what_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher_module, "_CANCEL_SECONDS", 0.001)
    release = asyncio.Event()

    async def ignore_a_cancellation(_: Task) -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()

    async with dispatcher_of(ignore_a_cancellation, drain_timeout_seconds=0.001) as dispatcher:
        task = submit(dispatcher)
        await asyncio.sleep(0)

        await dispatcher.drain()

        assert task.result is None
        release.set()


async def test_a_bug_ends_its_own_task_and_no_other() -> None:
    async def stumble(task: Task) -> None:
        if task.request_id == "bad":
            raise ZeroDivisionError
        await asyncio.sleep(0)
        await succeed(task)

    async with dispatcher_of(stumble) as dispatcher:
        bad, good = (
            dispatcher.submit(builders.task_request(), owner="o", request_id=name)
            for name in ("bad", "good")
        )

        assert await ended(bad) is Outcome.ENGINE_ERROR
        assert await ended(good) is Outcome.EXITED
        assert bad.result is not None
        assert type(bad.result.error) is EcsError
        assert "a bug in ECS" in str(bad.result.error)


async def test_a_draining_service_takes_no_task_and_says_when_to_try_again() -> None:
    async with dispatcher_of(succeed, drain_timeout_seconds=7.5) as dispatcher:
        await dispatcher.drain()

        with pytest.raises(DrainingError) as refusal:
            submit(dispatcher)

    assert refusal.value.retry_after_seconds == 7


async def test_draining_waits_for_the_tasks_that_run() -> None:
    release = asyncio.Event()

    async def run_until_released(task: Task) -> None:
        await release.wait()
        await succeed(task)

    async with dispatcher_of(run_until_released) as dispatcher, asyncio.TaskGroup() as group:
        task = submit(dispatcher)
        draining = group.create_task(dispatcher.drain())
        await asyncio.sleep(0)
        assert not draining.done()

        release.set()

        assert await ended(task) is Outcome.EXITED


async def test_what_does_not_end_within_the_drain_is_cancelled() -> None:
    async with dispatcher_of(go_on_for_ever, drain_timeout_seconds=0.001) as dispatcher:
        task = submit(dispatcher)
        await asyncio.sleep(0)

        await dispatcher.drain()

        assert task.result is not None
        assert task.result.outcome is Outcome.CANCELED


async def test_leaving_a_dispatcher_cancels_what_runs() -> None:
    async with dispatcher_of(go_on_for_ever) as dispatcher:
        task = submit(dispatcher)
        await asyncio.sleep(0)

    assert await ended(task) is Outcome.CANCELED


class Witness:
    """An observer that notes what it is told, and puts the task into a trace."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Task, Outcome | None]] = []

    def taken_in(self, task: Task) -> None:
        self.told.append(("taken in", task, task.result and task.result.outcome))
        task.trace = TRACE

    def ended(self, task: Task) -> None:
        self.told.append(("ended", task, task.result and task.result.outcome))


TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.mark.parametrize("run", [succeed, go_on_for_ever])
async def test_an_observer_is_told_of_each_task_at_its_beginning_and_at_its_end(run: Run) -> None:
    witness = Witness()
    async with dispatcher_of(run, observers=[witness]) as dispatcher:
        task = submit(dispatcher)
        at_first = list(witness.told)
        if run is go_on_for_ever:
            dispatcher.cancel(task)
        outcome = await ended(task)

    assert at_first == [("taken in", task, None)]
    assert witness.told == [*at_first, ("ended", task, outcome)]


async def test_the_log_of_a_task_has_the_trace_it_was_given() -> None:
    contexts: list[dict[str, object]] = []

    async def run(task: Task) -> None:
        contexts.append(structlog.contextvars.get_contextvars())
        await succeed(task)

    async with dispatcher_of(run) as dispatcher:
        for trace in (TRACE, None):
            task = dispatcher.submit(
                builders.task_request(), owner="somebody", request_id="r1", trace=trace
            )
            await ended(task)

    assert [context.get("trace_id") for context in contexts] == [TRACE.trace_id, None]


async def test_tasks_in_progress_are_counted_by_state() -> None:
    async with dispatcher_of(go_on_for_ever) as dispatcher:
        first, _ = submit(dispatcher), submit(dispatcher)
        first.enter(TaskState.RUNNING)
        under_way = dispatcher.in_progress()
        for task in tuple(dispatcher._runs):
            dispatcher.cancel(task)
            await ended(task)

    assert under_way == {TaskState.QUEUED: 1, TaskState.RUNNING: 1}
    assert dispatcher.in_progress() == {}
