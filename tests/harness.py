"""ECS without HTTP, in the test's own process, composed as ``ecs.main`` does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs import main as composition
from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.system import AsyncEngineInfoReader
from ecs.native import init_program
from ecs.settings import Settings
from ecs.store.private_images import PrivateImageStore
from ecs.tasks.admission import Admission
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.tasks.images import Images
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Profile, Resources, Task, TaskRequest, TaskResult
from ecs.tasks.reaper import Reaper
from ecs.tasks.sandboxes import Sandboxes
from ecs.tasks.sweep import OrphanSweep
from ecs.tasks.warm_pool import WarmPool
from tests.images import BUSYBOX
from tests.waiting import eventually

RESULT_TIMEOUT_SECONDS = 60
STATE_FILE = "private-images.sqlite3"
RESOURCES = Resources(memory_bytes=64 * 2**20, cpus=1.0, pids=32)


@dataclass
class Ecs:
    """The parts that tests look at."""

    settings: Settings
    api: DockerRemoteApi
    admission: Admission
    reaper: Reaper
    images: Images
    init: InitVolume
    sandboxes: Sandboxes
    warm_pool: WarmPool
    dispatcher: TaskDispatcher
    sweep: OrphanSweep

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
        warm = [count for state, count in self.warm_pool.counts.items() if state != "idle"]
        return not any((*places, *under_way, *warm))


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
    """Compose it as ``ecs.main`` does; leaving it cancels what still runs.

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
        admission = Admission(
            max_starting=chosen.max_starting_tasks,
            max_running=chosen.max_running_tasks,
            max_queued=chosen.max_queued_tasks,
        )
        reaper = await stack.enter_async_context(Reaper(api, admission))
        if "warm_images" in settings:
            stack.push_async_callback(reaper.drained)
        images = await stack.enter_async_context(
            Images(
                api,
                store,
                pull_timeout_seconds=chosen.pull_timeout_seconds,
                proof_seconds=chosen.private_image_proof_seconds,
            )
        )
        init = InitVolume(api, reaper, init_program)
        if chosen.init == "auto":
            await init.prepare((await AsyncEngineInfoReader(api).read()).machine)
            assert init.mount
        sandboxes = await stack.enter_async_context(
            composition._sandboxes(chosen, chosen.instance, api, admission=admission, reaper=reaper)
        )
        if chosen.sandboxes:
            sandboxes.meet((await AsyncEngineInfoReader(api).read()).machine)
            keeping = asyncio.create_task(sandboxes.run())
            stack.push_async_callback(reaper.drained)
            stack.push_async_callback(sandboxes.close)
            stack.push_async_callback(cancelled, keeping)
        policy = composition._container_policy(chosen, chosen.instance)
        warm_pool = await stack.enter_async_context(
            WarmPool(
                api, admission, reaper, init, policy=policy, rules=composition._warm_rules(chosen)
            )
        )
        warm_pool.meet(RESOURCES, Profile.STANDARD)
        refilling = asyncio.create_task(warm_pool.run())
        stack.push_async_callback(cancelled, refilling)
        dispatcher = await stack.enter_async_context(
            composition._dispatcher(
                chosen,
                policy,
                api,
                images=images,
                admission=admission,
                reaper=reaper,
                init=init,
                sandboxes=sandboxes,
                warm_pool=warm_pool,
            )
        )
        sweep = OrphanSweep(
            api,
            reaper,
            instance=chosen.instance,
            is_live=lambda name: any(
                name in live for live in (dispatcher, sandboxes.containers, warm_pool.containers)
            ),
            interval_seconds=chosen.sweep_interval_seconds,
        )
        yield Ecs(
            chosen,
            api,
            admission,
            reaper,
            images,
            init,
            sandboxes,
            warm_pool,
            dispatcher,
            sweep,
        )
