import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.tasks.spool import Spool
from tests.unit.tasks.open_files import named_files, open_files

MEMORY_BYTES = 16


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@asynccontextmanager
async def spool_of(directory: Path, *pieces: bytes) -> AsyncIterator[Spool]:
    spool = Spool(directory, MEMORY_BYTES)
    try:
        for piece in pieces:
            await spool.append(piece)
        yield spool
    finally:
        spool.close()


# Sizes below, at and above what is held in memory.
pieces_lists = st.lists(st.binary(max_size=2 * MEMORY_BYTES), max_size=8)


@given(pieces=pieces_lists, data=st.data())
async def test_any_range_reads_as_it_was_appended_in_memory_as_on_disk(
    directory: Path, pieces: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(pieces)
    offset = data.draw(st.integers(0, len(whole) + 5))
    length = data.draw(st.integers(0, len(whole) + 5))
    async with spool_of(directory, *pieces) as spool:
        read = await spool.read(offset, length)

        assert read == whole[offset : offset + length]
        assert spool.size_bytes == len(whole)


@given(pieces=pieces_lists)
async def test_what_was_appended_so_far_can_be_read_between_appends(
    directory: Path, pieces: list[bytes]
) -> None:
    whole = b""
    async with spool_of(directory) as spool:
        for piece in pieces:
            await spool.append(piece)
            whole += piece

            assert await spool.read(0, 1000) == whole


async def test_reading_behind_the_end_returns_nothing(directory: Path) -> None:
    async with spool_of(directory, b"x" * 100) as spool:
        assert await spool.read(100, 1) == b""


async def test_what_fits_in_memory_opens_no_file(directory: Path) -> None:
    async with spool_of(directory, b"x" * MEMORY_BYTES):
        assert open_files(directory) == []


async def test_one_byte_more_goes_to_one_file_that_has_no_name(directory: Path) -> None:
    async with spool_of(directory, b"x" * MEMORY_BYTES, b"y"):
        assert len(open_files(directory)) == 1
        assert named_files(directory) == []


async def test_what_went_to_disk_is_in_memory_no_more(directory: Path) -> None:
    async with spool_of(directory, b"x" * MEMORY_BYTES, b"y") as spool:
        assert not spool._memory


async def test_with_no_memory_at_all_the_first_byte_goes_to_disk(directory: Path) -> None:
    spool = Spool(directory, 0)
    await spool.append(b"x")

    assert len(open_files(directory)) == 1
    assert await spool.read(0, 9) == b"x"
    spool.close()


async def test_closing_gives_the_file_back(directory: Path) -> None:
    async with spool_of(directory, b"x" * 100):
        pass

    assert open_files(directory) == []


@pytest.mark.parametrize("size", [MEMORY_BYTES, 100], ids=["in memory", "on disk"])
async def test_a_closed_spool_reads_as_empty(directory: Path, size: int) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    await spool.append(b"x" * size)

    spool.close()

    assert await spool.read(0, size) == b""


async def test_a_closed_spool_takes_nothing_more_to_disk(directory: Path) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    spool.close()

    await spool.append(b"x" * 100)

    assert open_files(directory) == []
    assert await spool.read(0, 100) == b""


@asynccontextmanager
async def threads_all_busy() -> AsyncIterator[None]:
    """What is asked of a thread within waits, and is done at the end."""
    release = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        try:
            executor.submit(release.wait)
            yield
        finally:
            release.set()


async def test_an_append_that_is_overtaken_by_the_close_leaves_no_file(directory: Path) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    async with threads_all_busy():
        appending = asyncio.create_task(spool.append(b"x" * 100))
        await asyncio.sleep(0)

        spool.close()

    await appending
    assert open_files(directory) == []


async def test_a_cancelled_append_that_goes_on_after_the_close_leaves_no_file(
    directory: Path,
) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    async with threads_all_busy():
        appending = asyncio.create_task(spool.append(b"x" * 100))
        await asyncio.sleep(0)

        appending.cancel()
        spool.close()

    with pytest.raises(asyncio.CancelledError):
        await appending
    assert open_files(directory) == []


async def test_a_read_that_is_overtaken_by_the_close_returns_nothing(directory: Path) -> None:
    async with spool_of(directory, b"x" * 100) as spool, threads_all_busy():
        reading = asyncio.create_task(spool.read(0, 100))
        await asyncio.sleep(0)

        spool.close()

    assert await reading == b""


async def test_a_reader_and_a_writer_do_not_disturb_each_other(directory: Path) -> None:
    count = 300
    async with spool_of(directory) as spool:

        async def write() -> None:
            for _ in range(count):
                await spool.append(b"0123456789")

        async def read() -> bytes:
            found = b""
            while len(found) < 10 * count:
                found += await spool.read(len(found), 64)
                await asyncio.sleep(0)
            return found

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            readers = [group.create_task(read()) for _ in range(3)]
            group.create_task(write())

        assert [reader.result() for reader in readers] == [b"0123456789" * count] * 3


async def test_closing_a_spool_that_never_saw_the_disk_twice_is_fine(directory: Path) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    await spool.append(b"x")

    spool.close()
    spool.close()


async def test_closing_a_spool_twice_closes_nothing_of_others(directory: Path) -> None:
    spool = Spool(directory, 0)
    await spool.append(b"x")
    spool.close()
    others = os.open(os.devnull, os.O_RDONLY)  # takes the number that has become free

    spool.close()

    os.fstat(others)
    os.close(others)


async def test_a_closed_spool_takes_nothing_more_to_memory(directory: Path) -> None:
    spool = Spool(directory, MEMORY_BYTES)
    spool.close()

    await spool.append(b"x")

    assert await spool.read(0, 1) == b""
