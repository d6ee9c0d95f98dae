"""Stands in for the runner where a test is not about containers: it does what the test says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from ecs.tasks.admission import Admission
from ecs.tasks.dispatcher import RunnerFactory, TaskDispatcher
from ecs.tasks.model import Start, Task
from ecs.tasks.states import Outcome
from tests.unit import builders

LONG_SECONDS = 60.0
Run = Callable[[Task], Awaitable[None]]


def dispatcher_of(
    run: Run,
    admission: Admission | None = None,
    *,
    running: int = 10,
    queued: int = 0,
    **fields: Any,
) -> TaskDispatcher:
    """A dispatcher whose tasks are run so, and at most so many run and wait."""
    defaults: dict[str, Any] = {
        "output_limits": builders.OUTPUT_LIMITS,
        "queue_timeout_seconds": LONG_SECONDS,
        "drain_timeout_seconds": LONG_SECONDS,
    }
    new_runner = cast("RunnerFactory", lambda task: _ScriptedRunner(task, run))
    admission = admission or Admission(max_starting=1, max_running=running, max_queued=queued)
    return TaskDispatcher(admission, new_runner, **defaults | fields)


class _ScriptedRunner:
    def __init__(self, task: Task, run: Run) -> None:
        self._task = task
        self._run = run

    async def run(self) -> None:
        self._task.start = Start.COLD
        try:
            await self._run(self._task)
        except asyncio.CancelledError:
            self._task.end(Outcome.CANCELED, None)
            raise


async def succeed(task: Task) -> None:
    """End at once, with exit code 0."""
    task.end(Outcome.EXITED, 0)


async def go_on_for_ever(_: Task) -> None:
    """Run until cancelled."""
    await asyncio.Event().wait()
