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
from ecs.tasks.init_mount import LABEL_PURPOSE
from ecs.tasks.old_images import delete_old_images

_log = structlog.get_logger()

PROGRAM_PATH = "/sandbox"
LABEL_SANDBOX = "ecs.sandbox"
_PURPOSE = "what the network sandboxes of ECS run; made again when it is missing"
_DIGEST_CHARACTERS = 12
_MODE = 0o555


class SandboxImage:
    """The image of one version of the program, whose digest is its tag."""

    def __init__(self, api: DockerRemoteApi, program: bytes) -> None:
        digest = hashlib.sha256(program).hexdigest()[:_DIGEST_CHARACTERS]
        # A name that no registry can ever have: what anybody pulls is not taken for it.
        self._reference = ImageReference.parse(f"ecs.invalid/sandbox:{digest}")
        self._labels = {LABEL_SANDBOX: digest, LABEL_PURPOSE: _PURPOSE}
        self._program = program
        self._api = api
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
            labels = " ".join(f'{name}="{value}"' for name, value in self._labels.items())
            return await self._importer.import_layer(
                self._reference,
                _layer(self._program),
                [f"LABEL {labels}", f'ENTRYPOINT ["{PROGRAM_PATH}"]'],
            )

    async def delete_others(self) -> None:
        """Delete the old images of other versions that no container uses."""
        await delete_old_images(self._api, self._reference, LABEL_SANDBOX)


def _layer(program: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(PROGRAM_PATH.lstrip("/"))
        entry.size, entry.mode = len(program), _MODE
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()
