"""Verbs about containers: create, attach, start, rename, wait, kill, inspect, logs, list,
delete."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from ecs.docker_remote_api.connection import DockerRemoteApi, chunks
from ecs.docker_remote_api.fields import boolean, integer, mapping, text
from ecs.docker_remote_api.multiplexed_stream import MultiplexedStreamDecoder, Stream
from ecs.errors import EngineFailedError, EngineProtocolError, EngineUnreachableError

OutputChunks = AsyncIterator[list[tuple[Stream, bytes]]]


class _ContainerVerb:
    def __init__(self, api: DockerRemoteApi) -> None:
        self._api = api


class AsyncContainerCreator(_ContainerVerb):
    """``POST /containers/create``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
    """

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container from the API's own body and return its id.

        Raises:
            EngineNotFoundError: there is no such image.
            EngineConflictError: the name is taken.
            EngineRefusedError: a bad parameter; the text is the engine's.
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request(
            "POST", "/containers/create", params={"name": name}, body=body
        )
        return text(answer, "Id")


class AsyncContainerAttacher(_ContainerVerb):
    """``POST /containers/{id}/attach``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
    """

    @asynccontextmanager
    async def output(self, container: str) -> AsyncIterator[OutputChunks]:
        """Attach to stdout and stderr; entered when the engine has taken the attach.

        Yields an iterator over what each read brought, which ends when the container's main
        process has. Attach before the start and read to the end, or leave: an attach that nobody
        reads blocks the task, and with it kill, inspect and delete.

        Raises:
            EngineNotFoundError: there is no such container.
            MultiplexedStreamError: the stream is broken.
            EngineError: no answer, or none of the API.
        """
        params = {"stream": "1", "stdout": "1", "stderr": "1"}
        async with self._api.stream(
            "POST", f"/containers/{container}/attach", params=params
        ) as response:
            yield _decoded(response)

    @asynccontextmanager
    async def input(self, container: str) -> AsyncIterator["ContainerInput"]:
        """Attach to stdin alone; entered when the engine has taken the attach.

        A second connection, so that the end of stdin is the end of the connection: asyncio's TLS
        transport cannot close one half of one. Create the container with ``StdinOnce``.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineError: no answer, or none of the API.
        """
        params = {"stream": "1", "stdin": "1"}
        # Without the upgrade the engine may take the connection over before we may write to it.
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        async with self._api.stream(
            "POST", f"/containers/{container}/attach", params=params, headers=headers
        ) as response:
            if response.connection is None:
                raise EngineProtocolError("the engine did not open the attach of stdin")
            stdin = ContainerInput(response.connection)
            try:
                yield stdin
            finally:
                stdin.abort()


class ContainerInput:
    """The writing end of a task's stdin."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, pieces: Iterable[bytes]) -> None:
        """Hand bytes over, without waiting for them to be read.

        Raises:
            EngineUnreachableError: the connection is gone.
        """
        self._transport().writelines(pieces)

    def send_all(self, data: bytes) -> None:
        """Hand over everything and then the end of file, without waiting for it to be read.

        Raises:
            EngineUnreachableError: the connection is gone.
        """
        transport = self._transport()
        transport.write(data)
        transport.close()

    def _transport(self) -> asyncio.WriteTransport:
        transport = self._connection.transport
        if not isinstance(transport, asyncio.WriteTransport):
            raise EngineUnreachableError("the engine closed the attach of stdin")
        return transport

    def abort(self) -> None:
        """Drop what was not yet read."""
        # None once the connection is gone: asyncio's own transport cannot be aborted then.
        transport = self._connection.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class AsyncContainerStarter(_ContainerVerb):
    """``POST /containers/{id}/start``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerStart
    """

    async def start(self, container: str) -> None:
        """Start a created container.

        Raises:
            EngineRefusedError: its command cannot be run (``inspect`` tells 126 or 127), or it
                has no network of that name.
            EngineError: the engine failed, no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/start")


class AsyncContainerRenamer(_ContainerVerb):
    """``POST /containers/{id}/rename``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerRename
    """

    async def rename(self, container: str, name: str) -> None:
        """Give a container another name; it may be running.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineConflictError: the name is taken.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/rename", params={"name": name})


