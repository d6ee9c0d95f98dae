"""Deletes the images that earlier versions of ECS made on the engine and left there."""

import time
from contextlib import suppress

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_import import AsyncImageDeleter
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import AsyncImageLister
from ecs.errors import EngineConflictError, EngineError, EngineNotFoundError

_log = structlog.get_logger()

_KEPT_SECONDS = 86_400
"""How old what another version made is before it is deleted: it may be that of a service beside."""


def is_old(created: float) -> bool:
    """Tell whether what was created then, in seconds since 1970, may be deleted."""
    return created + _KEPT_SECONDS < time.time()


async def delete_old_images(api: DockerRemoteApi, own: ImageReference, label: str) -> None:
    """Delete what carries ``label``, is named as ``own`` is but for its tag, is old and unused.

    That none can be deleted is logged, and nobody's failure.
    """
    try:
        for image in await AsyncImageLister(api).with_label(label):
            for name in image.names if is_old(image.created) else ():
                if name.startswith(f"{own.name}:") and name != str(own):
                    await _delete(api, name)
    except EngineError as error:
        _log.warning("images of other versions stay", repository=own.name, error=str(error))


async def _delete(api: DockerRemoteApi, name: str) -> None:
    # In use: a conflict. Whose it is makes it again when it finds it missing.
    with suppress(EngineConflictError, EngineNotFoundError):
        await AsyncImageDeleter(api).delete(ImageReference.parse(name))
        _log.info("image of another version deleted", image=name)
