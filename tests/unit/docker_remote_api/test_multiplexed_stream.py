import tracemalloc
from itertools import groupby

import pytest
from hypothesis import given

from ecs.docker_remote_api.multiplexed_stream import MultiplexedStreamDecoder, Stream
from tests.unit.docker_remote_api.frames import (
    SHOWN_ON,
    STDERR,
    STDIN,
    STDOUT,
    cut,
    encoded,
    frame,
    frames_lists,
    header,
    places_lists,
)

Pieces = list[tuple[Stream, bytes]]


def decode(reads: list[bytes]) -> Pieces:
    decoder = MultiplexedStreamDecoder()
    pieces = [piece for read in reads for piece in decoder.feed(read)]
    decoder.close()
    return pieces


def merged(pieces: Pieces) -> Pieces:
    """Join neighbours of one stream: how a payload was cut is of no meaning."""
    return [
        (stream, b"".join(data for _, data in run))
        for stream, run in groupby(pieces, key=lambda piece: piece[0])
    ]


@given(frames=frames_lists, places=places_lists)
def test_every_byte_comes_out_on_its_stream_in_order_however_the_stream_was_cut(
    frames: list[tuple[int, bytes]], places: list[int]
) -> None:
    pieces = decode(cut(encoded(frames), places))

    sent = [(SHOWN_ON[stream_type], payload) for stream_type, payload in frames if payload]
    assert merged(pieces) == merged(sent)


@given(frames=frames_lists)
def test_one_byte_at_a_time_gives_the_same_as_all_at_once(
    frames: list[tuple[int, bytes]],
) -> None:
    data = encoded(frames)

    pieces = decode([bytes([byte]) for byte in data])

    assert merged(pieces) == merged(decode([data]))


@given(frames=frames_lists, places=places_lists)
def test_no_piece_is_ever_empty(frames: list[tuple[int, bytes]], places: list[int]) -> None:
    pieces = decode(cut(encoded(frames), places))

    assert all(payload for _, payload in pieces)


def test_frames_that_arrive_whole_come_out_whole() -> None:
    frames = [(STDOUT, b"one"), (STDERR, b"two"), (STDOUT, b"three")]

    pieces = decode([encoded(frames)])

    assert pieces == [
        (Stream.STDOUT, b"one"),
        (Stream.STDERR, b"two"),
        (Stream.STDOUT, b"three"),
    ]


def test_payload_that_looks_like_a_header_is_payload() -> None:
    payload = frame(STDERR, b"not a frame") * 3

    pieces = decode([frame(STDOUT, payload)])

    assert pieces == [(Stream.STDOUT, payload)]


def test_the_stdin_type_is_shown_on_stdout() -> None:
    pieces = decode([frame(STDIN, b"echoed")])

    assert pieces == [(Stream.STDOUT, b"echoed")]


@pytest.mark.parametrize("stream_type", SHOWN_ON)
def test_an_empty_frame_yields_nothing_and_the_next_one_is_read(stream_type: int) -> None:
    pieces = decode([frame(stream_type, b"") * 3 + frame(STDERR, b"after")])

    assert pieces == [(Stream.STDERR, b"after")]


def test_nothing_at_all_is_a_whole_stream() -> None:
    assert decode([]) == []


def test_part_of_a_payload_is_handed_on_before_the_rest_has_come() -> None:
    decoder = MultiplexedStreamDecoder()

    pieces = list(decoder.feed(header(STDOUT, 10) + b"early"))

    assert pieces == [(Stream.STDOUT, b"early")]


def test_an_announced_4_gib_takes_no_memory() -> None:
    decoder = MultiplexedStreamDecoder()
    tracemalloc.start()

    pieces = list(decoder.feed(header(STDOUT, 2**32 - 1) + b"x"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert pieces == [(Stream.STDOUT, b"x")]
    assert peak_bytes < 1024 * 1024
