"""Verbs that carry what a container reads and writes: attach, logs."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.connector import Connection

from ecs.docker_remote_api.connection import chunks
from ecs.docker_remote_api.multiplexed_stream import MultiplexedStreamDecoder, Stream
from ecs.docker_remote_api.verb import Verb
from ecs.errors import EngineProtocolError, EngineUnreachableError

OutputChunks = AsyncIterator[list[tuple[Stream, bytes]]]


class AsyncContainerAttacher(Verb):
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


class AsyncContainerLogsReader(Verb):
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


async def _decoded(response: aiohttp.ClientResponse) -> OutputChunks:
    decoder = MultiplexedStreamDecoder()
    async for chunk in chunks(response):
        yield list(decoder.feed(chunk))
    decoder.close()
