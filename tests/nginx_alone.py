"""The front door's real image in front of scripted servers, which record what reaches them."""

import json
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web

from ecs.ecsctl.htpasswd import KeyFile
from tests.front_door import API, DOCS, ROOT, ToLoopback, authorization, docker
from tests.network import bridge_gateway
from tests.waiting import eventually

IMAGE = "ecs/nginx:latest"
HARDENED = [
    "--read-only", "--cap-drop=ALL", "--cap-add=CHOWN", "--cap-add=DAC_READ_SEARCH",
    "--cap-add=NET_BIND_SERVICE", "--cap-add=SETGID", "--cap-add=SETUID",
    "--security-opt=no-new-privileges",
]  # fmt: skip
START_SECONDS = 20
BUILD_TIMEOUT_SECONDS = 900

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """A server behind nginx; ``answer`` may be replaced, ``requests`` are what came."""

    port: int = 0
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request) if self.answer else web.json_response({"ok": True})


@dataclass(frozen=True)
class Nginx:
    """A running front door."""

    container: str
    https_port: int
    http_port: int
    service: Upstream
    apidocs: Upstream
    keys: KeyFile
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{API}:{self.https_port}"

    @property
    def docs_url(self) -> str:
        return f"https://{DOCS}:{self.https_port}"

    def add_key(self, key: str, secret: str) -> dict[str, str]:
        """Make a key, and return the header that shows it."""
        self.keys.add(key, secret, comment="", made=datetime.now(UTC))
        return authorization(key, secret)

    def session(self, auth: dict[str, str] | None = None) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.trust, resolver=ToLoopback(), limit=0),
            headers=auth,
            timeout=aiohttp.ClientTimeout(total=60),
        )

    def connection(self) -> ssl.SSLSocket:
        """A bare connection to the API's domain."""
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout=30)
        return self.trust.wrap_socket(plain, server_hostname=API)

    def log(self) -> str:
        done = subprocess.run(
            ["docker", "logs", self.container], capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr


def build_image() -> None:
    """Build the image, or see that it is built."""
    subprocess.run(
        [ROOT / "bin" / "build-images", "nginx"], check=True, timeout=BUILD_TIMEOUT_SECONDS
    )


def engine_gateway() -> str:
    """This machine's address as containers on the engine's own bridge see it."""
    ipam = docker("network", "inspect", "bridge", "--format", "{{json .IPAM}}")
    return bridge_gateway(json.loads(ipam))


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Run a scripted server that containers can reach."""
    server = Upstream()
    application = web.Application(client_max_size=2**26)
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, engine_gateway(), 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def run_arguments(directory: Path, settings: dict[str, str], run_size: str = "16m") -> list[str]:
    """The arguments of ``docker run``; the directory holds ``tls`` and ``keys``."""
    return [
        *HARDENED, f"--tmpfs=/run/nginx:size={run_size}",
        f"--volume={directory}/tls:/etc/ecs/tls:ro", f"--volume={directory}/keys:/etc/ecs/keys:ro",
        *(f"--env={name}={value}" for name, value in settings.items()), IMAGE,
    ]  # fmt: skip


@asynccontextmanager
async def running_nginx(run_size: str = "16m", **settings: str) -> AsyncIterator[Nginx]:
    """Start the front door with the settings, and two scripted servers behind it."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(directory_for_nginx())
        service = await stack.enter_async_context(upstream())
        apidocs = await stack.enter_async_context(upstream())
        authority = make_certificate(directory)
        keys = KeyFile(directory / "keys" / "htpasswd", warn=print)
        gateway = engine_gateway()
        everything = {
            "NGINX_SERVICE": f"{gateway}:{service.port}",
            "NGINX_APIDOCS": f"{gateway}:{apidocs.port}",
            **settings,
        }
        container = docker(
            "run", "--detach", "--publish=443", "--publish=80",
            *run_arguments(directory, everything, run_size),
        ).strip()  # fmt: skip
        try:
            trust = ssl.create_default_context()
            authority.configure_trust(trust)
            nginx = Nginx(
                container, published(container, 443), published(container, 80),
                service, apidocs, keys, trust,
            )  # fmt: skip
            async with nginx.session() as session:
                await eventually(lambda: _answers(session, nginx), START_SECONDS)
            yield nginx
        finally:
            docker("rm", "--force", "--volumes", container)


@contextmanager
def directory_for_nginx() -> Iterator[Path]:
    """A directory, readable by nginx's workers, that is to hold ``tls`` and ``keys``."""
    with tempfile.TemporaryDirectory(prefix="ecs-nginx-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "keys").mkdir()
        yield directory


def make_certificate(directory: Path) -> trustme.CA:
    """Write what the front door needs of TLS, and return who signed it."""
    tls = directory / "tls"
    tls.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(API, DOCS)
    certificate.private_key_pem.write_to_path(tls / "privkey.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tls / "fullchain.pem", append=True)
    return authority


def published(container: str, port: int) -> int:
    """This machine's port that leads to one of the container's."""
    return int(docker("port", container, f"{port}/tcp").splitlines()[0].rpartition(":")[2])


async def _answers(session: aiohttp.ClientSession, nginx: Nginx) -> bool:
    try:
        async with session.get(nginx.url):
            return True
    except aiohttp.ClientConnectionError:
        return False


async def document_of(answer: aiohttp.ClientResponse) -> Any:
    """The JSON of an answer, whatever its media type says."""
    return await answer.json(content_type=None)
