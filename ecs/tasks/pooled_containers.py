"""Containers that are made before a task comes: each is watched from its making to its deletion."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, Protocol, Self, TypeVar

import structlog

from ecs.errors import EngineError, EngineFailedError
from ecs.tasks.admission import Admission
from ecs.tasks.reaper import Reaper

_log = structlog.get_logger()

_LOOK_ROUND_SECONDS = 1.0
"""Between two looks for containers that are too old or too many."""
_CLOSE_SECONDS = 10.0
"""How long one that is just being made may delay the stop; the next start finds it then."""
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
"""Between two attempts at what the engine does not make."""


class Pooled(Protocol):
    """What a pool is made of."""

    @property
    def container(self) -> str:
        """The container's id."""


T = TypeVar("T", bound=Pooled)


class PooledContainers(Generic[T]):
    """The containers of one pool. Use as an async context manager.

    ``made`` counts those that were started; ``making_seconds`` is the time in the engine's lane
    that they took; ``failed`` counts the attempts that made none; ``making`` are on their way.
    """

    def __init__(
        self,
        admission: Admission,
        reaper: Reaper,
        *,
        name_prefix: str,
        patience_seconds: float,
        serve: Callable[[T], Awaitable[None]],
    ) -> None:
        """``serve`` begins as soon as a container is there, and ends when it is to go.

        For ``patience_seconds`` see ``Admission.refill``.
        """
        self._admission = admission
        self._reaper = reaper
        self._name_prefix = name_prefix
        self._patience_seconds = patience_seconds
        self._serve = serve
        self._lives: dict[str, asyncio.Task[None]] = {}
        """By name, and by id instead as soon as that is known."""
        self._changed = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self.making = self.made = self.failed = 0
        self.making_seconds = 0.0

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
        await self._group.__aexit__(None, None, None)

    def __len__(self) -> int:
        """Return how many there are, those on their way in or out among them."""
        return len(self._lives)

    def __contains__(self, container: str) -> bool:
        """Tell whether ``container``, a name or an id, is one of these."""
        return container in self._lives

    async def make(
        self, started: Callable[[str], AbstractAsyncContextManager[T]]
    ) -> EngineError | None:
        """Make one container, of which ``started`` gets the name; return why there is none.

        Its making goes on when this is cancelled.
        """
        name = self._name_prefix + secrets.token_hex(16)
        made: asyncio.Future[EngineError | None] = asyncio.get_running_loop().create_future()
        self._lives[name] = self._group.create_task(self._live(name, started(name), made))
        return await asyncio.shield(made)

    def end(self, container: T) -> None:
        """Have ``container`` deleted, whatever it does."""
        life = self._lives.get(container.container)
        if life is not None:
            life.cancel()

    def notify(self) -> None:
        """Have ``change`` return."""
        self._changed.set()

    async def change(self) -> bool:
        """Wait until something has changed, or it is time to look round; return which it was."""
        self._changed.clear()
        try:
            async with asyncio.timeout(_LOOK_ROUND_SECONDS):
                return await self._changed.wait()
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Hand all there are to the reaper. Have no more made before."""
        lives = set(self._lives.values())
        for life in lives:
            life.cancel()
        if lives:
            await asyncio.wait(lives, timeout=_CLOSE_SECONDS)

    async def _live(
        self,
        name: str,
        started: AbstractAsyncContextManager[T],
        made: "asyncio.Future[EngineError | None]",
    ) -> None:
        """Make a container, and be there as long as it is."""
        known_as = name
        failure: EngineError | None = None
        try:
            async with AsyncExitStack() as stack:
                container = await self._start(stack, started)
                # From here on by its id, whatever it is called.
                known_as = container.container
                self._lives[known_as] = self._lives.pop(name)
                made.set_result(None)
                await self._serve(container)
        except EngineError as error:
            failure = error
        except Exception:  # noqa: BLE001 - a bug must not take the tasks along
            _log.exception("a pool's container failed by a bug in ECS", container=name)
            failure = EngineFailedError("a bug in ECS; its log has the cause")
        finally:
            if failure and not made.done():
                self.failed += 1
                made.set_result(failure)
            made.cancel()  # which is nothing to one that has its result
            del self._lives[known_as]
            self._reaper.remove(known_as)
            self._changed.set()

    async def _start(self, stack: AsyncExitStack, started: AbstractAsyncContextManager[T]) -> T:
        self.making += 1
        try:
            async with self._admission.refill(patience_seconds=self._patience_seconds):
                begun = time.monotonic()
                container = await stack.enter_async_context(started)
                self.made += 1
                self.making_seconds += time.monotonic() - begun
                return container
        finally:
            self.making -= 1


class Setback:
    """Attempts in a row that came to nothing, and the pause before the next one."""

    def __init__(self) -> None:
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._until = 0.0

    def note(self) -> float:
        """Take note of an attempt that failed; return how long to wait, in seconds."""
        pause_seconds = self._pause_seconds
        self._pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        self._until = time.monotonic() + pause_seconds
        return pause_seconds

    @property
    def is_over(self) -> bool:
        """Whether it is time for another attempt."""
        return time.monotonic() >= self._until
