"""The way of one task, from the queue to the last byte of output.

Whatever happens, the container's name goes to the reaper at the end. What happens in the container
is ``init_run``'s and ``direct_run``'s to know.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerCreator,
    AsyncContainerDeleter,
    AsyncContainerInspector,
)
from ecs.docker_remote_api.images import LocalImage
from ecs.errors import (
    AdmissionError,
    EcsError,
    EngineFailedError,
    EngineNotFoundError,
    EngineRefusedError,
    ImageAccessDeniedError,
    ImageError,
    ImageNotFoundError,
)
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import (
    ContainerPolicy,
    command,
    container_body,
    environment,
    has_task_network,
)
from ecs.tasks.direct_run import DirectRun
from ecs.tasks.ending import Ending, NotStartedError
from ecs.tasks.finish_first import finish_first
from ecs.tasks.images import Images
from ecs.tasks.init_frame import InitFrame, new_token
from ecs.tasks.init_mount import InitMount
from ecs.tasks.init_run import InitRun
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import PullPolicy, Start, Task
from ecs.tasks.place import Place
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import EngineRuntime
from ecs.tasks.sandbox import Sandbox
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.states import TASK_STATES, Outcome, RunnerState
from ecs.tasks.warm_container import WarmContainer
from ecs.tasks.warm_pool import WarmPool

_log = structlog.get_logger()

_NEVER_STARTED = "created"
"""The status of a container whose start failed before its process ran."""


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
        sandboxes: Sandboxes,
        warm_pool: WarmPool,
        queue_timeout_seconds: float,
    ) -> None:
        self._task = task
        self._api = api
        self._images = images
        self._place = Place(admission)
        self._reaper = reaper
        self._policy = policy
        self._init = init
        self._sandboxes = sandboxes
        self._warm_pool = warm_pool
        self._queue_timeout_seconds = queue_timeout_seconds
        self._creator = AsyncContainerCreator(api)
        self._deleter = AsyncContainerDeleter(api)
        self._inspector = AsyncContainerInspector(api)
        self._warm: WarmContainer | None = None
        self._sandbox: Sandbox | None = None
        self._may_have_container = False
        """Whether there may be one of the task's name."""
        self._container: str | None = None
        """The id of the one created last."""
        self._settled_container: str | None = None
        """The id of one that was started, or never will be."""

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
            self._place.end()
            if self._may_have_container:
                self._reaper.remove(self._task.container_name)
            self._release_warm()
            self._release_sandbox()

    def _enter(self, state: RunnerState) -> None:
        self._task.machine.enter(state)
        if state is RunnerState.RUNNING:
            self._settled_container = self._container
            self._place.leave_lane()
        if state in TASK_STATES:
            self._task.enter(TASK_STATES[state])

    def _end(self, ending: Ending) -> None:
        self._enter(RunnerState.ENDED)
        self._task.end(ending.outcome, ending.exit_code, ending.error)

    async def _run(self) -> Ending:
        """Run the task by the fastest way there is; where nothing started, by the next."""
        request = self._task.request
        self._warm = self._warm_pool.reserve(request)
        await self._place.begin(
            self._task.owner, self._queue_timeout_seconds, needs_lane=self._warm is None
        )
        image = await self._image()
        # Only now is it known what the image is, and that the caller may run it.
        self._warm = self._warm_pool.take(request, image, self._warm)
        ending = await self._run_warm(image)
        if ending is not None:
            return ending
        await self._place.enter_lane()
        mount = self._init.mount
        return (
            await self._run_in_sandbox(image, mount)
            or await self._run_with_init(image, mount)
            or await self._run_container(image)
        )

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
        self._place.leave_lane()
        self._release_warm()
        await self._images.pull(request.image, request.credentials, self._task.add_progress)
        await self._place.enter_lane()
        self._enter(RunnerState.RESOLVING)
        return await self._images.resolve(request.image, request.credentials, verify=True)

    async def _run_warm(self, image: LocalImage) -> Ending | None:
        """Hand the task to its warm container; ``None`` if there is none, or it has ended."""
        if self._warm is None:
            return None
        self._place.leave_lane()
        self._task.start = Start.WARM
        run = self._init_run(image, environment(self._task))
        try:
            return await run.hand_over(self._warm)
        except NotStartedError as error:
            _log.info("starting without the warm container", error=str(error))
            self._release_warm()
            return None

    def _release_warm(self) -> None:
        if self._warm is not None:
            self._warm_pool.release(self._warm)
            self._warm = None

    async def _run_in_sandbox(self, image: LocalImage, mount: InitMount | None) -> Ending | None:
        """Run a container that joins a sandbox; ``None`` if there is none, or nothing started."""
        sandbox = self._take_sandbox()
        if sandbox is None:
            return None
        try:
            return await self._run_container(image, mount=mount, sandbox=sandbox)
        except NotStartedError as error:
            # The sandbox may have died. Or it is the task's own fault, or the init's.
            await self._undo(error, "the sandbox")
            self._release_sandbox()
            return None

    def _take_sandbox(self) -> Sandbox | None:
        if has_task_network(self._task.request) and self._policy.runtime.has_kernels_network:
            self._sandbox = self._sandboxes.take(self._task.owner)
        return self._sandbox

    def _release_sandbox(self) -> None:
        if self._sandbox is not None:
            self._sandboxes.release(self._sandbox, self._settled_container)
            self._sandbox = None

    async def _run_with_init(self, image: LocalImage, mount: InitMount | None) -> Ending | None:
        """Run a container under the init; ``None`` if there is no init, or nothing started."""
        if mount is None:
            return None
        try:
            return await self._run_container(image, mount=mount)
        except NotStartedError as error:
            # An image may have a file where the mount goes, or the volume or the runtime be gone.
            # Or it is the task's own fault: then the engine says so again.
            await self._undo(error, "the init")
            self._init.doubt()
            self._policy.runtime.doubt()
            return None

    async def _undo(self, error: NotStartedError, cause: str) -> None:
        """Make room for another start, where this one is known to have run nothing."""
        name = self._task.container_name
        with suppress(EngineNotFoundError):
            if (await self._inspector.state(name)).status != _NEVER_STARTED:
                raise EngineFailedError(f"the start failed, and the command may have run: {error}")
            await self._deleter.delete(name)
        _log.info(f"starting once more, without {cause}", error=str(error))
        self._settled_container = self._container

    async def _run_container(
        self,
        image: LocalImage,
        *,
        mount: InitMount | None = None,
        sandbox: Sandbox | None = None,
    ) -> Ending:
        """Create a container and run it to its end; without init and sandbox it is the last way.

        Raises:
            NotStartedError: it did not start, but may by another way.
        """
        self._task.start = Start.COLD if sandbox is None else Start.SANDBOXED
        container = self._container = await self._create(image, mount, sandbox)
        if mount is not None:
            return await self._init_run(image, {}).run(container)
        direct_run = DirectRun(
            self._task,
            self._api,
            stop_grace_seconds=self._policy.stop_grace_seconds,
            in_sandbox=sandbox is not None,
            enter=self._enter,
        )
        return await direct_run.run(container)

    def _init_run(self, image: LocalImage, changes: Mapping[str, str]) -> InitRun:
        """Return a run whose init makes ``changes`` to the container's environment.

        There are none in a container of the task's own, which was created with its environment.
        """
        request = self._task.request
        frame = InitFrame(
            token=new_token(),
            argv=command(request, image),
            environment=changes,
            timeout_seconds=request.timeout_seconds,
            grace_seconds=self._policy.stop_grace_seconds,
            stdin=request.stdin,
        )
        return InitRun(self._task, frame, self._api, enter=self._enter)

    async def _create(
        self, image: LocalImage, mount: InitMount | None, sandbox: Sandbox | None
    ) -> str:
        if self._task.machine.state is not RunnerState.CREATING:  # as it is after a refusal
            self._enter(RunnerState.CREATING)
        is_last_way = mount is None and sandbox is None
        policy = self._policy
        if is_last_way and policy.runtime.may_be_left:
            policy = replace(policy, runtime=EngineRuntime())
        joined = sandbox.container if sandbox else None
        body = container_body(self._task, image, policy, mount, sandbox=joined)
        try:
            return await self._create_from(body)
        except EngineRefusedError as error:
            if is_last_way:
                raise
            # What is ECS's own in it may be gone: a sandbox, a file, a runtime.
            raise NotStartedError(str(error)) from error

    async def _create_from(self, body: Mapping[str, Any]) -> str:
        had_container, self._may_have_container = self._may_have_container, True
        try:
            # Seen to its end even when cancelled: a deletion must not overtake the creation.
            return await finish_first(self._creator.create(self._task.container_name, body))
        except EngineRefusedError:
            self._may_have_container = had_container
            raise
