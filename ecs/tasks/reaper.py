"""Containers are deleted here, in the background, after their task was answered."""

import asyncio
from collections.abc import Collection
from typing import Self

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerDeleter
from ecs.errors import EngineConflictError, EngineError, EngineNotFoundError
from ecs.tasks.admission import Admission

_log = structlog.get_logger()

_ATTEMPTS = 8
"""Then the sweep, which finds the container by its label, begins anew."""
_WORKERS = 8
"""More than the lane admits on a small engine; one that waits for its retry holds no place."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Reaper:
    """Deletes containers, a few at a time, with retries. Use as an async context manager.

    Leaving it waits for nothing: call ``drained`` first.
    """

    def __init__(self, api: DockerRemoteApi, admission: Admission) -> None:
        self._deleter = AsyncContainerDeleter(api)
        self._admission = admission
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._pending: set[str] = set()
        self._left_behind: set[str] = set()
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._work()) for _ in range(_WORKERS)]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def remove(self, container: str) -> None:
        """Have ``container`` (name or id) deleted, soon; never waits and never fails."""
        if container not in self._pending:
            self._pending.add(container)
            self._queue.put_nowait(container)

    def is_pending(self, container: str) -> bool:
        """Tell whether ``container`` waits to be deleted."""
        return container in self._pending

    @property
    def pending_count(self) -> int:
        """How many containers wait to be deleted."""
        return len(self._pending)

    @property
    def left_behind_count(self) -> int:
        """How many containers could not be deleted, and are not known to be gone since."""
        return len(self._left_behind)

    def note_existing(self, containers: Collection[str]) -> None:
        """Learn the names of all containers that there are: what was left behind may be gone."""
        self._left_behind.intersection_update(containers)

    async def drained(self) -> None:
        """Return when nothing waits to be deleted."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            container = await self._queue.get()
            try:
                await self._delete(container)
            finally:
                self._pending.discard(container)
                self._queue.task_done()

    async def _delete(self, container: str) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        for _ in range(_ATTEMPTS):
            try:
                async with self._admission.cleanup():
                    await self._deleter.delete(container)
            except EngineNotFoundError:
                self._left_behind.discard(container)
                return
            except EngineConflictError:
                pass  # somebody deletes it already; ask again until it is gone
            except EngineError as error:
                _log.warning("deletion failed", container=container, error=str(error))
            else:
                self._left_behind.discard(container)
                return
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        self._left_behind.add(container)
        _log.error("container left behind", container=container, attempts=_ATTEMPTS)
