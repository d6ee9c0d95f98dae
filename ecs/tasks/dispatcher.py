"""Takes tasks in, runs each, cancels, drains."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import structlog

from ecs.errors import DrainingError, EcsError
from ecs.tasks.admission import Admission
from ecs.tasks.model import Task, TaskRequest, TraceContext
from ecs.tasks.observer import TaskObserver
from ecs.tasks.output import OutputLimits
from ecs.tasks.runner import AsyncEndToEndContainerRunner
from ecs.tasks.states import Outcome, TaskState

_log = structlog.get_logger()

_CANCEL_SECONDS = 10.0
"""How long canceled tasks may take to end; what they leave then, the next start finds."""

RunnerFactory = Callable[[Task], AsyncEndToEndContainerRunner]


class TaskDispatcher:
    """Owns the tasks that have not ended. Use as an async context manager."""

    def __init__(
        self,
        admission: Admission,
        new_runner: RunnerFactory,
        *,
        output_limits: OutputLimits,
        queue_timeout_seconds: float,
        drain_timeout_seconds: float,
        has_container: Callable[[TaskRequest], bool] = lambda _: False,
        observers: Sequence[TaskObserver] = (),
    ) -> None:
        """``has_container`` tells whether a task's container is likely to be started already."""
        self._admission = admission
        self._new_runner = new_runner
        self._output_limits = output_limits
        self._queue_timeout_seconds = queue_timeout_seconds
        self._drain_timeout_seconds = drain_timeout_seconds
        self._has_container = has_container
        self._observers = observers
        self._runs: dict[Task, asyncio.Task[None]] = {}
        self._held: set[Task] = set()
        self._container_names: set[str] = set()
        self._group = asyncio.TaskGroup()
        self.draining = False

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for run in self._runs.values():
            run.cancel()
        await self._group.__aexit__(None, None, None)

    def submit(
        self,
        request: TaskRequest,
        *,
        owner: str,
        request_id: str,
        trace: TraceContext | None = None,
    ) -> Task:
        """Take a task in; it runs by itself from here on, whoever listens.

        Raises:
            DrainingError: the service is stopping.
            QueueFullError: the queue is full, or longer than its deadline allows.
        """
        if self.draining:
            raise DrainingError(
                "the service is stopping; try another node, or this one again later",
                retry_after_seconds=int(self._drain_timeout_seconds) or 1,
            )
        self._admission.check_room(
            tasks=len(self._held),
            own_tasks=sum(task.owner == owner for task in self._held),
            timeout_seconds=self._queue_timeout_seconds,
            needs_lane=not self._has_container(request),
        )
        task = Task(
            request,
            owner=owner,
            request_id=request_id,
            output_limits=self._output_limits,
            trace=trace,
        )
        for observer in self._observers:
            observer.taken_in(task)
        run = self._group.create_task(self._run(task), name=task.container_name)
        self._held.add(task)
        self._runs[task] = run
        self._container_names.add(task.container_name)
        run.add_done_callback(lambda _: self._ended(task))
        return task

    def cancel(self, task: Task) -> None:
        """Cancel a task; one that has ended is left as it is."""
        run = self._runs.get(task)
        if run is not None:
            run.cancel()

    async def release(self, task: Task) -> None:
        """Give back what an answered task holds; one that still runs is canceled first.

        Until then the task counts against the queue: its output takes memory and disk.
        """
        self.cancel(task)
        await task.ended()
        task.output.close()
        self._held.discard(task)

    def __contains__(self, container_name: str) -> bool:
        """Tell whether ``container_name`` belongs to a task that has not ended."""
        return container_name in self._container_names

    def in_progress(self) -> Mapping[TaskState, int]:
        """Return how many tasks have not ended, by state; may be asked from any thread."""
        return Counter(task.states[-1] for task in tuple(self._runs))

    async def drain(self) -> None:
        """Take no more work, wait for what runs, and cancel what has not ended in time."""
        self.draining = True
        if self._runs:
            _log.info(
                "draining", tasks=len(self._runs), timeout_seconds=self._drain_timeout_seconds
            )
            await asyncio.wait(self._runs.values(), timeout=self._drain_timeout_seconds)
        runs = list(self._runs.values())
        for run in runs:
            run.cancel()
        if runs:
            _log.warning("tasks canceled by the stop", tasks=len(runs))
            await asyncio.wait(runs, timeout=_CANCEL_SECONDS)

    async def _run(self, task: Task) -> None:
        structlog.contextvars.bind_contextvars(task_id=task.id, request_id=task.request_id)
        if task.trace is not None:
            structlog.contextvars.bind_contextvars(trace_id=task.trace.trace_id)
        _log.debug("task taken in", image=str(task.request.image), owner=task.owner)
        try:
            await self._new_runner(task).run()
        except Exception:  # noqa: BLE001 - a bug must not take the other tasks along
            _log.exception("task failed by a bug in ECS")
            task.end(Outcome.ENGINE_ERROR, None, EcsError("a bug in ECS; its log has the cause"))
        finally:
            _log_end(task)

    def _ended(self, task: Task) -> None:
        # A task cancelled before its first step never came to its runner.
        task.end(Outcome.CANCELED, None)
        del self._runs[task]
        self._container_names.discard(task.container_name)
        for observer in self._observers:
            observer.ended(task)


def _log_end(task: Task) -> None:
    if task.result is None:
        return
    _log.info(
        "task ended",
        image=str(task.request.image),
        state=task.result.state,
        outcome=task.result.outcome,
        exit_code=task.result.exit_code,
        start=task.start,
        error=str(task.result.error) if task.result.error else None,
        **task.result.timings,
    )
