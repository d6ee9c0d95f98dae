"""Work that passes through an `Admission` and keeps a record of what it was granted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import pytest

from ecs.tasks import admission as admission_module
from ecs.tasks.admission import Admission

LONG_SECONDS = 600.0
REFILL_PATIENCE_SECONDS = 1.0
MANY = 1000


def admission_of(*, starting: int = 1, running: int = MANY, queued: int = MANY) -> Admission:
    return Admission(max_starting=starting, max_running=running, max_queued=queued)


async def settle() -> None:
    """Let everything that can go on come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


class Waiting:
    """Starts work that waits for a place, and lists the names of those who got one, in order."""

    def __init__(self, admission: Admission, group: asyncio.TaskGroup) -> None:
        self._admission = admission
        self._group = group
        self.granted: list[str] = []
        self.released = asyncio.Event()
        self.released.set()
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, owner: str) -> "asyncio.Task[None]":
        """Ask for the place of a task that begins."""
        return await self._start(owner, lambda: self._admission.begin(owner, LONG_SECONDS))

    async def begin_warm(self, owner: str) -> "asyncio.Task[None]":
        """Ask for the place of a task whose container is started already."""
        return await self._start(
            owner, lambda: self._admission.begin(owner, LONG_SECONDS, needs_lane=False)
        )

    async def enter_lane(self, name: str) -> "asyncio.Task[None]":
        """Ask for the place of a task that comes back from its pull."""
        return await self._start(name, self._admission.enter_lane)

    async def cleanup(self, name: str) -> "asyncio.Task[None]":
        """Ask for the place of a deletion, which keeps it while `released` is not set."""
        return await self._create(self._pass_through(self._admission.cleanup(), name))

    async def refill(
        self, name: str, *, patience_seconds: float = REFILL_PATIENCE_SECONDS
    ) -> "asyncio.Task[None]":
        """Ask for the place of a refill, which keeps it while `released` is not set."""
        place = self._admission.refill(patience_seconds=patience_seconds)
        return await self._create(self._pass_through(place, name))

    async def ask(self, *ways: str) -> None:
        """Ask in these ways, the names of the methods above; each is recorded as its way."""
        for way in ways:
            await getattr(self, way)(way)

    async def _pass_through(
        self, place: contextlib.AbstractAsyncContextManager[None], name: str
    ) -> None:
        async with place:
            self.granted.append(name)
            await self.released.wait()

    async def _start(self, name: str, ask: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        async def wait() -> None:
            await ask()
            self.granted.append(name)

        return await self._create(wait())

    async def _create(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = self._group.create_task(work)
        self.tasks.append(task)
        await settle()
        return task


@contextlib.asynccontextmanager
async def waiting_for(admission: Admission) -> AsyncIterator[Waiting]:
    """Cancel at the end whoever waits still."""
    async with asyncio.timeout(LONG_SECONDS), asyncio.TaskGroup() as group:
        waiting = Waiting(admission, group)
        yield waiting
        for task in waiting.tasks:
            task.cancel()


async def occupied_lane(**limits: int) -> Admission:
    """An admission whose one place in the lane is taken, by a task that runs."""
    admission = admission_of(**limits)
    await admission.begin("first", LONG_SECONDS)
    return admission


async def pass_on(admission: Admission) -> None:
    """Give the place in the lane back, to whoever is next."""
    admission.leave_lane()
    await settle()


def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the time that an admission sees; the function returned moves it on."""
    now = [1000.0]
    monkeypatch.setattr(admission_module.time, "monotonic", lambda: now[0])

    def move_on(seconds: float) -> None:
        now[0] += seconds

    return move_on
