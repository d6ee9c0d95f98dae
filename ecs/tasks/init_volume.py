"""Brings the ECS init into the engine, into a volume that tasks mount, and keeps it there.

A volume is filled through a container that is never started, and that needs an image: one made
from scratch, which holds the same files. The engine may be on another machine.
"""

import asyncio
import io
import posixpath
import secrets
import stat
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from ecs.docker_remote_api.archives import AsyncArchiveGetter, AsyncArchivePutter
from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerCreator
from ecs.docker_remote_api.image_import import AsyncImageImporter
from ecs.docker_remote_api.images import AsyncImageInspector
from ecs.docker_remote_api.volumes import (
    AsyncVolumeCreator,
    AsyncVolumeDeleter,
    AsyncVolumeLister,
    ListedVolume,
)
from ecs.errors import (
    EngineConflictError,
    EngineError,
    EngineFailedError,
    EngineNotFoundError,
    ImageNotFoundError,
)
from ecs.tasks.container_spec import LABEL_DEADLINE
from ecs.tasks.init_mount import (
    HOSTS,
    HOSTS_NAME,
    LABEL_INIT,
    PROGRAM_NAME,
    VOLUME_NAME_PREFIX,
    InitMount,
)
from ecs.tasks.old_images import delete_old_images, is_old
from ecs.tasks.reaper import Reaper

_log = structlog.get_logger()

FILLER_NAME_PREFIX = VOLUME_NAME_PREFIX
_FILLER_SECONDS = 120
"""How long a container that fills the volume may be there; then the sweep deletes it."""
_PAUSE_SECONDS = 5.0
"""Between two checks: whoever brings images that cannot be mounted into causes no more of them."""


_Files = Mapping[str, tuple[bytes, int]]
"""Each file's content and mode."""


class InitVolume:
    """The volume of one engine. ``mount`` is ``None`` as long as tasks must do without it."""

    def __init__(
        self, api: DockerRemoteApi, reaper: Reaper, program_for: Callable[[str], bytes | None]
    ) -> None:
        self.mount: InitMount | None = None
        self._api = api
        self._reaper = reaper
        self._program_for = program_for
        self._program = b""
        self._complaint = ""
        self._doubted = asyncio.Event()
        self._volume_creator = AsyncVolumeCreator(api)
        self._volume_lister = AsyncVolumeLister(api)
        self._volume_deleter = AsyncVolumeDeleter(api)
        self._image_inspector = AsyncImageInspector(api)
        self._image_importer = AsyncImageImporter(api)
        self._container_creator = AsyncContainerCreator(api)
        self._archive_putter = AsyncArchivePutter(api)
        self._archive_getter = AsyncArchiveGetter(api)

    async def prepare(self, machine: str) -> None:
        """Fill the volume with the program for ``machine``, if there is one; log why not.

        Old volumes of other versions that nothing uses are deleted, and their images.
        """
        program = self._program_for(machine)
        if program is None:
            _log.warning(
                "no init for this engine: tasks start more slowly; bin/build-native makes it",
                machine=machine,
            )
            return
        self._program = program
        await self._bring()

    def doubt(self) -> None:
        """Have the volume checked, since a container with it did not start."""
        self._doubted.set()

    async def keep(self) -> None:
        """Check and refill the volume when it is doubted, until cancelled."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            await self._bring()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _bring(self) -> None:
        """Bring the program into the engine; if that fails, have it tried again."""
        mount = InitMount.of(self._program)
        try:
            mountpoint = await self._fill(mount)
        except EngineError as error:
            if str(error) != self._complaint:
                _log.error("the init cannot be brought into the engine", error=str(error))
            self._complaint = str(error)
            self._doubted.set()
            return
        self._complaint = ""
        if self.mount is None:
            self.mount = replace(mount, mountpoint=mountpoint)
            _log.info("init ready", volume=mount.volume)
            await self._delete_others(mount)

    async def _fill(self, mount: InitMount) -> str:
        """Return where the volume is on the engine's host."""
        mountpoint = await self._volume_creator.create(mount.volume, mount.labels)
        image = await self._image(mount)
        filler = f"{FILLER_NAME_PREFIX}{mount.digest}-{secrets.token_hex(4)}"
        try:
            await self._container_creator.create(filler, _filler_body(image, mount))
            if not await self._is_filled(filler, mount):
                await self._archive_putter.put(filler, mount.path, _archive(self._files))
                if not await self._is_filled(filler, mount):
                    raise EngineFailedError(f"the volume {mount.volume} did not take the program")
                _log.info("volume filled", volume=mount.volume)
        finally:
            self._reaper.remove(filler)
        return mountpoint

    @property
    def _files(self) -> _Files:
        return {PROGRAM_NAME: (self._program, 0o555), HOSTS_NAME: (HOSTS, 0o444)}

    async def _is_filled(self, filler: str, mount: InitMount) -> bool:
        try:
            archive = await self._archive_getter.get(filler, f"{mount.path}/.")
        except EngineNotFoundError:
            return False
        return self._files.items() <= _files_in(archive).items()

    async def _image(self, mount: InitMount) -> str:
        try:
            return (await self._image_inspector.image(mount.image)).image_id
        except ImageNotFoundError:
            labels = " ".join(f'{name}="{value}"' for name, value in mount.labels.items())
            return await self._image_importer.import_layer(
                mount.image,
                _archive(self._files),
                [f"LABEL {labels}", f'ENTRYPOINT ["/{PROGRAM_NAME}"]'],
            )

    async def _delete_others(self, own: InitMount) -> None:
        try:
            for volume in await self._volume_lister.with_label(LABEL_INIT):
                if volume.name != own.volume and is_old(volume.created):
                    await self._delete(volume)
        except EngineError as error:
            _log.warning("volumes of other versions stay", error=str(error))
        await delete_old_images(self._api, own.image, LABEL_INIT)

    async def _delete(self, volume: ListedVolume) -> None:
        # In use: a conflict. Whose it is fills it again when it finds it missing.
        with suppress(EngineConflictError, EngineNotFoundError):
            await self._volume_deleter.delete(volume.name)
            _log.info("volume of another version deleted", volume=volume.name)


def _filler_body(image: str, mount: InitMount) -> dict[str, object]:
    deadline = int(time.time() + _FILLER_SECONDS)
    return {
        "Image": image,
        "Labels": {**mount.labels, LABEL_DEADLINE: str(deadline)},
        "HostConfig": {"NetworkMode": "none", "Mounts": [mount.as_engine_mount(read_only=False)]},
    }


def _archive(files: _Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _files_in(archive: bytes) -> _Files:
    """Return what a tar of one directory holds, nothing where it is none."""
    files = {}
    with (
        suppress(tarfile.TarError),
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar,
    ):
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is not None:
                # The engine puts the bits of the file's type beside its mode.
                files[posixpath.basename(entry.name)] = content.read(), stat.S_IMODE(entry.mode)
    return files
