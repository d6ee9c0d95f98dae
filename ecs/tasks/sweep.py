"""The dead man's switch: finds containers that nobody watches any more."""

import asyncio
import time
from collections.abc import Callable

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerLister, ListedContainer
from ecs.errors import EngineError
from ecs.tasks.container_spec import LABEL_DEADLINE, LABEL_INSTANCE
from ecs.tasks.init_volume import FILLER_NAME_PREFIX
from ecs.tasks.model import CONTAINER_NAME_PREFIX
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime_trial import NAME_PREFIX as TRIAL_NAME_PREFIX
from ecs.tasks.sandbox import NAME_PREFIX as SANDBOX_NAME_PREFIX
from ecs.tasks.warm_container import NAME_PREFIX as WARM_NAME_PREFIX

_log = structlog.get_logger()

_NAME_PREFIXES = (
    CONTAINER_NAME_PREFIX,
    FILLER_NAME_PREFIX,
    SANDBOX_NAME_PREFIX,
    TRIAL_NAME_PREFIX,
    WARM_NAME_PREFIX,
)


class OrphanSweep:
    """Hands to the reaper what an earlier run left, and what outlived its deadline.

    Of this instance: every container that is no live task's and no live sandbox. Of other
    instances: every one whose ``ecs.deadline`` has passed, so that a task dies even if its own ECS
    never returns.
    """

    def __init__(
        self,
        api: DockerRemoteApi,
        reaper: Reaper,
        *,
        instance: str,
        is_live: Callable[[str], bool],
        interval_seconds: float,
    ) -> None:
        self._lister = AsyncContainerLister(api)
        self._reaper = reaper
        self._instance = instance
        self._is_live = is_live
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Sweep now and then every ``interval_seconds``, until cancelled."""
        while True:
            try:
                await self.sweep()
            except EngineError as error:
                _log.warning("sweep failed", error=str(error))
            await asyncio.sleep(self._interval_seconds)

    async def sweep(self) -> None:
        """Look once.

        Raises:
            EngineError: no answer, or none of the API.
        """
        suspects = {container.container_id for container in await self._without_owner()}
        if not suspects:
            return
        # One whose task ended while the engine answered is gone at the second look.
        for container in await self._without_owner():
            if container.container_id in suspects:
                name = next(iter(container.names), container.container_id)
                _log.warning("orphan found", container=name, reason=self._reason(container))
                self._reaper.remove(name)

    async def _without_owner(self) -> list[ListedContainer]:
        listed = await self._lister.with_label(LABEL_DEADLINE)
        self._reaper.note_existing([name for container in listed for name in container.names])
        return [container for container in listed if self._reason(container)]

    def _reason(self, container: ListedContainer) -> str | None:
        # An image may carry any label; the name is given by ECS alone.
        if not any(name.startswith(_NAME_PREFIXES) for name in container.names):
            return None
        # One that was renamed is known by its id.
        known_as = (*container.names, container.container_id)
        if any(self._reaper.is_pending(name) or self._is_live(name) for name in known_as):
            return None
        if container.labels.get(LABEL_INSTANCE) == self._instance:
            return "its service does not know it"
        return "its deadline has passed" if _deadline(container) < time.time() else None


def _deadline(container: ListedContainer) -> float:
    try:
        return float(container.labels[LABEL_DEADLINE])
    except (ValueError, TypeError, LookupError):
        return float("inf")
