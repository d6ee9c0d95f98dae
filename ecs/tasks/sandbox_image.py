"""The image of the network sandboxes: made from scratch, of one program, where it is missing."""

import hashlib
import io
import tarfile
from contextlib import suppress

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_import import AsyncImageDeleter, AsyncImageImporter
from ecs.docker_remote_api.images import AsyncImageLister
from ecs.errors import EngineConflictError, EngineNotFoundError

_log = structlog.get_logger()

LABEL_SANDBOX = "ecs.sandbox"
PROGRAM_PATH = "/sandbox"
_REPOSITORY = "ecs/sandbox"
_DIGEST_CHARACTERS = 12
_MODE = 0o555


class SandboxImage:
    """The image of one version of the program."""

    def __init__(self, api: DockerRemoteApi, program: bytes) -> None:
        self._program = program
        self._digest = hashlib.sha256(program).hexdigest()[:_DIGEST_CHARACTERS]
        self._lister = AsyncImageLister(api)
        self._importer = AsyncImageImporter(api)
        self._deleter = AsyncImageDeleter(api)

    async def ensure(self) -> str:
        """Return the id of the image, which is made if the engine has none.

        Images of other versions, which no container uses, are deleted then.

        Raises:
            EngineError: the engine refused, failed or vanished.
        """
        label = f"{LABEL_SANDBOX}={self._digest}"
        for image_id in await self._lister.image_ids(label):
            return image_id
        for image_id in await self._lister.image_ids(LABEL_SANDBOX):
            with suppress(EngineConflictError, EngineNotFoundError):
                await self._deleter.delete(image_id)
        _log.info("image of the sandboxes made", repository=_REPOSITORY, tag=self._digest)
        return await self._importer.import_layer(
            _REPOSITORY,
            self._digest,
            _layer(self._program),
            [f"LABEL {label}", f'ENTRYPOINT ["{PROGRAM_PATH}"]'],
        )


def _layer(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(PROGRAM_PATH.lstrip("/"))
        entry.size, entry.mode = len(program), _MODE
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()
