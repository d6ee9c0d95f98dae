"""Verbs about volumes: create, list, delete."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ecs.docker_remote_api.fields import elements, text
from ecs.docker_remote_api.verb import Verb, label_filter
from ecs.errors import EngineProtocolError


class AsyncVolumeCreator(Verb):
    """``POST /volumes/create``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Volume/operation/VolumeCreate
    """

    async def create(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a named volume, and return where it is on the engine's host.

        One of that name is left as it is.

        Raises:
            EngineError: no answer, or none of the API.
        """
        volume = await self._api.request(
            "POST", "/volumes/create", body={"Name": name, "Labels": dict(labels)}
        )
        return text(volume, "Mountpoint")


@dataclass(frozen=True)
class ListedVolume:
    """One volume of a list; ``created`` is in seconds since 1970."""

    name: str
    created: float


class AsyncVolumeLister(Verb):
    """``GET /volumes``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Volume/operation/VolumeList
    """

    async def with_label(self, label: str) -> list[ListedVolume]:
        """Return all volumes that carry ``label``.

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", "/volumes", params={"filters": label_filter(label)})
        volumes = answer.get("Volumes") if isinstance(answer, dict) else answer
        if volumes is None:  # so the engine writes an empty list
            return []
        return [
            ListedVolume(text(item, "Name"), _created(item))
            for item in elements(volumes, "volumes")
        ]


def _created(volume: object) -> float:
    try:
        return datetime.fromisoformat(text(volume, "CreatedAt")).timestamp()
    except ValueError as error:
        raise EngineProtocolError("the engine's list of volumes has no such time") from error


class AsyncVolumeDeleter(Verb):
    """``DELETE /volumes/{name}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Volume/operation/VolumeDelete
    """

    async def delete(self, name: str) -> None:
        """Delete a volume that no container uses.

        Raises:
            EngineNotFoundError: there is no such volume.
            EngineConflictError: a container uses it.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("DELETE", f"/volumes/{name}")
