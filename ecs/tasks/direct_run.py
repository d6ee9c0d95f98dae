"""A task's run where the engine starts the command itself, as plain ``docker run`` does.

The call order loses nothing: attach, wait (``next-exit``), start, read the attach to its end and
await the wait.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerAttacher,
    AsyncContainerInspector,
    AsyncContainerKiller,
    AsyncContainerStarter,
    AsyncContainerWaiter,
    ContainerExit,
    OutputChunks,
)
from ecs.errors import (
    EngineConflictError,
    EngineFailedError,
    EngineNotFoundError,
    EngineRefusedError,
)
from ecs.tasks.ending import (
    KILL_PATIENCE_SECONDS,
    Ending,
    NotStartedError,
    bounded_wait,
    engines_ending,
    first_error,
)
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, RunnerState

_NOT_STARTED_OUTCOMES = {126: Outcome.NOT_EXECUTABLE, 127: Outcome.NOT_FOUND}
_COLLECT_PATIENCE_SECONDS = 30.0
"""How long after the exit the last output may take."""


class DirectRun:
    """One run in a container that was created for it."""

    def __init__(
        self,
        task: Task,
        api: DockerRemoteApi,
        *,
        stop_grace_seconds: float,
        in_sandbox: bool,
        enter: Callable[[RunnerState], None],
    ) -> None:
        self._task = task
        self._stop_grace_seconds = stop_grace_seconds
        self._in_sandbox = in_sandbox
        self._enter = enter
        self._attacher = AsyncContainerAttacher(api)
        self._waiter = AsyncContainerWaiter(api)
        self._starter = AsyncContainerStarter(api)
        self._killer = AsyncContainerKiller(api)
        self._inspector = AsyncContainerInspector(api)

    async def run(self, container: str) -> Ending:
        """Start the container and watch it to its end.

        Raises:
            NotStartedError: the engine did not start it in its sandbox, for whatever reason.
            EcsError: the engine failed, or the output could not be kept.
        """
        self._enter(RunnerState.ATTACHING)
        async with (
            self._attacher.output(container) as output,
            self._stdin(container),
            self._waiter.next_exit(container) as container_exit,
        ):
            self._enter(RunnerState.STARTING)
            failure = await self._start(container)
            if failure is not None:
                return failure
            self._enter(RunnerState.RUNNING)
            outcome, exit_code = await self._watch(container, output, container_exit)
        if outcome is not Outcome.EXITED:
            return Ending(outcome, exit_code)
        return await engines_ending(self._inspector, container, exit_code)

    @asynccontextmanager
    async def _stdin(self, container: str) -> AsyncIterator[None]:
        data = self._task.request.stdin
        if data is None:
            yield
            return
        async with self._attacher.input(container) as stdin:
            stdin.send_all(data)
            yield

    async def _start(self, container: str) -> Ending | None:
        try:
            await self._starter.start(container)
        except (EngineRefusedError, EngineFailedError) as error:
            if self._in_sandbox:
                raise NotStartedError(str(error)) from error
            state = await self._inspector.state(container)
            outcome = _NOT_STARTED_OUTCOMES.get(state.exit_code)
            if outcome is None:
                raise EngineFailedError(str(error)) from error
            return Ending(outcome, state.exit_code, error)
        return None

    async def _watch(
        self, container: str, output: OutputChunks, container_exit: ContainerExit
    ) -> tuple[Outcome, int]:
        """Return why it ended, as far as ECS knows, and the exit code."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                collected = group.create_task(self._collect(output))
                exited = group.create_task(container_exit.code())
                limit_reached = group.create_task(self._task.output.limit_reached.wait())
                outcome = await self._until_exit(container, exited, limit_reached)
                limit_reached.cancel()
                self._enter(RunnerState.COLLECTING)
                await bounded_wait(collected, _COLLECT_PATIENCE_SECONDS, "its output did not end")
        if self._task.output.limit_reached.is_set():
            outcome = Outcome.OUTPUT_LIMIT
        return outcome, exited.result()

    async def _collect(self, output: OutputChunks) -> None:
        async for pieces in output:
            await self._task.output.write(pieces)

    async def _until_exit(
        self, container: str, exited: asyncio.Task[int], limit_reached: asyncio.Task[bool]
    ) -> Outcome:
        await asyncio.wait(
            {exited, limit_reached},
            timeout=self._task.request.timeout_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if exited.done():
            return Outcome.EXITED
        self._enter(RunnerState.STOPPING)
        if limit_reached.done():
            await self._kill(container, exited)
            return Outcome.OUTPUT_LIMIT
        if not await self._signal(container, "SIGTERM"):
            await bounded_wait(exited, KILL_PATIENCE_SECONDS, "it did not end")
            return Outcome.EXITED  # by itself, in the very moment of its deadline
        await asyncio.wait({exited}, timeout=self._stop_grace_seconds)
        if not exited.done():
            await self._kill(container, exited)
        return Outcome.TIMED_OUT

    async def _kill(self, container: str, exited: asyncio.Task[int]) -> None:
        await self._signal(container, "SIGKILL")
        await bounded_wait(exited, KILL_PATIENCE_SECONDS, "it did not end after SIGKILL")

    async def _signal(self, container: str, signal: str) -> bool:
        """Return whether there was a process to signal."""
        try:
            await self._killer.kill(container, signal)
        except (EngineConflictError, EngineNotFoundError):
            return False
        return True
