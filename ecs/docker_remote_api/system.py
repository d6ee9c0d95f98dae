"""Verbs about the engine itself."""

from dataclasses import dataclass

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.fields import integer, mapping, text


@dataclass(frozen=True)
class EngineInfo:
    """What ECS wants to know of an engine."""

    server_version: str
    cpus: int
    memory_bytes: int
    runtimes: frozenset[str]
    machine: str
    """Its architecture, as ``uname -m`` names it."""


class AsyncEngineInfoReader:
    """``GET /info``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemInfo
    """

    def __init__(self, api: DockerRemoteApi) -> None:
        self._api = api

    async def read(self) -> EngineInfo:
        """Return the engine's version, CPUs, memory, runtimes and architecture.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", "/info")
        return EngineInfo(
            server_version=text(answer, "ServerVersion"),
            cpus=integer(answer, "NCPU"),
            memory_bytes=integer(answer, "MemTotal"),
            runtimes=frozenset(mapping(answer, "Runtimes")),
            machine=text(answer, "Architecture"),
        )


class AsyncNetworkInspector:
    """``GET /networks/{name}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Network/operation/NetworkInspect
    """

    def __init__(self, api: DockerRemoteApi) -> None:
        self._api = api

    async def options(self, name: str) -> dict[str, object]:
        """Return the driver options of a network.

        Raises:
            EngineNotFoundError: there is no such network.
            EngineError: no answer, or none of the API.
        """
        return mapping(await self._api.request("GET", f"/networks/{name}"), "Options")
