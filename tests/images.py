"""The images that tests run. They are made locally: no registry need be within reach."""

import functools
import io
import secrets
import subprocess
import sys
import tarfile
from pathlib import Path

from docker import DockerClient

ROOTFS_SCRIPT = Path(__file__).parent.parent / "bin" / "lib" / "busybox_rootfs.py"

# A tag of its own for each run: two runs on one engine cannot take each other's images away.
PREFIX = "ecs-test/"
TAG = secrets.token_hex(4)

BUSYBOX = "busybox:latest"
ENTRYPOINT = f"{PREFIX}entrypoint:{TAG}"  # ENTRYPOINT ["/bin/echo", "entry"]
USER = f"{PREFIX}user:{TAG}"  # USER 1000, WORKDIR /srv
VOLUME = f"{PREFIX}volume:{TAG}"  # VOLUME /data
SCRATCH = f"{PREFIX}scratch:{TAG}"  # nothing but the static program /busybox

SHELL = 'CMD ["sh"]'
CHANGES = {
    ENTRYPOINT: ['ENTRYPOINT ["/bin/echo", "entry"]'],
    USER: ["USER 1000", "WORKDIR /srv", SHELL],
    VOLUME: ["VOLUME /data", SHELL],
}


TEST_IMAGES = (*CHANGES, SCRATCH)


@functools.cache
def busybox_rootfs() -> bytes:
    """A root file system, as a tar, with busybox under all its names."""
    return subprocess.run([sys.executable, ROOTFS_SCRIPT], check=True, capture_output=True).stdout


def with_file(rootfs: bytes, name: str, content: bytes) -> bytes:
    """The same root file system with one more regular file."""
    buffer = io.BytesIO(rootfs)
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def only_busybox() -> bytes:
    """A root file system that holds one static program and nothing else."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox_rootfs())) as source,
        tarfile.open(fileobj=buffer, mode="w") as target,
    ):
        entry = source.getmember("bin/busybox")
        program = source.extractfile(entry)
        entry.name = "busybox"
        target.addfile(entry, program)
    return buffer.getvalue()


def import_image(client: DockerClient, reference: str, rootfs: bytes, changes: list[str]) -> None:
    """Make an image of one layer."""
    repository, _, tag = reference.rpartition(":")
    client.api.import_image_from_data(rootfs, repository=repository, tag=tag, changes=changes)


def import_busybox(client: DockerClient) -> None:
    import_image(client, BUSYBOX, busybox_rootfs(), [SHELL])


def import_test_images(client: DockerClient) -> None:
    """Make every image of this module but BUSYBOX."""
    for reference, changes in CHANGES.items():
        import_image(client, reference, busybox_rootfs(), changes)
    import_image(client, SCRATCH, only_busybox(), [])
