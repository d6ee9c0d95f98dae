"""What a task writes: captured as it comes, bounded in memory, readable by many at their own pace.

Each stream has a spool of its own; a third one holds the order in which pieces of the two arrived.
"""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.spool import Spool

_ORDER_RECORD = struct.Struct(">BI")
_STREAM_NUMBERS = {Stream.STDOUT: 1, Stream.STDERR: 2}
_STREAMS = {number: stream for stream, number in _STREAM_NUMBERS.items()}
FOLLOWER_CHUNK_BYTES = 64 * 1024
"""The most that one follower holds of a task's output."""


@dataclass(frozen=True)
class OutputLimits:
    """Bounds on one task's output, and where what exceeds memory goes."""

    excerpt_bytes: int
    """Head and tail of each stream together, in an answer."""
    total_bytes: int
    """Of both streams together; a task that writes more is killed."""
    memory_bytes: int
    """Of each stream, held in memory before the disk is used."""
    directory: Path | None


@dataclass(frozen=True)
class Excerpt:
    """A stream's first and last bytes; ``tail`` is empty when ``head`` is all there is."""

    head: bytes
    tail: bytes
    total_bytes: int

    @property
    def truncated(self) -> bool:
        """Whether bytes between ``head`` and ``tail`` are left out."""
        return len(self.head) + len(self.tail) < self.total_bytes


class TaskOutput:
    """The captured output of one task."""

    def __init__(self, limits: OutputLimits, changes: ChangeSignal) -> None:
        self._limits = limits
        self._changes = changes
        self._spools = {stream: self._new_spool() for stream in Stream}
        self._order = self._new_spool()
        self._room_bytes = limits.total_bytes
        self.limit_reached = asyncio.Event()

    def _new_spool(self) -> Spool:
        return Spool(self._limits.directory, self._limits.memory_bytes)

    async def write(self, pieces: Sequence[tuple[Stream, bytes]]) -> None:
        """Append pieces in the order of their arrival; what is beyond the limit is dropped.

        Raises:
            OutputSpoolError: the disk refuses it.
        """
        kept = self._within_limit(pieces)
        if not kept:
            return
        for stream, spool in self._spools.items():
            data = b"".join(piece for of, piece in kept if of is stream)
            if data:
                await spool.append(data)
        await self._order.append(_order_records(kept))
        self._changes.notify()

    def _within_limit(self, pieces: Sequence[tuple[Stream, bytes]]) -> list[tuple[Stream, bytes]]:
        kept = []
        for stream, piece in pieces:
            if len(piece) > self._room_bytes:
                self.limit_reached.set()
            if piece and self._room_bytes:
                kept.append((stream, piece[: self._room_bytes]))
                self._room_bytes -= len(kept[-1][1])
        return kept

    def size_bytes(self, stream: Stream) -> int:
        """Return how much of ``stream`` was captured so far."""
        return self._spools[stream].size_bytes

    async def excerpt(self, stream: Stream) -> Excerpt:
        """Return ``stream`` whole, or its head and tail when it is longer than an excerpt.

        Raises:
            OutputSpoolError: the disk refuses it.
        """
        spool = self._spools[stream]
        total = spool.size_bytes
        if total <= self._limits.excerpt_bytes:
            return Excerpt(await spool.read(0, total), b"", total)
        tail_bytes = self._limits.excerpt_bytes // 2
        head_bytes = self._limits.excerpt_bytes - tail_bytes
        head = await spool.read(0, head_bytes)
        return Excerpt(head, await spool.read(total - tail_bytes, tail_bytes), total)

    def follow(self) -> "OutputFollower":
        """Return a new reader that begins at the beginning."""
        return OutputFollower(self._spools, self._order)

    def close(self) -> None:
        """Give memory and disk back."""
        for spool in (*self._spools.values(), self._order):
            spool.close()


class OutputFollower:
    """One reader's place in a task's output."""

    def __init__(self, spools: dict[Stream, Spool], order: Spool) -> None:
        self._spools = spools
        self._order = order
        self._order_offset = 0
        self._offsets = dict.fromkeys(Stream, 0)
        self._stream = Stream.STDOUT
        self._remaining_bytes = 0

    async def next_piece(self) -> tuple[Stream, bytes] | None:
        """Return the next piece, at most ``FOLLOWER_CHUNK_BYTES``; ``None`` if there is none yet.

        Raises:
            OutputSpoolError: the disk refuses it.
        """
        if self._remaining_bytes == 0 and not await self._next_run():
            return None
        length = min(self._remaining_bytes, FOLLOWER_CHUNK_BYTES)
        piece = await self._spools[self._stream].read(self._offsets[self._stream], length)
        self._offsets[self._stream] += len(piece)
        self._remaining_bytes -= len(piece)
        return (self._stream, piece) if piece else None

    async def _next_run(self) -> bool:
        if self._order_offset >= self._order.size_bytes:
            return False
        record = await self._order.read(self._order_offset, _ORDER_RECORD.size)
        if len(record) < _ORDER_RECORD.size:
            return False
        self._order_offset += len(record)
        number, self._remaining_bytes = _ORDER_RECORD.unpack(record)
        self._stream = _STREAMS[number]
        return True


def _order_records(pieces: Sequence[tuple[Stream, bytes]]) -> bytes:
    runs: list[tuple[Stream, int]] = []
    for stream, piece in pieces:
        if runs and runs[-1][0] is stream:
            runs[-1] = stream, runs[-1][1] + len(piece)
        else:
            runs.append((stream, len(piece)))
    return b"".join(_ORDER_RECORD.pack(_STREAM_NUMBERS[stream], size) for stream, size in runs)
