"""Writes what an engine writes: frames of a multiplexed stream."""

import struct
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from ecs.docker_remote_api.multiplexed_stream import Stream

STDIN, STDOUT, STDERR, DAEMON_ERROR = range(4)
SHOWN_ON = {STDIN: Stream.STDOUT, STDOUT: Stream.STDOUT, STDERR: Stream.STDERR}
HEADER_BYTES = 8


def header(stream_type: int, length: int, padding: bytes = b"\0\0\0") -> bytes:
    """A frame's header alone."""
    return struct.pack(">B3sI", stream_type, padding, length)


def frame(stream_type: int, payload: bytes) -> bytes:
    """A whole frame."""
    return header(stream_type, len(payload)) + payload


def encoded(frames: Sequence[tuple[int, bytes]]) -> bytes:
    """The frames one after the other."""
    return b"".join(frame(stream_type, payload) for stream_type, payload in frames)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut the data at the places, as reads from a socket would."""
    edges = [0, *sorted(place for place in places if place <= len(data)), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


frames_lists = st.lists(
    st.tuples(st.sampled_from(list(SHOWN_ON)), st.binary(max_size=64)), max_size=20
)
"""Frames of the three types that carry output, empty ones among them."""

places_lists = st.lists(st.integers(min_value=0, max_value=2000), max_size=40)
"""Where to cut; the same place twice makes an empty read."""
