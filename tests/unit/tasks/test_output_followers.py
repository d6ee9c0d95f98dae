import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.output import FOLLOWER_CHUNK_BYTES, OutputLimits, TaskOutput
from tests.unit.tasks.captured import (
    MEMORY_BYTES,
    NO_LIMIT,
    Pieces,
    cut_at,
    merged,
    of,
    pieces,
    read_all,
    task_output,
    writes,
)

STDOUT, STDERR = Stream.STDOUT, Stream.STDERR
FOLLOWERS = 3

# A number stands for one step of that follower.
scripts = st.lists(st.one_of(pieces, st.integers(0, FOLLOWERS - 1)), max_size=15)


@given(script=scripts, limit=st.one_of(st.just(NO_LIMIT), st.integers(0, 200)))
async def test_followers_at_any_pace_see_the_exact_bytes_in_the_order_of_arrival(
    script: list[list[tuple[Stream, bytes]] | int], limit: int
) -> None:
    written = [step for step in script if isinstance(step, list)]
    async with task_output(None, total_bytes=limit) as output:
        followers = [output.follow() for _ in range(FOLLOWERS)]
        found: list[list[tuple[Stream, bytes]]] = [[] for _ in followers]
        for step in script:
            if isinstance(step, list):
                await output.write(step)
            elif piece := await followers[step].next_piece():
                found[step].append(piece)
        for number, follower in enumerate(followers):
            found[number] += await read_all(follower)

    assert [merged(seen) for seen in found] == [merged(cut_at(limit, written))] * FOLLOWERS


@given(writes=writes)
async def test_no_piece_that_a_follower_is_given_is_empty(writes: list[Pieces]) -> None:
    async with task_output(None, *writes) as output:
        found = await read_all(output.follow())

    assert all(data for _, data in found)


async def test_who_comes_late_sees_everything_from_the_beginning() -> None:
    async with task_output(None, [(STDOUT, b"first")], [(STDERR, b"second")]) as output:
        found = await read_all(output.follow())

    assert found == [(STDOUT, b"first"), (STDERR, b"second")]


async def test_a_follower_that_has_seen_all_is_given_nothing_and_then_the_news() -> None:
    async with task_output(None, [(STDOUT, b"old")]) as output:
        follower = output.follow()
        await read_all(follower)
        assert await follower.next_piece() is None

        await output.write([(STDOUT, b"new")])

        assert await follower.next_piece() == (STDOUT, b"new")


async def test_no_piece_is_larger_than_a_follower_may_hold() -> None:
    written = bytes(range(256)) * (3 * FOLLOWER_CHUNK_BYTES // 256) + b"end"
    async with task_output(None, [(STDOUT, written)]) as output:
        found = await read_all(output.follow())

    assert [len(data) for _, data in found] == [FOLLOWER_CHUNK_BYTES] * 3 + [3]
    assert of(STDOUT, found) == written


async def test_a_follower_of_a_closed_output_is_given_nothing() -> None:
    async with task_output(None, [(STDOUT, b"x"), (STDERR, b"y" * 100)]) as output:
        follower = output.follow()

    assert await follower.next_piece() is None


async def test_a_closed_output_ends_what_a_follower_was_in_the_midst_of() -> None:
    async with task_output(None, [(STDOUT, b"x" * 2 * FOLLOWER_CHUNK_BYTES)]) as output:
        follower = output.follow()
        await follower.next_piece()

    assert await follower.next_piece() is None


@pytest.mark.parametrize("memory_bytes", [0, MEMORY_BYTES, NO_LIMIT])
async def test_followers_beside_a_writer_see_the_same_as_those_after_it(
    memory_bytes: int, tmp_path: Path
) -> None:
    count = 200
    written = [
        (stream, f"{stream} {number}\n".encode()) for number in range(count) for stream in Stream
    ]
    changes = ChangeSignal()
    output = TaskOutput(OutputLimits(10, NO_LIMIT, memory_bytes, tmp_path), changes)

    async def write() -> None:
        for piece in written:
            await output.write([piece])

    async def read() -> list[tuple[Stream, bytes]]:
        follower, found = output.follow(), []
        while sum(len(data) for _, data in found) < sum(len(data) for _, data in written):
            seen = changes.count
            new = await read_all(follower)
            found += new
            if not new:
                await changes.wait(seen)
        return found

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(FOLLOWERS)]
        group.create_task(write())
    late = await read_all(output.follow())
    output.close()

    assert merged(late) == merged(written)
    assert [merged(reader.result()) for reader in readers] == [merged(written)] * FOLLOWERS


async def test_an_empty_piece_ends_no_followers_reading() -> None:
    async with task_output(None, [(STDOUT, b"a"), (STDERR, b""), (STDOUT, b"b")]) as output:
        found = await read_all(output.follow())

    assert merged(found) == [(STDOUT, b"ab")]
