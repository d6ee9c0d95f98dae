"""The two requests of a probe, and what came of them; knows no command line."""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL


@dataclass(frozen=True)
class Target:
    """Where the service is, who asks, and how long one answer may take.

    ``authorization`` is the header of that name; ``ca_file`` holds the authorities to trust (PEM)
    in place of the system's.
    """

    url: URL
    authorization: str | None = field(repr=False)
    ca_file: Path | None
    timeout_seconds: float

    def session(self) -> aiohttp.ClientSession:
        """Return a new session for this target.

        Raises:
            OSError: the authorities cannot be read, or are none (``ssl.SSLError``).
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        return aiohttp.ClientSession(
            headers={"Authorization": self.authorization} if self.authorization else None,
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
        )


@dataclass(frozen=True)
class Outcome:
    """What came of one request; ``status`` is ``None`` when there was no answer."""

    check: str
    success: bool
    status: int | None
    seconds: float
    detail: str


@dataclass(frozen=True)
class _Request:
    check: str
    method: str
    url: URL
    wanted: HTTPStatus
    body: Mapping[str, object] | None = None


async def probe(target: Target, image: str, network: str) -> list[Outcome]:
    """Send one ``_noop`` and one task that exits at once, one after the other.

    Raises:
        OSError: see ``Target.session``.
    """
    task = {"docker_image": image, "cmd": ["true"], "network": network}
    async with target.session() as session:
        return [
            await _ask(session, _Request("noop", "GET", target.url / "v1.1/_noop", HTTPStatus.OK)),
            await _ask(
                session,
                _Request("task", "POST", target.url / "v1.1/tasks", HTTPStatus.CREATED, task),
            ),
        ]


async def _ask(session: aiohttp.ClientSession, request: _Request) -> Outcome:
    started = time.perf_counter()
    status = None
    try:
        # A redirect would be a wrong URL; following it would take the secret elsewhere.
        async with session.request(
            request.method, request.url, json=request.body, allow_redirects=False
        ) as response:
            status = response.status
            answer = await response.read()
        complaint = _complaint(status, answer, request.wanted)
    except TimeoutError:
        complaint = f"no whole answer within {session.timeout.total:g} seconds"
    except (aiohttp.ClientError, OSError) as error:
        complaint = str(error) or type(error).__name__
    seconds = time.perf_counter() - started
    return Outcome(request.check, not complaint, status, seconds, complaint)


def _complaint(status: int, answer: bytes, wanted: HTTPStatus) -> str:
    """Say what is wrong with an answer; nothing is if that is empty."""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return f"the answer, {status}, is no JSON object: is this ECS?"
    if status != wanted:
        return str(document.get("detail") or f"answered {status}, not {wanted.value}")
    if wanted == HTTPStatus.CREATED and document.get("exitCode") != 0:
        return f"the task ended with exit code {document.get('exitCode')}"
    return ""
