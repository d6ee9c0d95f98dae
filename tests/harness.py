"""ECS without HTTP, in the test's own process, composed as ``ecs.composition`` does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs.composition import Composition, composed
from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.system import AsyncEngineInfoReader
from ecs.settings import Settings
from ecs.store.private_images import PrivateImageStore
from ecs.tasks.model import Profile, Resources, Task, TaskRequest, TaskResult
from tests.images import BUSYBOX
from tests.waiting import eventually

RESULT_TIMEOUT_SECONDS = 60
STATE_FILE = "private-images.sqlite3"
RESOURCES = Resources(memory_bytes=64 * 2**20, cpus=1.0, pids=32)


@dataclass(frozen=True, kw_only=True)
class Ecs(Composition):
    """The parts, and what tests do with them."""

    settings: Settings

    @property
    def instance(self) -> str:
        return self.settings.instance

    @property
    def spool_directory(self) -> Path:
        assert self.settings.spool_directory
        return self.settings.spool_directory

    def submit(
        self,
        *cmd: str,
        image: str = BUSYBOX,
        owner: str = "test",
        credentials: tuple[str, str] | None = None,
        **fields: Any,
    ) -> Task:
        """Submit a task; `fields` are those of a TaskRequest."""
        request = TaskRequest(
            image=ImageReference.parse(image),
            cmd=cmd,
            credentials=RegistryCredentials(*credentials) if credentials else None,
            **{"timeout_seconds": 60.0, "resources": RESOURCES, **fields},
        )
        return self.dispatcher.submit(request, owner=owner, request_id="test")

    async def run(self, *cmd: str, **fields: Any) -> TaskResult:
        """Submit a task and return its result."""
        task = self.submit(*cmd, **fields)
        result = await result_of(task)
        await self.dispatcher.release(task)
        return result

    def is_idle(self) -> bool:
        """Whether every place is back, nothing waits, is pulled, or is to be deleted."""
        admission = self.admission
        places = admission._in_lane, admission._running, admission.queue_length
        under_way = len(self.images._under_way), self.reaper.pending_count
        in_use = [
            count
            for pool in (self.sandboxes, self.warm_pool)
            for state, count in pool.counts.items()
            if state != "idle"
        ]
        return not any((*places, *under_way, *in_use))

    def is_ready(self) -> bool:
        """Whether nothing is under way, and the pools have all that the settings name."""
        sandboxes = self.settings.min_sandboxes if self.settings.sandboxes else 0
        return (
            self.is_idle()
            and self.sandboxes.counts["idle"] >= sandboxes
            and self.warm_pool.counts["idle"]
            >= sum(number for _, number in self.settings.warm_images)
        )


async def result_of(task: Task, timeout: float = RESULT_TIMEOUT_SECONDS) -> TaskResult:
    """The task's result, which must come within the bound."""
    await eventually(lambda: task.result is not None, timeout)
    return await task.ended()


async def cancelled(work: asyncio.Task[None]) -> None:
    """Cancel ``work`` and see it end."""
    work.cancel()
    await asyncio.wait({work})


@asynccontextmanager
async def running_ecs(directory: Path, docker_host: str, **settings: Any) -> AsyncIterator[Ecs]:
    """Compose it as ``ecs.composition`` does; leaving it cancels what still runs.

    The same directory carries what survives a restart. Tasks have no init, no sandboxes and no
    warm containers unless a setting says so.
    """
    spool_directory = directory / "spool"
    spool_directory.mkdir(exist_ok=True)
    chosen = Settings.model_validate(
        {
            "docker_host": docker_host,
            "instance": directory.name,
            "state_directory": directory / "state",
            "spool_directory": spool_directory,
            "max_starting_tasks": 4,
            "max_running_tasks": 16,
            "init": "off",
            "sandboxes": 0,
            **settings,
        }
    )
    async with AsyncExitStack() as stack:
        store = PrivateImageStore(chosen.state_directory / STATE_FILE)
        stack.callback(store.close)
        api = await stack.enter_async_context(
            DockerRemoteApi(
                EngineAddress(chosen.docker_host), timeout_seconds=chosen.engine_timeout_seconds
            )
        )
        parts = await stack.enter_async_context(composed(chosen, chosen.instance, api, store))
        await _meet_engine(parts, chosen, stack)
        yield Ecs(settings=chosen, **vars(parts))


async def _meet_engine(parts: Composition, settings: Settings, stack: AsyncExitStack) -> None:
    """Begin with what the settings turn on, and see its end before the parts are left."""
    if settings.warm_images or settings.warm_memory_bytes or settings.sandboxes:
        stack.push_async_callback(parts.reaper.drained)
    machine = ""
    if settings.init == "auto" or settings.sandboxes:
        machine = (await AsyncEngineInfoReader(parts.api).read()).machine
    if settings.init == "auto":
        await parts.init.prepare(machine)
        assert parts.init.mount
    if settings.sandboxes:
        parts.sandboxes.meet(machine)
        stack.push_async_callback(parts.sandboxes.close)
        stack.push_async_callback(cancelled, asyncio.create_task(parts.sandboxes.run()))
    parts.warm_pool.meet(RESOURCES, Profile.STANDARD)
    stack.push_async_callback(parts.warm_pool.close)
    stack.push_async_callback(cancelled, asyncio.create_task(parts.warm_pool.run()))
