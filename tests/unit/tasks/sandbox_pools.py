"""A pool of sandboxes that fills itself, on an engine that does as it is told."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.tasks import pooled_containers
from ecs.tasks import sandboxes as sandboxes_module
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper
from ecs.tasks.sandbox import Sandbox
from ecs.tasks.sandboxes import Sandboxes
from tests.fake_engine import FakeEngine, fake_engine
from tests.unit import builders
from tests.waiting import eventually

NO_TASK = "0" * 64
"""A container that the engine does not know: it was deleted."""


@dataclasses.dataclass
class Pool:
    """A pool that fills itself, and what it works with."""

    sandboxes: Sandboxes
    engine: FakeEngine
    admission: Admission
    reaper: Reaper

    async def idle(self, number: int) -> None:
        """Return when so many are idle, and no other is on its way."""
        expected = {"starting": 0, "idle": number, "cleaning": 0}
        await eventually(lambda: expected.items() <= self.sandboxes.counts.items())

    def take(self, owner: str = "mine") -> Sandbox:
        sandbox = self.sandboxes.take(owner)
        assert sandbox
        return sandbox

    async def serve(self, owner: str = "mine", container: str | None = NO_TASK) -> Sandbox:
        """Take a sandbox for a task and give it back; return when the pool is at rest."""
        sandbox = self.take(owner)
        self.sandboxes.release(sandbox, container)
        await eventually(lambda: not self.sandboxes.counts["cleaning"])
        return sandbox


@contextmanager
def short_pauses() -> Iterator[None]:
    """Have the pool look, and try again, after a hundredth of a second."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pooled_containers, "_LOOK_ROUND_SECONDS", 0.01)
        patched.setattr(pooled_containers, "_FIRST_PAUSE_SECONDS", 0.01)
        patched.setattr(sandboxes_module, "_SOCKETS_PAUSE_SECONDS", 0.01)
        yield


@asynccontextmanager
async def pool(
    *,
    program: bytes | None = b"program",
    network: str = "bridge",
    machine: str = "x86_64",
    **rules: Any,
) -> AsyncIterator[Pool]:
    with short_pauses():
        async with (
            fake_engine() as engine,
            DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=5) as api,
        ):
            admission = Admission(max_starting=4, max_running=10, max_queued=10)
            async with (
                Reaper(api, admission) as reaper,
                Sandboxes(
                    api,
                    admission,
                    reaper,
                    policy=dataclasses.replace(builders.sandbox_policy(), network=network),
                    rules=dataclasses.replace(builders.POOL_RULES, **rules),
                    program_for=lambda known: program if known == "x86_64" else None,
                ) as sandboxes,
            ):
                sandboxes.meet(machine)
                keeping = asyncio.create_task(sandboxes.run())
                yield Pool(sandboxes, engine, admission, reaper)
                await sandboxes.close()
                await reaper.drained()
                assert not engine.containers
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping
                assert sum(sandboxes.counts.values()) == 0
