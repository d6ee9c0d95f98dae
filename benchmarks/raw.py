"""The shortest sequence of engine calls that loses no output: the yardstick of the benchmarks.

It shares no code with the service, so that a mistake there cannot hide in both.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

BENCHMARK_LABEL = "ecs.benchmark"
DEFAULT_SOCKET = "unix:///var/run/docker.sock"

# The longest that one container may take before it counts as a failure.
CONTAINER_LIMIT_SECONDS = 120.0
# A read of the attached stream; large enough that the client is not what limits 100 MB.
READ_BUFFER_BYTES = 1 << 20

FRAME_HEADER = struct.Struct(">BxxxL")
STDOUT_STREAM = 1
STDERR_STREAM = 2

JsonObject = dict[str, Any]
Collected = TypeVar("Collected")


class WrongAnswerError(Exception):
    """A way to run a command answered, but not with what the command wrote."""


@dataclass(frozen=True)
class Answer:
    """What a finished command left."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    def must_be(self, stdout: bytes) -> None:
        """Raise WrongAnswerError unless the command succeeded and wrote exactly this."""
        if self != Answer(0, stdout, b""):
            raise WrongAnswerError(f"expected {stdout!r} and exit code 0, got {self!r}")


class StdoutCounter:
    """Counts the bytes of stdout in a multiplexed stream that is too long to be kept."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.size_bytes = 0
        self._header = b""
        self._stream = STDOUT_STREAM
        self._left = 0

    async def count(self, stream: aiohttp.StreamReader) -> int:
        """Read a stream to its end; return how many bytes of it were stdout's."""
        async for chunk in stream.iter_any():
            self._take(memoryview(chunk))
        if self._left or self._header:
            raise WrongAnswerError("the stream ends within a frame")
        return self.size_bytes

    def _take(self, chunk: memoryview) -> None:
        while chunk:
            if not self._left:
                missing = FRAME_HEADER.size - len(self._header)
                self._header += bytes(chunk[:missing])
                chunk = chunk[missing:]
                if len(self._header) < FRAME_HEADER.size:
                    return
                self._stream, self._left = FRAME_HEADER.unpack(self._header)
                self._header = b""
            taken = min(self._left, len(chunk))
            self._left -= taken
            self.size_bytes += taken if self._stream == STDOUT_STREAM else 0
            chunk = chunk[taken:]


def split_frames(body: bytes) -> tuple[bytes, bytes]:
    """Split a whole multiplexed stream into stdout and stderr."""
    streams: dict[int, list[bytes]] = {STDOUT_STREAM: [], STDERR_STREAM: []}
    position = 0
    while position < len(body):
        stream, length = FRAME_HEADER.unpack_from(body, position)
        position += FRAME_HEADER.size
        payload = body[position : position + length]
        if len(payload) != length or stream not in streams:
            raise WrongAnswerError(f"frame of stream {stream} is cut or unknown")
        streams[stream].append(payload)
        position += length
    return b"".join(streams[STDOUT_STREAM]), b"".join(streams[STDERR_STREAM])


class RawEngine:
    """The Docker Remote API, one method a verb, over one keep-alive session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use a session whose base URL is the engine's API."""
        self._session = session

    async def run(self, body: JsonObject) -> tuple[str, Answer]:
        """Run one container to its complete answer; return its id for `delete`, and the answer."""
        container_id, stream, exit_code = await self.run_with(body, aiohttp.StreamReader.read)
        return container_id, Answer(exit_code, *split_frames(stream))

    async def run_with(
        self, body: JsonObject, collect: Callable[[aiohttp.StreamReader], Awaitable[Collected]]
    ) -> tuple[str, Collected, int]:
        """Create, attach, wait, start, collect: container id, what was collected, exit code."""
        async with asyncio.timeout(CONTAINER_LIMIT_SECONDS):
            container_id = await self._create(body)
            try:
                collected, exit_code = await self._start_and_collect(container_id, collect)
            except BaseException:
                await asyncio.shield(self.delete(container_id))
                raise
            return container_id, collected, exit_code

    async def _create(self, body: JsonObject) -> str:
        async with self._session.post("containers/create", json=body) as response:
            return str((await response.json())["Id"])

    async def _start_and_collect(
        self,
        container_id: str,
        collect: Callable[[aiohttp.StreamReader], Awaitable[Collected]],
    ) -> tuple[Collected, int]:
        path = f"containers/{container_id}"
        output = {"stream": "1", "stdout": "1", "stderr": "1"}
        next_exit = {"condition": "next-exit"}
        # Both streams must stand before the start: a later attach loses output, a later wait hangs.
        async with (
            self._session.post(f"{path}/attach", params=output) as attached,
            self._session.post(f"{path}/wait", params=next_exit) as waiting,
        ):
            async with self._session.post(f"{path}/start"):
                pass
            collected = await collect(attached.content)
            ended = json.loads(await waiting.read())
            return collected, int(ended["StatusCode"])

    async def delete(self, container_id: str) -> None:
        """Remove a container, running or not, with its volumes."""
        flags = {"force": "1", "v": "1"}
        async with self._session.delete(f"containers/{container_id}", params=flags):
            pass

    async def containers(self, label: str) -> list[JsonObject]:
        """List all containers, ended ones too, that carry a label (`name` or `name=value`)."""
        query = {"all": "1", "filters": json.dumps({"label": [label]})}
        async with self._session.get("containers/json", params=query) as response:
            found: list[JsonObject] = await response.json()
            return found

    async def inspect(self, container_id: str) -> JsonObject:
        """Return everything the engine tells of a container."""
        return await self._get(f"containers/{container_id}/json")

    async def sweep(self, label: str) -> int:
        """Delete whatever carries this label; return how many containers that were."""
        left = await self.containers(label)
        for container in left:
            await self.delete(container["Id"])
        return len(left)

    async def version(self) -> JsonObject:
        """Ask for the versions of the engine and of its parts."""
        return await self._get("version")

    async def info(self) -> JsonObject:
        """Ask for the engine's storage driver, cgroup version and the like."""
        return await self._get("info")

    async def _get(self, path: str) -> JsonObject:
        async with self._session.get(path) as response:
            answer: JsonObject = await response.json()
            return answer


def engine_socket(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the engine's unix socket, from DOCKER_HOST if that is set."""
    scheme, _, path = environment.get("DOCKER_HOST", DEFAULT_SOCKET).partition("://")
    if scheme != "unix":
        raise ValueError("the benchmarks need an engine on a unix socket; unset DOCKER_HOST")
    return path


@asynccontextmanager
async def raw_engine() -> AsyncIterator[RawEngine]:
    """Open a session to the engine, in the newest API version that it speaks."""
    socket = engine_socket()
    async with _session(socket, "http://engine/") as unversioned:
        api_version = (await RawEngine(unversioned).version())["ApiVersion"]
    async with _session(socket, f"http://engine/v{api_version}/") as session:
        yield RawEngine(session)


def _session(socket: str, base_url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url,
        connector=aiohttp.UnixConnector(socket, limit=0),
        raise_for_status=True,
        read_bufsize=READ_BUFFER_BYTES,
        timeout=aiohttp.ClientTimeout(total=None),
    )
