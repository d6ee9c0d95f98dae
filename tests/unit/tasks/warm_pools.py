"""A pool of warm containers that fills itself, on an engine that does as it is told."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.admission import Admission
from ecs.tasks.init_mount import InitMount
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Profile, TaskRequest
from ecs.tasks.reaper import Reaper
from ecs.tasks.warm_container import WarmContainer
from ecs.tasks.warm_pool import WarmPool
from ecs.tasks.warm_targets import WarmRules
from tests.fake_engine import BUSYBOX, FakeEngine, fake_engine, image_id
from tests.unit import builders
from tests.waiting import eventually

REFERENCE = ImageReference.parse(BUSYBOX)
IMAGE = LocalImage(image_id(BUSYBOX), frozenset())
RULES = WarmRules({REFERENCE: 2}, memory_bytes=0, max_age_seconds=600.0, max_run_seconds=60.0)
INIT = InitMount("0123456789ab")


@dataclasses.dataclass
class Pool:
    """A pool that fills itself, and what it works with."""

    warm: WarmPool
    init: InitVolume
    engine: FakeEngine
    admission: Admission
    reaper: Reaper
    keeping: asyncio.Task[None]

    async def close(self) -> None:
        """Close it as the service does, and see the end of it."""
        self.keeping.cancel()
        await self.warm.close()
        await self.reaper.drained()

    async def idle(self, number: int) -> None:
        """Return when so many are idle, and no other is on its way in or out."""
        expected = {"idle": number, "starting": 0, "leaving": 0}
        await eventually(lambda: expected.items() <= self.warm.counts.items())

    def take(
        self,
        request: TaskRequest | None = None,
        image: LocalImage = IMAGE,
        reserved: WarmContainer | None = None,
    ) -> WarmContainer | None:
        return self.warm.take(request or builders.task_request(), image, reserved)

    def names(self) -> set[str]:
        return set(self.engine.containers)


@asynccontextmanager
async def pool(*, has_init: bool = True, **rules: Any) -> AsyncIterator[Pool]:
    async with (
        fake_engine() as engine,
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=5) as api,
    ):
        admission = Admission(max_starting=4, max_running=10, max_queued=10)
        async with Reaper(api, admission) as reaper:
            init = InitVolume(api, reaper, lambda _: None)
            init.mount = INIT if has_init else None
            async with WarmPool(
                api,
                admission,
                reaper,
                init,
                policy=builders.container_policy(),
                rules=dataclasses.replace(RULES, **rules),
            ) as warm:
                warm.meet(builders.RESOURCES, Profile.STANDARD)
                keeping = asyncio.create_task(warm.run())
                yield Pool(warm, init, engine, admission, reaper, keeping)
                keeping.cancel()
                await asyncio.wait({keeping})
