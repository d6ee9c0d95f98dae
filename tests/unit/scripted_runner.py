"""Stands in for the runner where a test is not about containers: it does what the test says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from ecs.tasks.dispatcher import RunnerFactory
from ecs.tasks.model import Start, Task
from ecs.tasks.states import Outcome

Run = Callable[[Task], Awaitable[None]]


def scripted(run: Run) -> RunnerFactory:
    """What a dispatcher makes its runners with."""
    return cast("RunnerFactory", lambda task: _ScriptedRunner(task, run))


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
