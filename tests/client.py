"""A caller of the service's HTTP API, as plain as tests need it."""

import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.images import BUSYBOX


@dataclass(frozen=True)
class Answer:
    """A whole answer; `document` is its JSON."""

    status: int
    headers: Mapping[str, str]
    document: dict[str, Any]

    @property
    def stdout(self) -> bytes:
        return base64.b64decode(self.document["stdout"], validate=True)

    @property
    def stderr(self) -> bytes:
        return base64.b64decode(self.document["stderr"], validate=True)


class Caller:
    """Sends requests to one service."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def run(self, *cmd: str, image: str = BUSYBOX, **fields: Any) -> Answer:
        """POST a task and return the answer, whatever it is."""
        return await self.post({"docker_image": image, "cmd": list(cmd), **fields})

    async def post(self, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a body: bytes as they are, anything else as JSON."""
        async with self.session.post(
            f"{self.url}/v1.1/tasks",
            # As a file: aiohttp warns of large bytes.
            data=io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode()),
            headers={"Content-Type": "application/json", **(headers or {})},
        ) as response:
            return Answer(response.status, response.headers, json.loads(await response.read()))

    async def get(self, path: str) -> Answer:
        async with self.session.get(f"{self.url}{path}") as response:
            return Answer(response.status, response.headers, json.loads(await response.read()))

    @asynccontextmanager
    async def stream(
        self, accept: str, *cmd: str, image: str = BUSYBOX, **fields: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """POST a task and yield the response as soon as it has begun."""
        async with self.session.post(
            f"{self.url}/v1.1/tasks",
            json={"docker_image": image, "cmd": list(cmd), **fields},
            headers={"Accept": accept},
        ) as response:
            yield response


@dataclass(frozen=True)
class ServerSentEvent:
    """One event of a stream; `name` is empty for a comment."""

    name: str
    document: dict[str, Any]


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a text/event-stream as they arrive."""
    block: dict[str, str] = {}
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text:
            field, _, value = text.partition(": ")
            block[field] = value
        elif block:
            yield ServerSentEvent(block.get("event", ""), json.loads(block.get("data", "{}")))
            block = {}


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """A caller with as many connections as it needs."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, read_bufsize=2**20
    ) as session:
        yield Caller(session, url)
