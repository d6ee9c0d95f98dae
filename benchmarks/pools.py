"""Services of their own that hold something ready: warm containers, or network sandboxes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from benchmarks.bench import DEFAULT_NETWORK, Bench
from benchmarks.raw import JsonObject
from benchmarks.service import Service, decoded, running_service
from benchmarks.ways import STDOUT, ecs_request

READY = 20
"""Containers, or sandboxes, that are ready when a measurement begins."""
MOST_SANDBOXES = 24
"""Those that tasks hold among them; the service's own default."""

WARM, SANDBOXED = "warm", "sandboxed"
"""What an answer's ``start`` says of a task that found one."""

FULL_LIMIT_SECONDS = 60.0
FULL_POLL_SECONDS = 0.05


class Pool:
    """A service with a pool, and the task that the pool is for."""

    def __init__(self, service: Service, image: str, name_prefix: str, start: str) -> None:
        """Count the containers whose names begin so; a task that finds one says ``start``."""
        self.service = service
        self.start = start
        self.request: JsonObject = ecs_request(image, DEFAULT_NETWORK)
        self._name_prefix = name_prefix

    async def full(self) -> None:
        """Wait until the pool is full and nothing moves."""
        async with asyncio.timeout(FULL_LIMIT_SECONDS):
            while True:
                await self.service.settle()
                containers = await self.service.containers()
                names = [name for container in containers for name in container["Names"]]
                if sum(name.startswith(self._name_prefix) for name in names) >= READY:
                    return
                await asyncio.sleep(FULL_POLL_SECONDS)

    async def run(self) -> str:
        """Run the task, check its answer, and return how it started."""
        answer = await self.service.post(self.request)
        decoded(answer).must_be(STDOUT)
        return str(answer["start"])


@asynccontextmanager
async def warm_pool(bench: Bench, settings: Mapping[str, str] | None = None) -> AsyncIterator[Pool]:
    """Start a service that keeps READY containers of the image."""
    own = {"ECS_WARM_IMAGES": f"{bench.image}={READY}", **(settings or {})}
    async with running_service(bench.engine, {**bench.settings, **own}) as service:
        yield Pool(service, bench.image, "/ecs-warm-", WARM)


@asynccontextmanager
async def sandbox_pool(bench: Bench) -> AsyncIterator[Pool]:
    """Start a service that keeps READY sandboxes, and has no warm containers."""
    own = {
        "ECS_SANDBOXES": str(MOST_SANDBOXES),
        "ECS_MIN_SANDBOXES": str(READY),
        "ECS_WARM_IMAGES": "",
    }
    async with running_service(bench.engine, {**bench.settings, **own}) as service:
        yield Pool(service, bench.image, "/ecs-sandbox-", SANDBOXED)
