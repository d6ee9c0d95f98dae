"""What a task may leave behind, and must not."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.engines import EngineProbe
from tests.harness import Ecs
from tests.waiting import eventually

TIMEOUT_SECONDS = 30


class Traces:
    """Compares what there is with what there was when this was made.

    What a pool had then, it has to have again: another container may wait in place of the one
    that was used, but no more and no fewer.
    """

    def __init__(self, ecs: Ecs, engine: EngineProbe) -> None:
        self._ecs = ecs
        self._engine = engine
        self._volumes = engine.dangling_volumes()
        self._containers = self._kinds_of_container()
        self._asyncio_tasks = _kinds_of_asyncio_task()

    def found(self) -> dict[str, object]:
        """Everything that is left, by kind."""
        found = {
            "containers": self._kinds_of_container() - self._containers,
            "containers of a pool that are not there again": self._containers
            - self._kinds_of_container(),
            "volumes": self._engine.dangling_volumes() - self._volumes,
            "files": files_in(self._ecs.spool_directory),
            "asyncio tasks": _kinds_of_asyncio_task() - self._asyncio_tasks,
            "places not given back": not self._ecs.is_idle(),
        }
        return {kind: traces for kind, traces in found.items() if traces}

    async def vanish(self) -> None:
        """Return when nothing is left."""
        try:
            await eventually(lambda: not self.found(), TIMEOUT_SECONDS)
        except AssertionError:
            assert self.found() == {}

    def _kinds_of_container(self) -> Counter[str]:
        """How many there are, by what their names begin with."""
        names = self._engine.containers(self._ecs.instance)
        return Counter(name.rpartition("-")[0] for name in names)


def _kinds_of_asyncio_task() -> Counter[str]:
    """How many there are, by what they run."""
    return Counter(str(task.get_coro()).partition(" at ")[0] for task in asyncio.all_tasks())


def files_in(directory: Path) -> list[str]:
    """The files in a directory, and this process' open ones that have no name there any more."""
    own = Path("/proc/self/fd")
    targets = [str(link.readlink()) for link in own.iterdir() if link.is_symlink()]
    nameless = [target for target in targets if target.startswith(f"{directory}/")]
    return [str(path) for path in directory.iterdir()] + nameless
