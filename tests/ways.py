"""The ways that a task can start, and the settings with which every task goes one of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import aiohttp
import pytest

from ecs.tasks.model import Start
from tests import images
from tests.client import Answer, Caller, calling
from tests.expositions import samples
from tests.service_log import logged
from tests.services import ECService
from tests.waiting import eventually

PATIENT_SECONDS = 30
NAMED = {
    images.BUSYBOX: 2,
    images.VOLUME: 3,
    images.ENTRYPOINT: 1,
    images.USER: 1,
    images.SCRATCH: 1,
}
"""So many tasks of each image find what their way needs at the same time."""
DEMANDED = 3
"""So many tasks of a kind within a minute, and the next ones find as many warm containers."""
DEMAND_BYTES = 256 * 2**20
"""Enough for every kind that a test asks for."""
UNUSUAL = ("user", "workdir", "resources", "network", "profile")
"""Fields of a request that a container is created with: they make its kind."""


class Way(Enum):
    """A way; its value names it in the tests' ids."""

    COLD = "cold"
    WITHOUT_INIT = "without the init"
    SANDBOXED = "sandboxed"
    WARM = "warm"
    WARM_ON_DEMAND = "warm on demand"

    @property
    def start(self) -> Start:
        """What an answer says of it."""
        return {
            Way.SANDBOXED: Start.SANDBOXED,
            Way.WARM: Start.WARM,
            Way.WARM_ON_DEMAND: Start.WARM,
        }.get(self, Start.COLD)

    def settings(self, named: Mapping[str, int]) -> dict[str, Any]:
        """ECS's own, for so many tasks of each image at the same time."""
        at_once = max(named.values())
        init = {"init": "off" if self is Way.WITHOUT_INIT else "auto", "sandboxes": 0}
        match self:
            case Way.SANDBOXED:
                return init | {"sandboxes": 2 * at_once, "min_sandboxes": at_once}
            case Way.WARM:
                listed = ",".join(f"{image}={number}" for image, number in named.items())
                return init | {"warm_images": listed}
            case Way.WARM_ON_DEMAND:
                return init | {"warm_memory_bytes": DEMAND_BYTES}
        return init


ELSEWHERE: dict[tuple[Way, str], str] = {
    (Way.SANDBOXED, "network"): "without a network there is none to join: cold",
    (Way.SANDBOXED, "profile"): "a strict task has no network: cold",
    (Way.WARM, "labels"): "a running container cannot be given any: the next way",
    (Way.WARM_ON_DEMAND, "labels"): "the same",
    **{
        (Way.WARM, field): "images are named for the defaults: WARM_ON_DEMAND is for others"
        for field in UNUSUAL
    },
}
"""What a task may not ask for if it is to go a way, and why."""


def ways(*some: Way) -> pytest.MarkDecorator:
    """Have a test run once on each of these ways."""
    return pytest.mark.parametrize("way", some, ids=[way.value for way in some])


ONE_WAY = ways(Way.COLD)
"""For what has happened before a task is on its way, or is the same behind it."""
THREE_WAYS = ways(Way.COLD, Way.SANDBOXED, Way.WARM)
EVERY_WAY = ways(Way.COLD, Way.WITHOUT_INIT, Way.SANDBOXED, Way.WARM)
"""For what the engine does where there is no init."""
THREE_WAYS_ON_DEMAND = ways(Way.COLD, Way.SANDBOXED, Way.WARM_ON_DEMAND)
EVERY_WAY_ON_DEMAND = ways(Way.COLD, Way.WITHOUT_INIT, Way.SANDBOXED, Way.WARM_ON_DEMAND)
"""For requests that make a kind of their own."""
WAYS_WITHOUT_NETWORK = ways(Way.COLD, Way.WITHOUT_INIT, Way.WARM_ON_DEMAND)
"""For tasks that have no use for a sandbox."""


def environment(way: Way, named: Mapping[str, int] = NAMED) -> dict[str, str]:
    """The settings of a way as a service's environment."""
    return {f"ECS_{name.upper()}": str(value) for name, value in way.settings(named).items()}


