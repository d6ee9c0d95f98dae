"""Verbs about containers: what makes and ends one, what flows in and out, what is told of them."""

from ecs.docker_remote_api.containers.lifecycle import (
    AsyncContainerCreator,
    AsyncContainerDeleter,
    AsyncContainerKiller,
    AsyncContainerRenamer,
    AsyncContainerStarter,
    AsyncContainerWaiter,
    ContainerExit,
)
from ecs.docker_remote_api.containers.queries import (
    AsyncContainerInspector,
    AsyncContainerLister,
    ContainerState,
    ListedContainer,
)
from ecs.docker_remote_api.containers.streams import (
    AsyncContainerAttacher,
    AsyncContainerLogsReader,
    ContainerInput,
    OutputChunks,
)

__all__ = [
    "AsyncContainerAttacher",
    "AsyncContainerCreator",
    "AsyncContainerDeleter",
    "AsyncContainerInspector",
    "AsyncContainerKiller",
    "AsyncContainerLister",
    "AsyncContainerLogsReader",
    "AsyncContainerRenamer",
    "AsyncContainerStarter",
    "AsyncContainerWaiter",
    "ContainerExit",
    "ContainerInput",
    "ContainerState",
    "ListedContainer",
    "OutputChunks",
]
