"""A disk that refuses is told as such, and leaves nothing behind."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecs.errors import OutputSpoolError
from ecs.tasks.spool import Spool
from tests.unit.tasks.open_files import open_files

MEMORY_BYTES = 16
LARGEST_FILE_BYTES = 4096


@contextmanager
def small_files_only() -> Iterator[None]:
    """As on a disk that is nearly full: no file may become larger than LARGEST_FILE_BYTES.

    Around the call under test alone: the limit is the whole process's, what pytest prints included.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_directory_that_does_not_exist_takes_no_output(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "missing", MEMORY_BYTES)

    with pytest.raises(OutputSpoolError, match=r"cannot be kept: .*No such file or directory"):
        await spool.append(b"x" * 100)

    spool.close()


async def test_a_directory_that_vanished_takes_no_output(tmp_path: Path) -> None:
    directory = tmp_path / "vanishing"
    directory.mkdir()
    spool = Spool(directory, MEMORY_BYTES)
    await spool.append(b"x")
    directory.rmdir()

    with pytest.raises(OutputSpoolError, match="cannot be kept"):
        await spool.append(b"x" * 100)

    spool.close()


async def test_a_directory_that_is_a_file_takes_no_output(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    spool = Spool(path, MEMORY_BYTES)

    with pytest.raises(OutputSpoolError, match="cannot be kept"):
        await spool.append(b"x" * 100)

    spool.close()


async def test_a_full_disk_is_told_and_its_file_is_given_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEMORY_BYTES)
    await spool.append(b"x" * LARGEST_FILE_BYTES)

    with small_files_only(), pytest.raises(OutputSpoolError, match=r"kept: .*File too large"):
        await spool.append(b"y")

    assert spool.size_bytes == LARGEST_FILE_BYTES
    assert await spool.read(0, 2 * LARGEST_FILE_BYTES) == b"x" * LARGEST_FILE_BYTES
    spool.close()
    assert open_files(tmp_path) == []


async def test_a_piece_that_only_half_fits_is_not_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    await spool.append(b"x")

    with small_files_only(), pytest.raises(OutputSpoolError, match="cannot be kept"):
        await spool.append(b"y" * LARGEST_FILE_BYTES)

    assert spool.size_bytes == 1
    spool.close()


async def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    await spool.append(b"x")
    # Nothing on a healthy machine makes a read fail but a descriptor that is not for reading.
    descriptor = spool._file_descriptor
    assert descriptor is not None
    write_only = os.open("/dev/null", os.O_WRONLY)
    os.dup2(write_only, descriptor)
    os.close(write_only)

    with pytest.raises(OutputSpoolError, match=r"cannot be read: .*Bad file descriptor"):
        await spool.read(0, 1)

    spool.close()
