"""A container that lives as long as somebody holds its attached standard input."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerAttacher,
    AsyncContainerCreator,
    AsyncContainerStarter,
    ContainerInput,
    OutputChunks,
)
from ecs.tasks.finish_first import finish_first


@dataclass(frozen=True)
class AttachedContainer:
    """One that was started; its program waits on ``stdin``."""

    container_id: str
    stdin: ContainerInput
    output: OutputChunks


@asynccontextmanager
async def attached_container(
    api: DockerRemoteApi, name: str, body: Mapping[str, Any]
) -> AsyncIterator[AttachedContainer]:
    """Create, attach and start a container; leaving closes its input, upon which it ends.

    Whatever happens, a container of this name may be there afterwards.

    Raises:
        EngineNotFoundError: there is no such image.
        EngineError: the engine refused, failed or vanished.
    """
    # Seen to its end even when cancelled: a deletion must not overtake the creation.
    container_id = await finish_first(AsyncContainerCreator(api).create(name, body))
    attacher = AsyncContainerAttacher(api)
    async with attacher.output(container_id) as output, attacher.input(container_id) as stdin:
        await AsyncContainerStarter(api).start(container_id)
        yield AttachedContainer(container_id, stdin, output)
