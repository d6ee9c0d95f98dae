"""Takes samples of a running service: from the engine, and from /proc."""

import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from docker import DockerClient
from docker.errors import NotFound

from ecs.tasks.sandbox import NAME_PREFIX as SANDBOX_NAME_PREFIX
from tests.engines import EngineProbe
from tests.images import BUSYBOX
from tests.load.verdicts import Sample
from tests.services import ECService

KIB_BYTES = 1024
COMPOSE_LABEL = "com.docker.compose.project"
DELETED = " (deleted)"


class ServiceEndedError(Exception):
    """The service ended in the midst of the soak."""


class Sampler:
    """Looks at one service, whose files are all in ``directory``."""

    def __init__(self, probe: EngineProbe, service: ECService, directory: Path) -> None:
        self._probe = probe
        self._service = service
        self._directory = directory
        self._process = Path(f"/proc/{service.pid}")
        self._engine = engine_process(probe.client)
        self._begun = time.time()

    def begin(self, now: float) -> None:
        """Count the seconds of samples from ``now``, in seconds since the epoch."""
        self._begun = now

    def sample(self) -> Sample:
        """Look now.

        Raises:
            ServiceEndedError: there is nothing to look at.
        """
        if not self._service.is_running:
            raise ServiceEndedError(f"the service ended:\n{self._service.log_tail()}")
        status = (self._process / "status").read_text(encoding="ascii")
        descriptors = list(_descriptors(self._process))
        containers, sandboxes = containers_of(self._probe, self._service.instance)
        return Sample(
            seconds=time.time() - self._begun,
            containers=containers,
            volumes=tuple(sorted(self._probe.dangling_volumes())),
            networks=tuple(self._networks()),
            files=tuple(sorted(self._files(descriptors))),
            sandboxes=len(sandboxes),
            descriptors=len(descriptors),
            threads=_number(status, "Threads"),
            resident_bytes=_number(status, "VmRSS") * KIB_BYTES,
            proportional_bytes=self._proportional_bytes(),
            log_bytes=self._service.log_path.stat().st_size,
            engine_descriptors=self._engine_descriptors(),
        )

    def _networks(self) -> list[str]:
        """Names of the engine's networks, without those that a composed system brings itself."""
        return [
            network["Name"]
            for network in self._probe.client.api.networks()
            if COMPOSE_LABEL not in (network["Labels"] or {})
        ]

    def _files(self, descriptors: list[tuple[str, str]]) -> Iterator[str]:
        for path in self._directory.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(self._directory))
        for number, target in descriptors:
            if target.startswith(str(self._directory)) and target.endswith(DELETED):
                yield f"open without a name: descriptor {number}"

    def _proportional_bytes(self) -> int | None:
        try:
            return _number((self._process / "smaps_rollup").read_text(), "Pss") * KIB_BYTES
        except PermissionError:  # of a process that gave up rights
            return None

    def _engine_descriptors(self) -> int | None:
        return None if self._engine is None else len(list(_descriptors(self._engine)))


def containers_of(probe: EngineProbe, instance: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a service's containers, and those of its sandboxes."""
    names = probe.containers(instance)
    sandboxes = tuple(name for name in names if name.startswith(SANDBOX_NAME_PREFIX))
    return tuple(name for name in names if name not in sandboxes), sandboxes


def _descriptors(process: Path) -> Iterator[tuple[str, str]]:
    """Yield number and target of a process's open files."""
    for link in (process / "fd").iterdir():
        try:
            yield link.name, str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue


def _number(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
    assert found, f"no {field} in {status}"
    return int(found[1])


def engine_process(client: DockerClient) -> Path | None:
    """Return the engine's directory in /proc, or None if it cannot be looked into from here."""
    url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not url.startswith("unix://"):
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(url.removeprefix("unix://"))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process = Path(f"/proc/{struct.unpack('3i', peer)[0]}")
    # systemd holds the socket of an engine that it starts on demand.
    is_engine = (process / "comm").exists() and (process / "comm").read_text() == "dockerd\n"
    return process if is_engine and os.access(process / "fd", os.R_OK) else None


@contextmanager
def volume_image(client: DockerClient, name: str) -> Iterator[str]:
    """Make an image whose containers get a volume of their own, and remove it afterwards."""
    container = client.api.create_container(BUSYBOX)["Id"]
    try:
        client.api.commit(container, repository=name, changes=["VOLUME /data"])
    finally:
        client.api.remove_container(container)
    try:
        yield f"{name}:latest"
    finally:
        with suppress(NotFound):
            client.api.remove_image(f"{name}:latest", force=True)