class AsyncContainerWaiter(_ContainerVerb):
    """``POST /containers/{id}/wait``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerWait
    """

    async def exit_code(self, container: str, *, timeout_seconds: float) -> int:
        """Return the exit code of a container that was started, as soon as it does not run.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineFailedError: the engine could not wait; the text is its own.
            EngineUnreachableError: it did not end in time, or no answer.
            EngineError: the answer is none of the API.
        """
        answer = await self._api.request(
            "POST",
            f"/containers/{container}/wait",
            params={"condition": "not-running"},
            timeout_seconds=timeout_seconds,
        )
        return _exit_code(answer)

    @asynccontextmanager
    async def next_exit(self, container: str) -> AsyncIterator["ContainerExit"]:
        """Wait for the next exit; entered when the engine has taken the wait.

        Open it before the start: asked after the exit it never answers. Leave it if the start
        fails: it would never answer either.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineError: no answer, or none of the API.
        """
        async with self._api.stream(
            "POST", f"/containers/{container}/wait", params={"condition": "next-exit"}
        ) as response:
            yield ContainerExit(response)


class ContainerExit:
    """An exit that is still to come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def code(self) -> int:
        """Return the exit code, 0 to 255, when the container has exited.

        Raises:
            EngineFailedError: the engine could not wait; the text is its own.
            EngineError: the connection broke, or the answer is none of the API.
        """
        body = b"".join([chunk async for chunk in chunks(self._response)])
        if not body:
            raise EngineUnreachableError("the engine ended the wait without an exit code")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise EngineProtocolError("the engine's answer to wait is not JSON") from error
        return _exit_code(answer)


def _exit_code(answer: object) -> int:
    failure = mapping(answer, "Error")
    if failure:
        raise EngineFailedError(str(failure.get("Message")))
    return integer(answer, "StatusCode")


class AsyncContainerKiller(_ContainerVerb):
    """``POST /containers/{id}/kill``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerKill
    """

    async def kill(self, container: str, signal: str) -> None:
        """Send ``signal`` (such as ``SIGTERM``) to the container's main process.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineConflictError: it is not running.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/kill", params={"signal": signal})


@dataclass(frozen=True)
class ContainerState:
    """What ``inspect`` says of a container's process."""

    status: str
    exit_code: int
    oom_killed: bool
    error: str


class AsyncContainerInspector(_ContainerVerb):
    """``GET /containers/{id}/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerInspect
    """

    async def state(self, container: str) -> ContainerState:
        """Return the state of a container's process.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", f"/containers/{container}/json")
        state = mapping(answer, "State")
        return ContainerState(
            status=text(state, "Status"),
            exit_code=integer(state, "ExitCode"),
            oom_killed=boolean(state, "OOMKilled"),
            error=text(state, "Error"),
        )


class AsyncContainerLogsReader(_ContainerVerb):
    """``GET /containers/{id}/logs``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerLogs
    """

    @asynccontextmanager
    async def output(self, container: str) -> AsyncIterator[OutputChunks]:
        """Read what the engine's log driver kept of stdout and stderr.

        No substitute for an attach: the driver ``none``, which a task's container has, keeps
        nothing, and ``local`` drops the oldest without a word.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineFailedError: the log driver cannot be read.
            EngineError: no answer, or none of the API.
        """
        async with self._api.stream(
            "GET", f"/containers/{container}/logs", params={"stdout": "1", "stderr": "1"}
        ) as response:
            yield _decoded(response)


@dataclass(frozen=True)
class ListedContainer:
    """One container of a list."""

    container_id: str
    names: Sequence[str]
    labels: Mapping[str, str]
    state: str


class AsyncContainerLister(_ContainerVerb):
    """``GET /containers/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList
    """

    async def with_label(self, label: str) -> list[ListedContainer]:
        """Return all containers, running or not, that carry ``label`` (``name`` or ``name=value``).

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request(
            "GET",
            "/containers/json",
            params={"all": "1", "filters": json.dumps({"label": [label]})},
        )
        if not isinstance(answer, list):
            raise EngineProtocolError("the engine's list of containers is not a list")
        return [
            ListedContainer(
                container_id=text(item, "Id"),
                names=[str(name).removeprefix("/") for name in item.get("Names") or ()],
                labels=mapping(item, "Labels"),
                state=text(item, "State"),
            )
            for item in answer
        ]


class AsyncContainerDeleter(_ContainerVerb):
    """``DELETE /containers/{id}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerDelete
    """

    async def delete(self, container: str) -> None:
        """Kill a container if it runs, and delete it with its anonymous volumes.

        Raises:
            EngineNotFoundError: there is no such container (any more).
            EngineConflictError: it is being deleted already.
            EngineError: no answer, or none of the API.
        """
        await self._api.request(
            "DELETE", f"/containers/{container}", params={"force": "1", "v": "1"}
        )


async def _decoded(response: aiohttp.ClientResponse) -> OutputChunks:
    decoder = MultiplexedStreamDecoder()
    async for chunk in chunks(response):
        yield list(decoder.feed(chunk))
    decoder.close()
