import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import MultiplexedStreamDecoder, Stream
from ecs.errors import DaemonStreamError, InvalidFrameHeaderError, TruncatedFrameError
from tests.unit.docker_remote_api.frames import (
    DAEMON_ERROR,
    HEADER_BYTES,
    STDERR,
    STDOUT,
    cut,
    frame,
    header,
    places_lists,
)

MAX_DAEMON_ERROR_BYTES = 64 * 1024
WHOLE = frame(STDERR, b"whole")
CUT_SHORT = frame(STDOUT, b"payload")


@pytest.mark.parametrize("length", range(1, len(CUT_SHORT)))
def test_a_stream_that_ends_within_a_frame_is_truncated(length: int) -> None:
    decoder = MultiplexedStreamDecoder()
    list(decoder.feed(WHOLE + CUT_SHORT[:length]))

    with pytest.raises(TruncatedFrameError):
        decoder.close()


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (header(STDOUT, 7)[:3], "3 bytes of a header, 0 bytes of a payload missing"),
        (header(STDOUT, 7), "0 bytes of a header, 7 bytes of a payload missing"),
        (CUT_SHORT[:-2], "0 bytes of a header, 2 bytes of a payload missing"),
    ],
    ids=["in the header", "behind the header", "in the payload"],
)
def test_truncation_says_what_there_was(data: bytes, missing: str) -> None:
    decoder = MultiplexedStreamDecoder()
    list(decoder.feed(data))

    with pytest.raises(TruncatedFrameError, match=missing):
        decoder.close()


@pytest.mark.parametrize("stream_type", [4, 5, 0x7F, 0x80, 0xFF])
def test_an_unknown_type_is_no_frame_header(stream_type: int) -> None:
    decoder = MultiplexedStreamDecoder()
    data = frame(stream_type, b"x")

    with pytest.raises(InvalidFrameHeaderError, match=data[:HEADER_BYTES].hex(" ")):
        list(decoder.feed(data))


@pytest.mark.parametrize("padding", [b"\1\0\0", b"\0\1\0", b"\0\0\1", b"\xff\xff\xff"])
def test_padding_that_is_not_zero_is_no_frame_header(padding: bytes) -> None:
    decoder = MultiplexedStreamDecoder()

    with pytest.raises(InvalidFrameHeaderError):
        list(decoder.feed(header(STDOUT, 1, padding) + b"x"))


def test_bytes_of_a_tty_are_not_taken_for_frames() -> None:
    decoder = MultiplexedStreamDecoder()

    with pytest.raises(InvalidFrameHeaderError):
        list(decoder.feed(b"hello from a stream without frames\r\n"))


def test_what_came_before_a_broken_header_is_handed_on_first() -> None:
    decoder = MultiplexedStreamDecoder()
    pieces = decoder.feed(frame(STDOUT, b"good") + header(9, 1))

    first = next(pieces)

    assert first == (Stream.STDOUT, b"good")
    with pytest.raises(InvalidFrameHeaderError):
        next(pieces)


def test_a_decoder_that_met_a_broken_header_decodes_no_more() -> None:
    decoder = MultiplexedStreamDecoder()
    with pytest.raises(InvalidFrameHeaderError):
        list(decoder.feed(header(9, 1)))

    with pytest.raises(InvalidFrameHeaderError):
        list(decoder.feed(WHOLE))


@given(
    message=st.text(min_size=1, max_size=100),
    places=places_lists,
)
def test_a_daemon_error_carries_the_whole_message_however_it_was_cut(
    message: str, places: list[int]
) -> None:
    decoder = MultiplexedStreamDecoder()
    reads = cut(frame(DAEMON_ERROR, message.encode()), places)

    with pytest.raises(DaemonStreamError, match=f"^{re.escape(message)}$"):
        [piece for read in reads for piece in decoder.feed(read)]


def test_a_daemon_error_that_is_not_utf_8_is_told_all_the_same() -> None:
    decoder = MultiplexedStreamDecoder()

    with pytest.raises(DaemonStreamError, match=r"^bad byte \ufffd$"):
        list(decoder.feed(frame(DAEMON_ERROR, b"bad byte \xff")))


def test_an_empty_daemon_error_is_still_an_error() -> None:
    decoder = MultiplexedStreamDecoder()

    with pytest.raises(DaemonStreamError, match="without a message"):
        list(decoder.feed(frame(DAEMON_ERROR, b"")))


def test_an_over_long_daemon_error_is_told_without_waiting_for_its_end() -> None:
    decoder = MultiplexedStreamDecoder()
    list(decoder.feed(header(DAEMON_ERROR, 2**32 - 1)))
    list(decoder.feed(b"x" * (MAX_DAEMON_ERROR_BYTES - 1)))

    with pytest.raises(DaemonStreamError, match=f"^x{{{MAX_DAEMON_ERROR_BYTES}}}$"):
        list(decoder.feed(b"x"))


def test_a_daemon_error_cut_short_is_truncated() -> None:
    decoder = MultiplexedStreamDecoder()
    list(decoder.feed(frame(DAEMON_ERROR, b"the daemon says")[:-1]))

    with pytest.raises(TruncatedFrameError):
        decoder.close()
