"""The images that tests run. They are made locally: no registry need be within reach."""

import functools
import io
import platform
import secrets
import subprocess
import sys
import tarfile
from pathlib import Path

from docker import DockerClient

from ecs.native import init_program
from ecs.tasks.init_mount import InitMount

ROOTFS_SCRIPT = Path(__file__).parent.parent / "bin" / "lib" / "busybox_rootfs.py"

# A tag of its own for each run: two runs on one engine cannot take each other's images away.
PREFIX = "ecs-test/"
TAG = secrets.token_hex(4)

BUSYBOX = "busybox:latest"
ENTRYPOINT = f"{PREFIX}entrypoint:{TAG}"  # ENTRYPOINT ["/bin/echo", "entry"]
USER = f"{PREFIX}user:{TAG}"  # USER 1000, WORKDIR /srv
VOLUME = f"{PREFIX}volume:{TAG}"  # VOLUME /data
SCRATCH = f"{PREFIX}scratch:{TAG}"  # nothing but the static program /busybox
TOOL = f"{PREFIX}tool:{TAG}"  # WORKDIR /opt/tool, ENTRYPOINT a script there, by a relative path
BARE_SCRIPT_PATH = "/opt/tool/bare"  # in TOOL: a script that names no interpreter
BLOCKED = f"{PREFIX}blocked:{TAG}"  # a file where the init's volume would be mounted

SHELL = 'CMD ["sh"]'
CHANGES = {
    ENTRYPOINT: ['ENTRYPOINT ["/bin/echo", "entry"]'],
    USER: ["USER 1000", "WORKDIR /srv", SHELL],
    VOLUME: ["VOLUME /data", SHELL],
}


TEST_IMAGES = (*CHANGES, SCRATCH, TOOL, BLOCKED)


@functools.cache
def busybox_rootfs() -> bytes:
    """A root file system, as a tar, with busybox under all its names."""
    return subprocess.run([sys.executable, ROOTFS_SCRIPT], check=True, capture_output=True).stdout


def with_file(rootfs: bytes, name: str, content: bytes, mode: int = 0o644) -> bytes:
    """The same root file system with one more regular file."""
    buffer = io.BytesIO(rootfs)
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
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
    tool = with_file(busybox_rootfs(), "opt/tool/run", b'#!/bin/sh\necho "$PWD $0 $*"\n', 0o755)
    tool = with_file(tool, BARE_SCRIPT_PATH.removeprefix("/"), b"echo hello\n", 0o755)
    import_image(client, TOOL, tool, ["WORKDIR /opt/tool", 'ENTRYPOINT ["./run", "fixed"]', SHELL])
    program = init_program(platform.machine())
    assert program, "bin/build-native was not run"
    path = InitMount.of(program).path.removeprefix("/")
    import_image(client, BLOCKED, with_file(busybox_rootfs(), path, b"in the way"), [SHELL])
