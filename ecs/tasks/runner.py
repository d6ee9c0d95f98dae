"""The way of one task through its container, from the queue to the last byte of output.

The call order loses nothing: create, attach, wait (``next-exit``), start, read the attach to its
end and await the wait. Whatever happens, the container's name goes to the reaper at the end.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerAttacher,
    AsyncContainerCreator,
    AsyncContainerInspector,
    AsyncContainerKiller,
    AsyncContainerStarter,
    AsyncContainerWaiter,
    ContainerExit,
    OutputChunks,
)
from ecs.docker_remote_api.images import LocalImage
from ecs.errors import (
    AdmissionError,
    EcsError,
    EngineConflictError,
    EngineFailedError,
    EngineNotFoundError,
    EngineRefusedError,
    EngineUnreachableError,
    ImageAccessDeniedError,
    ImageError,
    ImageNotFoundError,
)
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import ContainerPolicy, container_body
from ecs.tasks.images import Images
from ecs.tasks.model import PullPolicy, Task
from ecs.tasks.reaper import Reaper
from ecs.tasks.states import TASK_STATES, Outcome, RunnerState

_log = structlog.get_logger()
T = TypeVar("T")

_SIGKILL_EXIT_CODE = 128 + 9
_NOT_STARTED_OUTCOMES = {126: Outcome.NOT_EXECUTABLE, 127: Outcome.NOT_FOUND}
_KILL_PATIENCE_SECONDS = 30.0
"""How long a killed container may take to end: the engine tears its network down meanwhile."""
_COLLECT_PATIENCE_SECONDS = 30.0
"""How long after the exit the last output may take."""


@dataclass(frozen=True)
class _Ending:
    outcome: Outcome
    exit_code: int | None
    error: EcsError | None = None


class AsyncEndToEndContainerRunner:
    """The state machine of one task; make one for each. See ``ecs.tasks.states`` for its table."""

    def __init__(
        self,
        task: Task,
        api: DockerRemoteApi,
        *,
        images: Images,
        admission: Admission,
        reaper: Reaper,
        policy: ContainerPolicy,
        queue_timeout_seconds: float,
    ) -> None:
        self._task = task
        self._images = images
        self._admission = admission
        self._reaper = reaper
        self._policy = policy
        self._queue_timeout_seconds = queue_timeout_seconds
        self._creator = AsyncContainerCreator(api)
        self._attacher = AsyncContainerAttacher(api)
        self._waiter = AsyncContainerWaiter(api)
        self._starter = AsyncContainerStarter(api)
        self._killer = AsyncContainerKiller(api)
        self._inspector = AsyncContainerInspector(api)
        self._holds_place = False
        self._holds_lane = False
        self._may_have_container = False

    async def run(self) -> None:
        """Run the task to its end; ``task.result`` is set when this returns or is cancelled."""
        try:
            self._end(await self._run())
        except asyncio.CancelledError:
            self._end(_Ending(Outcome.CANCELED, None))
            raise
        except (AdmissionError, ImageError) as error:
            self._end(_Ending(Outcome(error.code), None, error))
        except EcsError as error:
            self._end(_Ending(Outcome.ENGINE_ERROR, None, error))
        finally:
            self._leave_lane()
            if self._holds_place:
                self._admission.end()
            if self._may_have_container:
                self._reaper.remove(self._task.container_name)

    def _enter(self, state: RunnerState) -> None:
        self._task.machine.enter(state)
        if state in TASK_STATES:
            self._task.enter(TASK_STATES[state])

    def _end(self, ending: _Ending) -> None:
        self._enter(RunnerState.ENDED)
        self._task.end(ending.outcome, ending.exit_code, ending.error)

    async def _run(self) -> _Ending:
        await self._admission.begin(self._task.owner, self._queue_timeout_seconds)
        self._holds_place = self._holds_lane = True
        image = await self._image()
        self._enter(RunnerState.CREATING)
        container = await self._create(image)
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
            self._leave_lane()
            self._enter(RunnerState.RUNNING)
            ending = await self._watch(container, output, container_exit)
        if ending.outcome is Outcome.EXITED and ending.exit_code == _SIGKILL_EXIT_CODE:
            state = await self._inspector.state(container)
            if state.oom_killed:
                return _Ending(Outcome.OOM_KILLED, ending.exit_code)
        return ending

    def _leave_lane(self) -> None:
        if self._holds_lane:
            self._holds_lane = False
            self._admission.leave_lane()

    async def _image(self) -> LocalImage:
        request = self._task.request
        self._enter(RunnerState.RESOLVING)
        if request.pull is PullPolicy.NEVER:
            return await self._images.resolve(request.image, request.credentials, verify=False)
        if request.pull is PullPolicy.MISSING:
            with suppress(ImageNotFoundError, ImageAccessDeniedError):
                return await self._images.resolve(request.image, request.credentials, verify=True)
        self._enter(RunnerState.PULLING)
        # A slow registry must not keep others from starting.
        self._leave_lane()
        await self._images.pull(request.image, request.credentials, self._task.add_progress)
        await self._admission.enter_lane()
        self._holds_lane = True
        self._enter(RunnerState.RESOLVING)
        return await self._images.resolve(request.image, request.credentials, verify=True)

    async def _create(self, image: LocalImage) -> str:
        body = container_body(self._task, image, self._policy)
        self._may_have_container = True
        try:
            # Seen to its end even when cancelled: a deletion must not overtake the creation.
            return await _finish_first(self._creator.create(self._task.container_name, body))
        except EngineRefusedError:
            self._may_have_container = False
            raise

    @asynccontextmanager
    async def _stdin(self, container: str) -> AsyncIterator[None]:
        data = self._task.request.stdin
        if data is None:
            yield
            return
        async with self._attacher.input(container) as stdin:
            stdin.send_all(data)
            yield

    async def _start(self, container: str) -> _Ending | None:
        try:
            await self._starter.start(container)
        except (EngineRefusedError, EngineFailedError) as error:
            state = await self._inspector.state(container)
            outcome = _NOT_STARTED_OUTCOMES.get(state.exit_code)
            if outcome is None:
                raise EngineFailedError(str(error)) from error
            return _Ending(outcome, state.exit_code, error)
        return None

    async def _watch(
        self, container: str, output: OutputChunks, container_exit: ContainerExit
    ) -> _Ending:
        try:
            async with asyncio.TaskGroup() as group:
                collected = group.create_task(self._collect(output))
                exited = group.create_task(container_exit.code())
                limit_reached = group.create_task(self._task.output.limit_reached.wait())
                outcome = await self._until_exit(container, exited, limit_reached)
                limit_reached.cancel()
                self._enter(RunnerState.COLLECTING)
                await _bounded_wait(collected, _COLLECT_PATIENCE_SECONDS, "its output did not end")
        except* EcsError as errors:
            failure = errors.exceptions[0]
            raise failure from failure.__cause__
        if self._task.output.limit_reached.is_set():
            outcome = Outcome.OUTPUT_LIMIT
        return _Ending(outcome, exited.result())

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
            await _bounded_wait(exited, _KILL_PATIENCE_SECONDS, "it did not end")
            return Outcome.EXITED  # by itself, in the very moment of its deadline
        await asyncio.wait({exited}, timeout=self._policy.stop_grace_seconds)
        if not exited.done():
            await self._kill(container, exited)
        return Outcome.TIMED_OUT

    async def _kill(self, container: str, exited: asyncio.Task[int]) -> None:
        await self._signal(container, "SIGKILL")
        await _bounded_wait(exited, _KILL_PATIENCE_SECONDS, "it did not end after SIGKILL")

    async def _signal(self, container: str, signal: str) -> bool:
        """Return whether there was a process to signal."""
        try:
            await self._killer.kill(container, signal)
        except (EngineConflictError, EngineNotFoundError):
            return False
        return True


async def _bounded_wait(work: asyncio.Task[T], seconds: float, otherwise: str) -> None:
    done, _ = await asyncio.wait({work}, timeout=seconds)
    if not done:
        raise EngineUnreachableError(
            f"the engine lost track of the container: {otherwise} within {seconds:g} seconds"
        )


async def _finish_first(coroutine: Coroutine[None, None, T]) -> T:
    """Await ``coroutine`` to its end, and only then let a cancellation through."""
    work = asyncio.create_task(coroutine)
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # seen: the reaper copes with either end
        raise cancellation
    return work.result()
