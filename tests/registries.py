"""Real image registries on this machine, to push to, pull from, pause and stop."""

import contextlib
import dataclasses
import http.client
import json
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from tests.engines import EngineProbe
from tests.images import SHELL, busybox_rootfs, import_image, with_file
from tests.network import free_port
from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 20
STOP_TIMEOUT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Credentials:
    username: str
    password: str

    @classmethod
    def random(cls) -> "Credentials":
        return cls(f"user-{secrets.token_hex(4)}", secrets.token_hex(16))


@dataclasses.dataclass(frozen=True)
class PushedImage:
    """An image that only a registry has; no other image shares its layer."""

    reference: str  # host:port/name:tag
    digest: str  # sha256:..., of its manifest
    marker: str  # the one line of its file /marker

    @property
    def by_digest(self) -> str:
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"


class Registry:
    """A docker-registry process; it wants basic authentication if it has credentials."""

    def __init__(self, directory: Path, credentials: Credentials | None = None) -> None:
        self.credentials = credentials
        self.address = f"127.0.0.1:{free_port()}"
        self._directory = directory
        self._configuration = directory / "config.yml"
        # JSON is YAML.
        self._configuration.write_text(json.dumps(self._settings()), encoding="utf-8")

    def start(self) -> None:
        """Start it, on the same port and with the same content if it ran before."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", self._configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, START_TIMEOUT_SECONDS)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_SECONDS)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing listens on its port meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Connections are accepted meanwhile, but nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def push_image(self, engine: EngineProbe, name: str = "ecs-test/image") -> PushedImage:
        """Make an image that exists nowhere else, push it, and remove it from the engine."""
        repository, tag, marker = (
            f"{self.address}/{name}",
            secrets.token_hex(4),
            secrets.token_hex(),
        )
        reference = f"{repository}:{tag}"
        rootfs = with_file(busybox_rootfs(), "marker", f"{marker}\n".encode())
        import_image(engine.client, reference, rootfs, [SHELL])
        digest = ""
        for progress in engine.client.api.push(
            repository,
            tag,
            stream=True,
            decode=True,
            auth_config=dataclasses.asdict(self.credentials) if self.credentials else None,
        ):
            assert "errorDetail" not in progress, progress["errorDetail"]
            digest = progress.get("aux", {}).get("Digest", digest)
        engine.remove_images(reference)
        return PushedImage(reference, digest, marker)

    def _settings(self) -> dict[str, object]:
        storage = {
            "filesystem": {"rootdirectory": str(self._directory / "storage")},
            "delete": {"enabled": True},
        }
        settings: dict[str, object] = {
            "version": "0.1",
            "storage": storage,
            "http": {"addr": self.address},
        }
        if self.credentials:
            settings["auth"] = {"htpasswd": {"realm": "test", "path": str(self._password_file())}}
        return settings

    def _password_file(self) -> Path:
        assert self.credentials
        path = self._directory / "htpasswd"
        # -B: bcrypt, the only kind the registry takes; -i: the password comes on stdin.
        subprocess.run(
            ["htpasswd", "-c", "-B", "-i", path, self.credentials.username],
            input=self.credentials.password.encode(),
            check=True,
            capture_output=True,
        )
        return path

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=1)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def running_registry(
    directory: Path, engine: EngineProbe, credentials: Credentials | None = None
) -> Iterator[Registry]:
    """Run a registry; afterwards no image of it is left in the engine."""
    registry = Registry(directory, credentials)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
        engine.remove_images(f"{registry.address}/")


@contextlib.contextmanager
def silent_address() -> Iterator[str]:
    """Give a host:port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)  # the kernel completes the handshakes; nobody accepts
        host, port = listener.getsockname()
        yield f"{host}:{port}"
