from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import OutputSpoolError
from ecs.tasks.changes import ChangeSignal
from ecs.tasks.output import Excerpt, OutputLimits, TaskOutput
from tests.unit.tasks.captured import EXCERPT_BYTES, Pieces, cut_at, of, task_output, writes
from tests.unit.tasks.open_files import named_files, open_files

STDOUT, STDERR = Stream.STDOUT, Stream.STDERR


@given(writes=writes)
async def test_the_size_of_each_stream_is_exact(writes: list[Pieces]) -> None:
    pieces = [piece for pieces in writes for piece in pieces]
    async with task_output(None, *writes) as output:
        sizes = {stream: output.size_bytes(stream) for stream in Stream}

    assert sizes == {stream: len(of(stream, pieces)) for stream in Stream}


@given(writes=writes, excerpt_bytes=st.integers(2, 300))
async def test_an_excerpt_is_the_whole_stream_or_its_exact_head_and_tail(
    writes: list[Pieces], excerpt_bytes: int
) -> None:
    pieces = [piece for pieces in writes for piece in pieces]
    async with task_output(None, *writes, excerpt_bytes=excerpt_bytes) as output:
        for stream in Stream:
            whole = of(stream, pieces)
            excerpt = await output.excerpt(stream)

            assert excerpt.total_bytes == len(whole)
            assert excerpt.truncated == (len(whole) > excerpt_bytes)
            assert len(excerpt.head + excerpt.tail) == min(len(whole), excerpt_bytes)
            assert whole.startswith(excerpt.head)
            assert whole.endswith(excerpt.tail)
            if excerpt.truncated:
                assert 0 <= len(excerpt.head) - len(excerpt.tail) <= 1


@pytest.mark.parametrize(
    ("size", "excerpt"),
    [
        (0, Excerpt(b"", b"", 0)),
        (EXCERPT_BYTES, Excerpt(b"abcdefghijk", b"", 11)),
        (EXCERPT_BYTES + 1, Excerpt(b"abcdef", b"hijkl", 12)),
        (EXCERPT_BYTES + 15, Excerpt(b"abcdef", b"vwxyz", 26)),
    ],
)
async def test_an_excerpt_leaves_out_only_what_is_beyond_its_bound(
    size: int, excerpt: Excerpt
) -> None:
    alphabet = b"abcdefghijklmnopqrstuvwxyz"
    async with task_output(None, [(STDERR, alphabet[:size])] if size else []) as output:
        assert await output.excerpt(STDERR) == excerpt


@given(writes=writes, limit=st.integers(0, 300))
async def test_what_is_beyond_the_limit_of_both_streams_together_is_dropped(
    writes: list[Pieces], limit: int
) -> None:
    kept = cut_at(limit, writes)
    written = sum(len(data) for pieces in writes for _, data in pieces)
    async with task_output(None, *writes, total_bytes=limit, excerpt_bytes=1000) as output:
        found = {stream: (await output.excerpt(stream)).head for stream in Stream}

        assert found == {stream: of(stream, kept) for stream in Stream}
        assert output.limit_reached.is_set() == (written > limit)


async def test_the_limit_itself_may_be_reached() -> None:
    async with task_output(
        None, [(STDOUT, b"12345"), (STDERR, b"67890")], total_bytes=10
    ) as output:
        assert not output.limit_reached.is_set()
        assert output.size_bytes(STDERR) == 5


@pytest.mark.parametrize(
    "writes",
    [
        [[(STDOUT, b"12345678901")]],
        [[(STDOUT, b"1234567890"), (STDERR, b"1")]],
        [[(STDOUT, b"1234567890")], [(STDERR, b"1")]],
    ],
    ids=["one piece", "one read", "two reads"],
)
async def test_one_byte_over_the_limit_is_told_and_dropped(writes: list[Pieces]) -> None:
    async with task_output(None, *writes, total_bytes=10) as output:
        assert output.limit_reached.is_set()
        assert (output.size_bytes(STDOUT), output.size_bytes(STDERR)) == (10, 0)


async def test_a_read_of_which_nothing_is_kept_is_no_change() -> None:
    changes = ChangeSignal()
    output = TaskOutput(OutputLimits(10, 0, 10, None), changes)

    await output.write([(STDOUT, b"x")])

    assert changes.count == 0
    output.close()


async def test_a_read_is_one_change_however_many_pieces_it_brought() -> None:
    changes = ChangeSignal()
    output = TaskOutput(OutputLimits(10, 100, 10, None), changes)

    await output.write([(STDOUT, b"x"), (STDERR, b"y"), (STDOUT, b"z")])

    assert changes.count == 1
    output.close()


async def test_nothing_with_a_name_is_in_the_directory_and_every_file_is_given_back(
    tmp_path: Path,
) -> None:
    async with task_output(
        tmp_path, [(STDOUT, b"x" * 100), (STDERR, b"y" * 100)], memory_bytes=0
    ) as output:
        assert output.size_bytes(STDOUT) == 100
        assert len(open_files(tmp_path)) == 3  # two streams and the order of their pieces
        assert named_files(tmp_path) == []

    assert open_files(tmp_path) == []


async def test_a_closed_output_has_an_empty_excerpt_of_what_was_there(tmp_path: Path) -> None:
    async with task_output(tmp_path, [(STDOUT, b"x" * 100)]) as output:
        pass

    excerpt = await output.excerpt(STDOUT)

    assert excerpt == Excerpt(b"", b"", 100)


async def test_a_disk_that_refuses_output_is_told(tmp_path: Path) -> None:
    async with task_output(tmp_path / "missing") as output:
        with pytest.raises(OutputSpoolError):
            await output.write([(STDOUT, b"x" * 100)])
