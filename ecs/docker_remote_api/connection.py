"""The way to one Docker Engine: unix socket, TCP or TLS; API version; status → error.

Every fault of the transport leaves here as an ``EngineError``; no aiohttp error goes further up.
"""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from ecs.docker_remote_api.fields import parsed
from ecs.docker_remote_api.operations import operation_name
from ecs.errors import (
    EngineConflictError,
    EngineError,
    EngineFailedError,
    EngineNotFoundError,
    EngineProtocolError,
    EngineRefusedError,
    EngineUnreachableError,
)

Version = tuple[int, int]
RequestObserver = Callable[[str, str, float], None]
"""Is told of each request: its operation (see ``operations``), the status code or ``UNREACHABLE``,
and the seconds until the head of the answer."""
UNREACHABLE = "unreachable"

MIN_API_VERSION: Version = (1, 41)
"""Engine 20.10."""
MAX_API_VERSION: Version = (1, 51)
"""The newest whose documentation this client was written against."""

_DEFAULT_TCP_PORT = 2375
_DEFAULT_TLS_PORT = 2376
_MAX_ERROR_BYTES = 64 * 1024
_READ_BUFFER_BYTES = 256 * 1024
_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _INTERNAL_SERVER_ERROR = 400, 404, 409, 500


@dataclass(frozen=True)
class EngineAddress:
    """Where the engine listens.

    ``docker_host`` is ``unix:///path`` or ``tcp://host:port``; ``cert_path`` is the directory with
    ``ca.pem``, ``cert.pem`` and ``key.pem`` when the engine wants TLS client certificates.
    """

    docker_host: str
    cert_path: Path | None = None

    def connector(self) -> tuple[aiohttp.BaseConnector, str]:
        """Return a new connector and the base URL for it.

        Raises:
            ValueError: the address is none that ECS understands, or a certificate is unreadable.
        """
        parts = urlsplit(self.docker_host)
        if parts.scheme == "unix" and parts.path:
            return aiohttp.UnixConnector(parts.path, limit=0), "http://docker"
        if parts.scheme != "tcp" or not parts.hostname:
            raise ValueError("must be unix:///path/to/socket or tcp://host:port")
        tls = self._tls_context()
        port = parts.port or (_DEFAULT_TLS_PORT if tls else _DEFAULT_TCP_PORT)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if tls is None:
            return aiohttp.TCPConnector(limit=0), f"http://{host}:{port}"
        return aiohttp.TCPConnector(limit=0, ssl=tls), f"https://{host}:{port}"

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.cert_path is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cert_path / "ca.pem")
            context.load_cert_chain(
                self.cert_path / "cert.pem", self.cert_path / "key.pem", password=_no_password
            )
        except OSError as error:
            raise ValueError(f"cannot use the TLS files in {self.cert_path}: {error}") from error
        return context


def _no_password() -> str:
    # Without this OpenSSL would ask the terminal of a service that may have none.
    raise ValueError("key.pem is encrypted, and there is nobody to type its password; decrypt it")


