"""One container that was started ahead: its init waits on the attached stdin for its one command.

The init waits as long as that attach is there: it ends when ECS does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import OutputChunks
from ecs.errors import EngineUnreachableError
from ecs.tasks.attached_container import AttachedContainer, attached_container
from ecs.tasks.warm_key import WarmKind

NAME_PREFIX = "ecs-warm-"


class WarmContainer:
    """A container that waits."""

    def __init__(self, attached: AttachedContainer, kind: WarmKind) -> None:
        self.container = attached.container_id
        self.kind = kind
        self.used = False
        """Whether a hand-over was begun, however it ended."""
        self.task_name = ""
        """What it is to be called, once its task has begun."""
        self.left_pool = asyncio.Event()
        """At the hand-over, or when it is to go without one."""
        self.released = asyncio.Event()
        """When it is to go."""
        self._stdin = attached.stdin
        self._output = attached.output
        self._made_at = time.monotonic()
        # As long as it waits it says nothing: the first that comes tells that it has ended.
        self.first_output = asyncio.create_task(_next(attached.output))

    @property
    def age_seconds(self) -> float:
        """How long it has been there."""
        return time.monotonic() - self._made_at

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended while it waited."""
        return self.first_output.done()

    def hand_over(self, frame: Iterable[bytes], task_name: str) -> None:
        """Give it its command; at most once.

        Raises:
            EngineUnreachableError: it has ended, or the way to it: the command did not start.
        """
        assert not self.used
        self.used = True
        if self.has_ended:
            raise EngineUnreachableError("the container that waited has ended")
        self._stdin.send(frame)
        self.task_name = task_name
        self.left_pool.set()

    def release(self) -> None:
        """Say that nobody needs it any more."""
        self.left_pool.set()
        self.released.set()

    async def output(self) -> OutputChunks:
        """Yield what the command writes, and the init's trailers; ends when the container does.

        Raises:
            EngineError: the connection broke.
        """
        pieces = await self.first_output
        while pieces is not None:
            yield pieces
            pieces = await _next(self._output)


@asynccontextmanager
async def waiting_container(
    api: DockerRemoteApi, name: str, body: Mapping[str, Any], kind: WarmKind
) -> AsyncIterator[WarmContainer]:
    """Create and start a container that waits; leaving closes its input, upon which it ends.

    Whatever happens, a container of this name may be there afterwards.

    Raises:
        EngineNotFoundError: there is no such image.
        EngineError: the engine refused, failed or vanished.
    """
    async with attached_container(api, name, body) as attached:
        warm = WarmContainer(attached, kind)
        try:
            yield warm
        finally:
            warm.first_output.cancel()
            # Gathered, so that an error in it, which nobody waited for, counts as seen.
            await asyncio.gather(warm.first_output, return_exceptions=True)


# Typed by hand: ``anext`` with a default is no coroutine, which ``create_task`` wants.
async def _next(output: OutputChunks) -> Any:
    return await anext(output, None)
