"""Verbs that bring files into a container and out of it, as tar archives."""

from ecs.docker_remote_api.connection import read_whole
from ecs.docker_remote_api.verb import Verb


class AsyncArchivePutter(Verb):
    """``PUT /containers/{id}/archive``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/PutContainerArchive
    """

    async def put(self, container: str, path: str, archive: bytes) -> None:
        """Unpack a tar in the directory ``path``, its volumes included; it need not run.

        Raises:
            EngineNotFoundError: there is no such container, or no such directory in it.
            EngineError: no answer, or none of the API.
        """
        await self._api.request(
            "PUT", f"/containers/{container}/archive", params={"path": path}, body=archive
        )


class AsyncArchiveGetter(Verb):
    """``GET /containers/{id}/archive``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerArchive
    """

    async def get(self, container: str, path: str) -> bytes:
        """Return a tar of the file or directory ``path``, whole in memory.

        Raises:
            EngineNotFoundError: there is no such container, or nothing at that path.
            EngineError: no answer, or none of the API.
        """
        async with self._api.stream(
            "GET", f"/containers/{container}/archive", params={"path": path}
        ) as response:
            return await read_whole(response)
