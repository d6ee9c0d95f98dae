"""The image of the network sandboxes: made from scratch, of one program, where it is missing."""

import hashlib
import io
import tarfile

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_import import AsyncImageImporter
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import AsyncImageInspector
from ecs.errors import ImageNotFoundError

_log = structlog.get_logger()

PROGRAM_PATH = "/sandbox"
_DIGEST_CHARACTERS = 12
_MODE = 0o555


class SandboxImage:
    """The image of one version of the program, whose digest is its tag."""

    def __init__(self, api: DockerRemoteApi, program: bytes) -> None:
        digest = hashlib.sha256(program).hexdigest()[:_DIGEST_CHARACTERS]
        self._reference = ImageReference.parse(f"ecs/sandbox:{digest}")
        self._program = program
        self._inspector = AsyncImageInspector(api)
        self._importer = AsyncImageImporter(api)

    async def ensure(self) -> str:
        """Return the id of the image, which is made if the engine does not have it.

        Raises:
            EngineError: the engine refused, failed or vanished.
        """
        try:
            return (await self._inspector.image(self._reference)).image_id
        except ImageNotFoundError:
            _log.info("making the image of the sandboxes", image=str(self._reference))
            return await self._importer.import_layer(
                self._reference, _layer(self._program), [f'ENTRYPOINT ["{PROGRAM_PATH}"]']
            )


def _layer(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(PROGRAM_PATH.lstrip("/"))
        entry.size, entry.mode = len(program), _MODE
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()
