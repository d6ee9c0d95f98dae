"""Verbs about images that ECS makes itself: import, delete."""

import re
from collections.abc import Sequence

from ecs.docker_remote_api.connection import read_whole
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.verb import Verb
from ecs.errors import EngineFailedError

_IMAGE_ID = re.compile(rb'"status":\s*"(sha256:[0-9a-f]{64})"')


class AsyncImageImporter(Verb):
    """``POST /images/create`` with the image's one layer.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageCreate
    """

    async def import_layer(
        self, reference: ImageReference, archive: bytes, changes: Sequence[str]
    ) -> str:
        """Make an image from a tar of its root file system; return its id.

        ``changes`` are instructions of a Dockerfile, such as ``LABEL a=b``.

        Raises:
            EngineFailedError: the engine did not make it; the text is its own.
            EngineError: no answer, or none of the API.
        """
        params = [("fromSrc", "-"), ("repo", reference.name), ("tag", reference.tag or "")]
        params += [("changes", change) for change in changes]
        async with self._api.stream(
            "POST", "/images/create", params=params, body=archive
        ) as response:
            answer = await read_whole(response)
        found = _IMAGE_ID.search(answer)
        if found is None:
            raise EngineFailedError(f"the engine imported no image: {answer.decode().strip()}")
        return found[1].decode()


class AsyncImageDeleter(Verb):
    """``DELETE /images/{name}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageDelete
    """

    async def delete(self, reference: ImageReference) -> None:
        """Delete an image that no container uses.

        Raises:
            EngineNotFoundError: there is no such image.
            EngineConflictError: a container uses it.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("DELETE", f"/images/{reference}")