class WayCaller(Caller):
    """A caller whose every task finds ready what it needs to start on one way."""

    def __init__(self, session: aiohttp.ClientSession, service: ECService, way: Way) -> None:
        super().__init__(session, service.url)
        self._way = way
        self._ready = number_ready(service, way)
        self._demanded: set[str] = set()
        self.expected: Counter[str] = Counter()
        """How many tasks are to have started on each way."""

    async def run(self, *cmd: str, image: str = images.BUSYBOX, **fields: Any) -> Answer:
        await self.prepare(image, **fields)
        self._expect(fields)
        return await super().run(*cmd, image=image, **fields)

    @asynccontextmanager
    async def stream(
        self, accept: str, *cmd: str, image: str = images.BUSYBOX, **fields: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        await self.prepare(image, **fields)
        self._expect(fields)
        async with super().stream(accept, *cmd, image=image, **fields) as response:
            yield response

    async def prepare(self, image: str = images.BUSYBOX, **fields: Any) -> None:
        """Return when a task with these fields will find what it needs."""
        if self._goes_elsewhere(fields):
            return
        if self._way is Way.WARM_ON_DEMAND:
            await self._demand(image, fields)
        await eventually(self._is_ready, PATIENT_SECONDS)

    async def prepare_one(self) -> None:
        """Do the same for a plain task that is not sent from here."""
        await self.prepare()
        self._expect({})

    def _expect(self, fields: Mapping[str, Any]) -> None:
        start = Start.COLD if self._goes_elsewhere(fields) else self._way.start
        self.expected[start] += 1

    def _goes_elsewhere(self, fields: Mapping[str, Any]) -> bool:
        return any((self._way, field) in ELSEWHERE for field in fields)

    async def settled(self) -> None:
        """Return when all are ready, and none is on its way out."""
        await eventually(self._is_settled, PATIENT_SECONDS)

    async def _demand(self, image: str, fields: Mapping[str, Any]) -> None:
        """Ask for a kind as often as makes it warm."""
        kind = {field: fields[field] for field in UNUSUAL if field in fields}
        if (name := f"{image} {kind}") in self._demanded:
            return
        self._demanded.add(name)
        self._ready += DEMANDED
        self.expected[Start.COLD] += DEMANDED
        # No image has that program, and the answer is the init's.
        asking = (super(WayCaller, self).run("/none", image=image, **kind) for _ in range(DEMANDED))
        await asyncio.gather(*asking)

    async def _is_ready(self) -> bool:
        return (await self._pool())["idle"] >= self._ready

    async def _is_settled(self) -> bool:
        pool = await self._pool()
        return pool["idle"] >= self._ready and pool["idle"] == sum(pool.values())

    async def _pool(self) -> dict[str, float]:
        """How many containers of the way's kind there are, by state."""
        kind = "sandbox" if self._way is Way.SANDBOXED else "warm"
        async with self.session.get(f"{self.url}/metrics") as response:
            found = samples(await response.read(), "ecs_pool_containers")
        pools = [(dict(labels), value) for labels, value in found.items()]
        return {labels["state"]: value for labels, value in pools if labels["kind"] == kind}


def number_ready(service: ECService, way: Way) -> int:
    """How many containers are ready when all are that the service's settings name."""
    if way is Way.SANDBOXED:
        return int(service.settings["ECS_MIN_SANDBOXES"])
    named = service.settings.get("ECS_WARM_IMAGES", "")
    return sum(int(entry.rpartition("=")[2]) for entry in named.split(",") if entry)


@asynccontextmanager
async def calling_on(way: Way, service: ECService) -> AsyncIterator[WayCaller]:
    """A caller of the service; afterwards see that each of its tasks went that way."""
    before = len(logged(service, "task ended"))
    async with calling(service.url) as plain:
        caller = WayCaller(plain.session, service, way)
        yield caller
        # A task that could not begin started on no way.
        lines = logged(service, "task ended")[before:]
        started = Counter(line["start"] for line in lines if line["start"])
        assert started <= caller.expected, (started, caller.expected)
