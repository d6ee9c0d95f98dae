"""What an engine can do at a request instead of what is asked of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fake_engine.connection import RAW_STREAM, Connection
from tests.fake_engine.requests import Request

Script = Callable[[Request, Connection], Awaitable[None]]


def answers(status: int, document: Any = None) -> Script:
    """Answer with a status, and a document or nothing."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.answer(status, document)

    return script


def sends(data: bytes) -> Script:
    """Send these bytes, whatever they mean, and close the connection."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.send(data)

    return script


def streams(*chunks: bytes, ends: bool = True) -> Script:
    """Answer 200 in chunks; the last one, which says that this is the end, can be left out."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.begin()
        for chunk in chunks:
            await connection.chunk(chunk)
        if ends:
            await connection.end()

    return script


def attached(*pieces: bytes) -> Script:
    """Take an attach, send these pieces of its stream, and end it."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.head(200, Content_Type=RAW_STREAM)
        for piece in pieces:
            await connection.send(piece)

    return script


def held(script: Script, released: asyncio.Event) -> Script:
    """Play the script, but not before it is released."""

    async def waiting(request: Request, connection: Connection) -> None:
        await released.wait()
        await script(request, connection)

    return waiting


async def closes(_: Request, connection: Connection) -> None:
    """Close the connection without a word."""


async def hangs(_: Request, connection: Connection) -> None:
    """Say nothing until the client goes away."""
    await connection.left()


async def hangs_after_head(_: Request, connection: Connection) -> None:
    """Send the headers, and then nothing until the client goes away."""
    await connection.begin()
    await connection.left()
