"""A second Docker engine on this machine, reached over TCP with TLS on both sides.

It has a network namespace of its own: dockerd --bridge=none deletes an existing docker0, which
would take the first engine's network away. The test makes the listening socket outside and hands
it in, so 127.0.0.1 is still the test's. And it has a mount namespace of its own: whatever it
mounts is gone with its last process.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import trustme
from docker.errors import DockerException
from docker.tls import TLSConfig

from tests.engines import EngineProbe
from tests.images import import_busybox

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 30

# The socket must be file descriptor 3, and LISTEN_PID the pid that dockerd is going to have.
# dockerd would share a system-wide containerd, which does not see this mount namespace: hide it.
START_SCRIPT = """
exec 3<&"$0" && export LISTEN_FDS=1 LISTEN_PID=$$
mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd
exec dockerd "$@"
"""


@dataclasses.dataclass(frozen=True)
class TlsEngine:
    url: str  # tcp://127.0.0.1:port
    certificates: Path  # a DOCKER_CERT_PATH: ca.pem, cert.pem, key.pem
    probe: EngineProbe

    @property
    def settings(self) -> dict[str, str]:
        """Those of a service that uses it."""
        return {
            "DOCKER_HOST": self.url,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.certificates),
            "ECS_TASK_NETWORK": "none",
        }


def write_certificates(directory: Path) -> tuple[Path, Path]:
    """Make one authority, a server's and a client's certificate; return the two directories."""
    authority = trustme.CA()
    server, client = directory / "server", directory / "client"
    for path, identity in (
        (server, authority.issue_cert("127.0.0.1")),
        (client, authority.issue_cert("client.example")),
    ):
        path.mkdir()
        authority.cert_pem.write_to_path(path / "ca.pem")
        identity.cert_chain_pems[0].write_to_path(path / "cert.pem")
        identity.private_key_pem.write_to_path(path / "key.pem")
    return server, client


def start_dockerd(
    directory: Path, certificates: Path, listener: socket.socket
) -> subprocess.Popen[bytes]:
    """Start the engine on the listener, with all its files in the directory."""
    options = {
        "host": "fd://",
        "tlsverify": "true",
        "tlscacert": certificates / "ca.pem",
        "tlscert": certificates / "cert.pem",
        "tlskey": certificates / "key.pem",
        "bridge": "none",
        "iptables": "false",
        "data-root": directory / "data",
        "exec-root": directory / "exec",
        "pidfile": directory / "dockerd.pid",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    descriptor = str(listener.fileno())
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            ["unshare", "--mount", "--net", "bash", "-euc", START_SCRIPT, descriptor, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )


def stop_dockerd(process: subprocess.Popen[bytes], directory: Path) -> None:
    """Stop the engine; it takes its containers and its containerd with it unless it hangs."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid_file = directory / "exec" / "containerd" / "containerd.pid"
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        raise


def connect(url: str, certificates: Path, environment: pytest.MonkeyPatch) -> docker.DockerClient:
    """Return a client once the engine serves: until then the socket's backlog holds its request."""
    tls = TLSConfig(
        client_cert=(str(certificates / "cert.pem"), str(certificates / "key.pem")),
        ca_cert=str(certificates / "ca.pem"),
        verify=True,
    )
    # docker-py calls requests, where this machine's bundle would win over the client's own ca_cert.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        environment.delenv(name, raising=False)
    return docker.DockerClient(url, tls=tls, version="auto", timeout=START_TIMEOUT_SECONDS)


@contextlib.contextmanager
def running_tls_engine() -> Iterator[TlsEngine]:
    """Run the engine, with busybox in it."""
    # A short path: containerd's sockets lie below it, and a socket's path is limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="ecs-test-"))
    server_certificates, certificates = write_certificates(directory)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        process = start_dockerd(directory, server_certificates, listener)
    try:
        with (
            pytest.MonkeyPatch.context() as environment,
            contextlib.closing(connect(url, certificates, environment)) as client,
        ):
            import_busybox(client)
            yield TlsEngine(url, certificates, EngineProbe(client))
    except DockerException:
        print((directory / "log").read_text()[-4000:])
        raise
    finally:
        stop_dockerd(process, directory)
        shutil.rmtree(directory)
