"""Verbs about the engine itself."""

from dataclasses import dataclass
from typing import ClassVar

from ecs.docker_remote_api.fields import boolean, integer, mapping, text, texts
from ecs.docker_remote_api.verb import Verb


@dataclass(frozen=True)
class EngineInfo:
    """What a service wants to know of an engine."""

    server_version: str
    cpus: int
    memory_bytes: int
    runtimes: frozenset[str]
    default_runtime: str
    machine: str
    """Its architecture, as ``uname -m`` names it."""


@dataclass(frozen=True)
class EngineFacts:
    """What an operator wants to know of an engine.

    ``missing_limits`` names what it cannot limit for a container; ``data_root`` is a directory on
    its machine.
    """

    server_version: str
    storage_driver: str
    cgroup_version: str
    cgroup_driver: str
    data_root: str
    runtimes: frozenset[str]
    default_runtime: str
    security_options: tuple[str, ...]
    missing_limits: tuple[str, ...]


class AsyncEngineInfoReader(Verb):
    """``GET /info``: of its many fields a service asks for no more than it needs.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemInfo
    """

    _LIMITS: ClassVar = {
        "MemoryLimit": "memory",
        "SwapLimit": "swap",
        "CpuCfsQuota": "CPU",
        "PidsLimit": "processes",
    }

    async def read(self) -> EngineInfo:
        """Return the engine's version, size, runtimes and architecture.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", "/info")
        return EngineInfo(
            server_version=text(answer, "ServerVersion"),
            cpus=integer(answer, "NCPU"),
            memory_bytes=integer(answer, "MemTotal"),
            runtimes=frozenset(mapping(answer, "Runtimes")),
            default_runtime=text(answer, "DefaultRuntime"),
            machine=text(answer, "Architecture"),
        )

    async def facts(self) -> EngineFacts:
        """Return what the engine says of itself and its kernel, for an operator.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", "/info")
        return EngineFacts(
            server_version=text(answer, "ServerVersion"),
            storage_driver=text(answer, "Driver"),
            cgroup_version=text(answer, "CgroupVersion"),
            cgroup_driver=text(answer, "CgroupDriver"),
            data_root=text(answer, "DockerRootDir"),
            runtimes=frozenset(mapping(answer, "Runtimes")),
            default_runtime=text(answer, "DefaultRuntime"),
            security_options=tuple(texts(answer, "SecurityOptions")),
            missing_limits=tuple(
                limit for name, limit in self._LIMITS.items() if not boolean(answer, name)
            ),
        )


class AsyncNetworkInspector(Verb):
    """``GET /networks/{name}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Network/operation/NetworkInspect
    """

    async def options(self, name: str) -> dict[str, object]:
        """Return the driver options of a network.

        Raises:
            EngineNotFoundError: there is no such network.
            EngineError: no answer, or none of the API.
        """
        return mapping(await self._api.request("GET", f"/networks/{name}"), "Options")
