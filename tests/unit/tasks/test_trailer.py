"""Where a task's output ends and the init's trailer begins, however the two were cut."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.init_frame import TOKEN_BYTES, new_token
from ecs.tasks.trailer import TRAILER_BYTES, Trailer, TrailerDecoder

TOKEN = b"\xf5" + bytes(range(1, TOKEN_BYTES))
OUT, ERR = Stream.STDOUT, Stream.STDERR
Pieces = list[tuple[Stream, bytes]]


def trailer(
    *,
    flags: int = 2,
    wait_status: int = 0,
    error: int = 0,
    oom_kills: int = 0,
    token: bytes = TOKEN,
) -> bytes:
    return token + struct.pack(">IIII", flags, wait_status, error, oom_kills)


def joined(pieces: Sequence[tuple[Stream, bytes]], stream: Stream) -> bytes:
    return b"".join(data for of, data in pieces if of is stream)


def interleaved(cuts: Sequence[tuple[Stream, int]], streams: dict[Stream, bytes]) -> Pieces:
    """The streams in pieces, cut and mixed as asked, with nothing left out."""
    rest, pieces = dict(streams), []
    for stream, size in cuts:
        pieces.append((stream, rest[stream][:size]))
        rest[stream] = rest[stream][size:]
    return pieces + [(stream, data) for stream, data in rest.items() if data]


# What looks like the token, in part or from within, is what could go wrong.
outputs = (
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.integers(1, TOKEN_BYTES - 1).map(lambda size: TOKEN[:size]),
            st.integers(1, TOKEN_BYTES - 1).map(lambda size: TOKEN[size:]),
        ),
        max_size=5,
    )
    .map(b"".join)
    .filter(lambda output: TOKEN not in output)
)
cuts = st.lists(st.tuples(st.sampled_from(Stream), st.integers(0, 40)), max_size=30)


@given(stdout=outputs, stderr=outputs, after=st.binary(max_size=50), cuts=cuts)
def test_the_output_before_the_trailer_comes_out_exactly(
    stdout: bytes, stderr: bytes, after: bytes, cuts: list[tuple[Stream, int]]
) -> None:
    decoder = TrailerDecoder(TOKEN)
    said = trailer(flags=3, wait_status=9, oom_kills=4)

    pieces = interleaved(cuts, {OUT: stdout + said + after, ERR: stderr + said + after})
    output = [piece for each in pieces for piece in decoder.feed([each])]

    assert decoder.complete
    assert decoder.trailer == Trailer(True, 9, 0, 4)
    assert (joined(output, OUT), joined(output, ERR)) == (stdout, stderr)
    assert list(decoder.close()) == []
    assert all(data for _, data in output)


@given(stdout=outputs, stderr=outputs, cuts=cuts)
def test_output_without_a_trailer_comes_out_whole_at_its_end(
    stdout: bytes, stderr: bytes, cuts: list[tuple[Stream, int]]
) -> None:
    decoder = TrailerDecoder(TOKEN)

    output = decoder.feed(interleaved(cuts, {OUT: stdout, ERR: stderr}))
    output += decoder.close()

    assert not decoder.complete
    assert decoder.trailer is None
    assert (joined(output, OUT), joined(output, ERR)) == (stdout, stderr)


@given(text=st.text(min_size=1))
def test_of_text_nothing_is_held_back(text: str) -> None:
    assert TrailerDecoder(new_token()).feed([(OUT, text.encode())]) == [(OUT, text.encode())]


@given(data=st.binary(min_size=1, max_size=100))
def test_no_more_is_held_back_than_what_may_begin_a_trailer(data: bytes) -> None:
    came = joined(TrailerDecoder(TOKEN).feed([(OUT, data)]), OUT)

    assert data.startswith(came)
    assert TOKEN.startswith(data[len(came) :])


def test_a_trailer_on_one_stream_alone_says_nothing() -> None:
    decoder = TrailerDecoder(TOKEN)
    output = decoder.feed([(OUT, b"out" + trailer()), (ERR, b"err")])

    assert not decoder.complete
    assert decoder.trailer is None
    assert [*output, *decoder.close()] == [(OUT, b"out"), (ERR, b"err")]


def test_two_trailers_that_differ_say_nothing() -> None:
    decoder = TrailerDecoder(TOKEN)
    decoder.feed([(OUT, trailer(wait_status=0)), (ERR, trailer(wait_status=256))])

    assert decoder.complete
    assert decoder.trailer is None


@pytest.mark.parametrize("size", range(TOKEN_BYTES, TRAILER_BYTES))
def test_a_trailer_that_was_cut_off_is_no_output(size: int) -> None:
    decoder = TrailerDecoder(TOKEN)
    output = decoder.feed([(OUT, b"out" + trailer()[:size])])

    assert [*output, *decoder.close()] == [(OUT, b"out")]
    assert not decoder.complete


def test_another_token_is_output() -> None:
    decoder = TrailerDecoder(TOKEN)
    foreign = trailer(token=new_token())

    assert decoder.feed([(OUT, foreign)]) == [(OUT, foreign)]


@pytest.mark.parametrize(
    ("wait_status", "exit_code", "was_killed"),
    [
        (0, 0, False),
        (3 << 8, 3, False),
        (255 << 8, 255, False),
        (137 << 8, 137, False),
        (9, 137, True),
        (15, 143, False),
        (11 | 0x80, 139, False),  # with a core dump
    ],
)
def test_a_wait_status_is_an_exit_code(wait_status: int, exit_code: int, was_killed: bool) -> None:
    ended = Trailer(False, wait_status, 0, 0)

    assert (ended.exit_code, ended.was_killed) == (exit_code, was_killed)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (trailer(flags=0), Trailer(False, 0, 0, None)),
        (trailer(flags=1, oom_kills=7), Trailer(True, 0, 0, None)),
        (trailer(flags=2, error=2, oom_kills=7), Trailer(False, 0, 2, 7)),
    ],
)
def test_a_trailer_has_its_fields(data: bytes, expected: Trailer) -> None:
    assert Trailer.parse(data[TOKEN_BYTES:]) == expected


def test_no_two_tokens_are_the_same() -> None:
    tokens = {new_token() for _ in range(100)}

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {TOKEN_BYTES}