class DockerRemoteApi:
    """Requests to one engine. Use as an async context manager; one for the whole process.

    Making one connects nothing yet, and raises ``ValueError`` for an address that is none.
    """

    def __init__(
        self,
        address: EngineAddress,
        *,
        timeout_seconds: float,
        observe: RequestObserver = lambda operation, code, seconds: None,
    ) -> None:
        self._connector, self._base_url = address.connector()
        self._timeout_seconds = timeout_seconds
        self._observe = observe
        self._version: Version | None = None
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            # Every wait has a bound of its own below; a running task's stream has none here.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            read_bufsize=_READ_BUFFER_BYTES,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def ping(self) -> Version:
        """Ask the engine whether it answers and return its newest API version.

        Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System/operation/SystemPingHead

        Raises:
            EngineUnreachableError: no answer.
            EngineProtocolError: what answers is no engine, or one below ``MIN_API_VERSION``.
        """
        async with self._open("HEAD", "/_ping") as response:
            if response.status >= _BAD_REQUEST:
                raise EngineFailedError(f"the engine answered its ping with {response.status}")
            text = response.headers.get("Api-Version", "")
        major, dot, minor = text.partition(".")
        if not (dot and major.isdecimal() and minor.isdecimal()):
            raise EngineProtocolError("what answers at DOCKER_HOST names no Docker API version")
        version = int(major), int(minor)
        if version < MIN_API_VERSION:
            needed = format_version(MIN_API_VERSION)
            raise EngineProtocolError(f"the engine speaks API {text}, ECS needs {needed} or newer")
        return version

    async def api_version(self) -> str:
        """Return the version spoken, the lower of the engine's newest and ours."""
        if self._version is None:
            self._version = min(await self.ping(), MAX_API_VERSION)
        return format_version(self._version)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Send one request and return the parsed JSON of its answer, ``None`` if it is empty.

        Raises:
            EngineError: of the class that fits, see ``ecs.errors``.
        """
        bound = timeout_seconds or self._timeout_seconds
        async with self.stream(
            method, path, params=params, body=body, timeout_seconds=bound
        ) as response:
            with _translated(bound):
                async with asyncio.timeout(bound):
                    answer = await response.read()
        if not answer.strip():
            return None
        return parsed(
            answer, f"the engine answered {method} {path} with something that is not JSON"
        )

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield its response when the headers are there and the status good.

        A ``body`` of bytes is a tar archive; any other is sent as JSON. ``timeout_seconds`` bounds
        the wait for the headers alone. Read the body through ``chunks``; a connection whose body
        was not read to its end is closed.

        Raises:
            EngineError: of the class that fits, see ``ecs.errors``.
        """
        async with self._open(
            method,
            path,
            version=f"/v{await self.api_version()}",
            timeout_seconds=timeout_seconds,
            params=params,
            headers=headers,
            **_payload(body),
        ) as response:
            if response.status == _BAD_REQUEST:
                self._version = None  # so an engine answers that came back as an older version
            if response.status >= _BAD_REQUEST:
                raise _error_for(response.status, await self._message(response))
            yield response

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        version: str = "",
        timeout_seconds: float | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        bound = timeout_seconds or self._timeout_seconds
        operation, began = operation_name(method, path), time.monotonic()
        try:
            with _translated(bound):
                async with asyncio.timeout(bound):
                    # A redirect would take X-Registry-Auth to wherever it points.
                    response = await self._session.request(
                        method, self._base_url + version + path, allow_redirects=False, **kwargs
                    )
        except EngineUnreachableError:
            self._version = None  # the engine may come back as another version
            self._observe(operation, UNREACHABLE, time.monotonic() - began)
            raise
        self._observe(operation, str(response.status), time.monotonic() - began)
        try:
            yield response
        finally:
            response.release()

    async def _message(self, response: aiohttp.ClientResponse) -> str:
        with _translated(self._timeout_seconds):
            async with asyncio.timeout(self._timeout_seconds):
                body = b""
                while len(body) < _MAX_ERROR_BYTES and (more := await response.content.readany()):
                    body += more
        try:
            message = json.loads(body)["message"]
        except (ValueError, LookupError, TypeError, RecursionError):
            message = body.decode(errors="replace")
        return str(message).strip()


async def chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a response's body as it arrives.

    Raises:
        EngineError: the connection broke.
    """
    with _translated(None):
        async for chunk in response.content.iter_any():
            yield chunk


async def read_whole(response: aiohttp.ClientResponse) -> bytes:
    """Return a response's body when all of it has arrived; only the caller bounds the wait.

    Raises:
        EngineError: the connection broke.
    """
    return b"".join([chunk async for chunk in chunks(response)])


def format_version(version: Version) -> str:
    """``(1, 41)`` → ``"1.41"``."""
    return f"{version[0]}.{version[1]}"


def _payload(body: object) -> dict[str, Any]:
    if isinstance(body, bytes):
        return {"data": aiohttp.BytesIOPayload(BytesIO(body), content_type="application/x-tar")}
    return {"json": body}


@contextmanager
def _translated(timeout_seconds: float | None) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientConnectionError, OSError) as error:
        # TimeoutError is an OSError; so is what a broken TLS handshake raises.
        if isinstance(error, TimeoutError) and timeout_seconds is not None:
            raise EngineUnreachableError(
                f"the engine did not answer within {timeout_seconds:g} seconds"
            ) from error
        raise EngineUnreachableError(f"the engine cannot be reached: {error}") from error
    except aiohttp.ClientError as error:
        raise EngineProtocolError(f"the engine's answer cannot be understood: {error}") from error


def _error_for(status: int, message: str) -> EngineError:
    if status >= _INTERNAL_SERVER_ERROR:
        return EngineFailedError(message)
    kinds = {_NOT_FOUND: EngineNotFoundError, _CONFLICT: EngineConflictError}
    return kinds.get(status, EngineRefusedError)(message)
