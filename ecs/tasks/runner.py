"""The way of one task, from the queue to the last byte of output.

Whatever happens, the container's name goes to the reaper at the end. What happens in the container
is ``init_run``'s and ``direct_run``'s to know.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerCreator, AsyncContainerDeleter
from ecs.docker_remote_api.images import LocalImage
from ecs.errors import (
    AdmissionError,
    EcsError,
    EngineNotFoundError,
    EngineRefusedError,
    ImageAccessDeniedError,
    ImageError,
    ImageNotFoundError,
)
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import ContainerPolicy, command, container_body
from ecs.tasks.direct_run import DirectRun
from ecs.tasks.ending import Ending
from ecs.tasks.images import Images
from ecs.tasks.init_frame import InitFrame, new_token
from ecs.tasks.init_mount import InitMount
from ecs.tasks.init_run import InitNotStartedError, InitRun
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import PullPolicy, Task
from ecs.tasks.reaper import Reaper
from ecs.tasks.states import TASK_STATES, Outcome, RunnerState

_log = structlog.get_logger()
T = TypeVar("T")


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
        init: InitVolume,
        queue_timeout_seconds: float,
    ) -> None:
        self._task = task
        self._api = api
        self._images = images
        self._admission = admission
        self._reaper = reaper
        self._policy = policy
        self._init = init
        self._queue_timeout_seconds = queue_timeout_seconds
        self._creator = AsyncContainerCreator(api)
        self._deleter = AsyncContainerDeleter(api)
        self._holds_place = False
        self._holds_lane = False
        self._may_have_container = False

    async def run(self) -> None:
        """Run the task to its end; ``task.result`` is set when this returns or is cancelled."""
        try:
            self._end(await self._run())
        except asyncio.CancelledError:
            self._end(Ending(Outcome.CANCELED, None))
            raise
        except (AdmissionError, ImageError) as error:
            self._end(Ending(Outcome(error.code), None, error))
        except EcsError as error:
            self._end(Ending(Outcome.ENGINE_ERROR, None, error))
        finally:
            self._leave_lane()
            if self._holds_place:
                self._admission.end()
            if self._may_have_container:
                self._reaper.remove(self._task.container_name)

    def _enter(self, state: RunnerState) -> None:
        self._task.machine.enter(state)
        if state is RunnerState.RUNNING:
            self._leave_lane()
        if state in TASK_STATES:
            self._task.enter(TASK_STATES[state])

    def _end(self, ending: Ending) -> None:
        self._enter(RunnerState.ENDED)
        self._task.end(ending.outcome, ending.exit_code, ending.error)

    async def _run(self) -> Ending:
        await self._admission.begin(self._task.owner, self._queue_timeout_seconds)
        self._holds_place = self._holds_lane = True
        image = await self._image()
        mount = self._init.mount
        if mount is not None:
            try:
                return await self._run_with_init(image, mount)
            except InitNotStartedError as error:
                # An image may have a file where the mount goes, or the volume be gone. Or it is
                # the task's own fault: then the engine says so again.
                _log.info("starting once more, without the init", error=str(error))
                self._init.doubt()
                with suppress(EngineNotFoundError):
                    await self._deleter.delete(self._task.container_name)
        container = await self._create(image, None)
        run = DirectRun(
            self._task,
            self._api,
            stop_grace_seconds=self._policy.stop_grace_seconds,
            enter=self._enter,
        )
        return await run.run(container)

    async def _run_with_init(self, image: LocalImage, mount: InitMount) -> Ending:
        container = await self._create(image, mount)
        request = self._task.request
        frame = InitFrame(
            token=new_token(),
            argv=command(request, image),
            environment={},  # the engine lays the request's over the image's, in its own order
            timeout_seconds=request.timeout_seconds,
            grace_seconds=self._policy.stop_grace_seconds,
            stdin=request.stdin,
        )
        return await InitRun(self._task, frame, self._api, enter=self._enter).run(container)

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

    async def _create(self, image: LocalImage, mount: InitMount | None) -> str:
        self._enter(RunnerState.CREATING)
        body = container_body(self._task, image, self._policy, mount)
        had_container, self._may_have_container = self._may_have_container, True
        try:
            # Seen to its end even when cancelled: a deletion must not overtake the creation.
            return await _finish_first(self._creator.create(self._task.container_name, body))
        except EngineRefusedError:
            self._may_have_container = had_container
            raise


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
