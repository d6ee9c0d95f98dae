"""A task's run where the ECS init is PID 1 and starts the command.

The init is told everything before the container starts, ends the command when its time is over,
and says itself how it ended: the answer need not wait for the engine's teardown. Where it could
not say so, the engine's own word counts.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerAttacher,
    AsyncContainerInspector,
    AsyncContainerKiller,
    AsyncContainerStarter,
    AsyncContainerWaiter,
    OutputChunks,
)
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import (
    EcsError,
    EngineConflictError,
    EngineFailedError,
    EngineNotFoundError,
    EngineRefusedError,
    EngineUnreachableError,
)
from ecs.tasks.ending import (
    INIT_FAILED_EXIT_CODE,
    KILL_PATIENCE_SECONDS,
    Ending,
    NotStartedError,
    bounded_wait,
    engines_ending,
    first_error,
)
from ecs.tasks.init_frame import InitFrame
from ecs.tasks.model import Task
from ecs.tasks.states import Outcome, RunnerState
from ecs.tasks.trailer import Trailer, TrailerDecoder
from ecs.tasks.warm_container import WarmContainer

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_BACKSTOP_SECONDS = 5.0
"""How late the init may be with what it does by itself; a stopped one does nothing."""


class InitRun:
    """One run in a container that has the init as its entrypoint."""

    def __init__(
        self,
        task: Task,
        frame: InitFrame,
        api: DockerRemoteApi,
        *,
        enter: Callable[[RunnerState], None],
    ) -> None:
        self._task = task
        self._frame = frame
        self._enter = enter
        self._decoder = TrailerDecoder(frame.token)
        self._attacher = AsyncContainerAttacher(api)
        self._starter = AsyncContainerStarter(api)
        self._killer = AsyncContainerKiller(api)
        self._waiter = AsyncContainerWaiter(api)
        self._inspector = AsyncContainerInspector(api)

    async def run(self, container: str) -> Ending:
        """Start the container and watch it to its end.

        Raises:
            NotStartedError: the engine did not start it, for whatever reason.
            EcsError: the engine failed, or the output could not be kept.
        """
        self._enter(RunnerState.ATTACHING)
        async with (
            self._attacher.output(container) as output,
            self._attacher.input(container) as stdin,
        ):
            stdin.send(self._frame.pieces())
            await self._start(container)
            was_killed = await self._watch(container, output)
        return await self._ending(container, was_killed=was_killed)

    async def hand_over(self, warm: WarmContainer) -> Ending:
        """Give the command to a container that was started ahead, and watch it to its end.

        Raises:
            NotStartedError: the container has ended already: another one may be started.
            EcsError: the engine failed, or the output could not be kept; the command may have run.
        """
        self._enter(RunnerState.STARTING)
        try:
            warm.hand_over(self._frame.pieces(), self._task.container_name)
        except EngineUnreachableError as error:
            raise NotStartedError(str(error)) from error
        self._enter(RunnerState.RUNNING)
        was_killed = await self._watch(warm.container, warm.output())
        ending = await self._ending(warm.container, was_killed=was_killed)
        if ending.outcome is Outcome.EXITED and not self._command_was_seen():
            # It may have ended just before: then this is not the command's exit code.
            raise EngineFailedError("the container ended, and nobody knows whether the command ran")
        return ending

    async def _start(self, container: str) -> None:
        self._enter(RunnerState.STARTING)
        try:
            await self._starter.start(container)
        except (EngineRefusedError, EngineFailedError) as error:
            raise NotStartedError(str(error)) from error
        self._enter(RunnerState.RUNNING)

    async def _watch(self, container: str, output: OutputChunks) -> bool:
        """Collect the output to its end; return whether it took killing the container."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                collected = group.create_task(self._collect(output))
                limit_reached = group.create_task(self._task.output.limit_reached.wait())
                await asyncio.wait(
                    {collected, limit_reached},
                    timeout=self._latest_end_seconds(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                was_killed = not collected.done()
                if was_killed:
                    self._enter(RunnerState.STOPPING)
                    await self._kill(container)
                    await bounded_wait(collected, KILL_PATIENCE_SECONDS, "its output did not end")
                limit_reached.cancel()
                self._enter(RunnerState.COLLECTING)
        return was_killed

    async def _collect(self, output: OutputChunks) -> None:
        async for pieces in output:
            await self._task.output.write(self._decoder.feed(pieces))
            if self._decoder.complete:
                return
        await self._task.output.write(list(self._decoder.close()))

    def _latest_end_seconds(self) -> float:
        """Return within which time from its start even a command that resists has ended."""
        return self._frame.timeout_seconds + self._frame.grace_seconds + _BACKSTOP_SECONDS

    async def _kill(self, container: str) -> None:
        with suppress(EngineConflictError, EngineNotFoundError):
            await self._killer.kill(container, "SIGKILL")

    async def _ending(self, container: str, *, was_killed: bool) -> Ending:
        """Return how the run ended: by the init's word, or else the engine's.

        But where ECS ended it, ECS alone knows why: the output was too much, or the time over and
        the init did nothing.
        """
        trailer = self._decoder.trailer
        ending = _inits_word(trailer, self._frame) if trailer else None
        if ending is None:
            ending = await self._engines_word(container)
        if self._task.output.limit_reached.is_set():
            return Ending(Outcome.OUTPUT_LIMIT, ending.exit_code)
        # A trailer that came all the same knows better.
        if was_killed and trailer is None:
            return Ending(Outcome.TIMED_OUT, ending.exit_code)
        return ending

    async def _engines_word(self, container: str) -> Ending:
        exit_code = await self._waiter.exit_code(container, timeout_seconds=KILL_PATIENCE_SECONDS)
        if exit_code == INIT_FAILED_EXIT_CODE and self._decoder.trailer is None:
            raise EngineFailedError("the container's init could not run the command to its end")
        return await engines_ending(self._inspector, container, exit_code)

    def _command_was_seen(self) -> bool:
        """Tell whether the init said its last word, or anything was written."""
        output = self._task.output
        return self._decoder.trailer is not None or any(map(output.size_bytes, Stream))


def _inits_word(trailer: Trailer, frame: InitFrame) -> Ending | None:
    """Return what the trailer says, ``None`` where a SIGKILL's cause is the engine's to know."""
    if trailer.error:
        return _not_run(trailer.error, frame.argv[0])
    if trailer.timed_out:
        return Ending(Outcome.TIMED_OUT, trailer.exit_code)
    if trailer.was_killed:
        if trailer.oom_kills is None:
            return None
        if trailer.oom_kills:
            return Ending(Outcome.OOM_KILLED, trailer.exit_code)
    return Ending(Outcome.EXITED, trailer.exit_code)


def _not_run(error_number: int, program: str) -> Ending:
    """Return the ending of a command that could not be started, as a shell's exit codes tell it."""
    error = EcsError(f'exec "{program}": {os.strerror(error_number)}')
    if error_number == errno.ENOENT:
        return Ending(Outcome.NOT_FOUND, _NOT_FOUND, error)
    return Ending(Outcome.NOT_EXECUTABLE, _NOT_EXECUTABLE, error)
