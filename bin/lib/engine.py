"""The few engine calls that the scripts make, with the standard library alone.

engine.py ping          does an engine answer?
engine.py has IMAGE     does it have the image?
engine.py pull IMAGE    pull it
engine.py import IMAGE  make it from the root file system that comes as a tar on standard input

The engine is the one of DOCKER_HOST (unix:// or tcp://, with DOCKER_TLS_VERIFY and
DOCKER_CERT_PATH), else the default socket's. Exit status 0 means yes.
"""

import http.client
import os
import socket
import ssl
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode, urlsplit

DEFAULT_HOST = "unix:///var/run/docker.sock"
ENGINE_PORT = 2375
# A pull is silent while a registry is slow; everything else answers within a second.
READ_TIMEOUT_SECONDS = 30


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        """Prepare a connection to the socket at `path`."""
        super().__init__("localhost", timeout=READ_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def tls_context() -> ssl.SSLContext:
    """Trust and identity from DOCKER_CERT_PATH, as the docker command reads it."""
    certificates = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    return context


def connection(docker_host: str) -> http.client.HTTPConnection:
    """Return an unopened connection to the engine."""
    url = urlsplit(docker_host)
    if url.scheme == "unix":
        return UnixConnection(url.path)
    if url.scheme != "tcp" or url.hostname is None:
        raise ValueError(f"DOCKER_HOST={docker_host} is neither unix:// nor tcp://")
    port = url.port or ENGINE_PORT
    if os.environ.get("DOCKER_TLS_VERIFY"):
        return http.client.HTTPSConnection(
            url.hostname, port, timeout=READ_TIMEOUT_SECONDS, context=tls_context()
        )
    return http.client.HTTPConnection(url.hostname, port, timeout=READ_TIMEOUT_SECONDS)


def request(docker_host: str, method: str, path: str, body: bytes | None = None) -> bool:
    """Make one request, read its answer to the end, and tell whether its status was 200."""
    engine = connection(docker_host)
    try:
        engine.request(method, path, body)
        answer = engine.getresponse()
        words = answer.read().decode(errors="replace").strip()
        if answer.status != HTTPStatus.OK:
            sys.stderr.write(f"the engine at {docker_host} answers {answer.status}: {words}\n")
        return answer.status == HTTPStatus.OK
    finally:
        engine.close()


def run(docker_host: str, verb: str, image: str) -> bool:
    """Carry out one verb of the command line."""
    repository, _, tag = image.rpartition(":")
    match verb:
        case "ping":
            return request(docker_host, "GET", "/_ping")
        case "has":
            return request(docker_host, "GET", f"/images/{image}/json")
        case "pull":
            query = urlencode({"fromImage": repository, "tag": tag})
            # A failed pull also answers 200, so look for what it should have brought.
            return request(docker_host, "POST", f"/images/create?{query}") and run(
                docker_host, "has", image
            )
        case "import":
            changes = [("changes", 'CMD ["sh"]'), ("changes", "ENV PATH=/bin")]
            query = urlencode([("fromSrc", "-"), ("repo", repository), ("tag", tag), *changes])
            rootfs = sys.stdin.buffer.read()
            if not rootfs:
                raise ValueError("there is no root file system on standard input")
            return request(docker_host, "POST", f"/images/create?{query}", rootfs)
    raise ValueError(f"unknown verb {verb}")


def main(verb: str, image: str = "") -> int:
    """Return the exit status."""
    docker_host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    try:
        return 0 if run(docker_host, verb, image) else 1
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"no engine answers at {docker_host} ({error})\n")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
