"""What a task's output must be, computed in the plainest way, and what tests feed it with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.output import OutputFollower, OutputLimits, TaskOutput

Pieces = Sequence[tuple[Stream, bytes]]

MEMORY_BYTES = 24
EXCERPT_BYTES = 11
NO_LIMIT = 1_000_000

# Sizes below, at and above what is held in memory and what an excerpt shows.
pieces = st.lists(
    st.tuples(st.sampled_from(Stream), st.binary(min_size=1, max_size=40)), max_size=6
)
writes = st.lists(pieces, max_size=6)
"""What a few reads from the engine brought."""


@asynccontextmanager
async def task_output(
    directory: Path | None = None,
    *writes: Pieces,
    total_bytes: int = NO_LIMIT,
    excerpt_bytes: int = EXCERPT_BYTES,
    memory_bytes: int = MEMORY_BYTES,
) -> AsyncIterator[TaskOutput]:
    """Output that holds what was written, and is closed at last."""
    limits = OutputLimits(excerpt_bytes, total_bytes, memory_bytes, directory)
    output = TaskOutput(limits, ChangeSignal())
    try:
        for pieces in writes:
            await output.write(pieces)
        yield output
    finally:
        output.close()


def cut_at(limit: int, writes: Sequence[Pieces]) -> list[tuple[Stream, bytes]]:
    """The pieces up to the limit, both streams together."""
    kept = []
    for stream, data in (piece for pieces in writes for piece in pieces):
        kept.append((stream, data[:limit]))
        limit -= len(kept[-1][1])
    return kept


def of(stream: Stream, pieces: Pieces) -> bytes:
    """All bytes of one stream."""
    return b"".join(data for name, data in pieces if name is stream)


def merged(pieces: Pieces) -> list[tuple[Stream, bytes]]:
    """Join neighbours of one stream, and leave out what is empty."""
    runs = groupby((piece for piece in pieces if piece[1]), key=lambda piece: piece[0])
    return [(stream, of(stream, list(run))) for stream, run in runs]


async def read_all(follower: OutputFollower) -> list[tuple[Stream, bytes]]:
    """Everything that the follower has not read yet."""
    found = []
    while piece := await follower.next_piece():
        found.append(piece)
    return found
