"""The engine's end of one connection: it speaks HTTP/1.1 by hand, so that it can speak it badly."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

RAW_STREAM = "application/vnd.docker.raw-stream"


class Connection:
    """The engine's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.is_reusable = False

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, **headers: str) -> None:
        """Send the status line and the headers."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "\r\n"]).encode())

    async def answer(self, status: int, document: Any = None, **headers: str) -> None:
        """Send a whole answer."""
        body = b"" if document is None else json.dumps(document).encode()
        await self.head(
            status, Content_Type="application/json", Content_Length=str(len(body)), **headers
        )
        await self.send(body)
        self.is_reusable = True

    async def begin(self) -> None:
        """Begin an answer in chunks."""
        await self.head(200, Content_Type="application/json", Transfer_Encoding="chunked")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def line(self, **fields: Any) -> None:
        """Send one line of JSON, as a pull does."""
        await self.chunk(json.dumps(fields).encode() + b"\r\n")

    async def end(self) -> None:
        """End an answer in chunks."""
        await self.send(b"0\r\n\r\n")
        self.is_reusable = True

    async def left(self) -> None:
        """Return when the client has closed its end."""
        while await self.reader.read(65536):
            pass
