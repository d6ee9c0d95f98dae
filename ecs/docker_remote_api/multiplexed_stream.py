"""The 8-byte framing in which the engine sends stdout and stderr over one connection.

Bytes in, ``(stream, payload)`` out; knows no socket.
Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
"""

import enum
import struct
from collections.abc import Iterator

from ecs.errors import DaemonStreamError, InvalidFrameHeaderError, TruncatedFrameError

_HEADER = struct.Struct(">B3sI")
_PADDING = b"\0\0\0"
_DAEMON_ERROR = 3
_MAX_DAEMON_ERROR_BYTES = 64 * 1024


class Stream(enum.StrEnum):
    """A task's output stream."""

    STDOUT = "stdout"
    STDERR = "stderr"


# The engine documents type 0 (stdin) as "is written on stdout".
_STREAMS = {0: Stream.STDOUT, 1: Stream.STDOUT, 2: Stream.STDERR}


class MultiplexedStreamDecoder:
    """Splits a multiplexed stream into its two streams, however it was chunked.

    A frame's payload is handed on as it arrives, in as many pieces as it came, so that no more
    than a header is ever held back: a frame may announce 4 GiB.
    """

    def __init__(self) -> None:
        self._header = b""
        self._stream: Stream | None = None
        self._remaining_bytes = 0
        self._daemon_error = b""

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """Yield ``(stream, payload)`` for each non-empty piece of a frame in ``data``.

        Raises:
            InvalidFrameHeaderError: a header names no known stream.
            DaemonStreamError: a frame of type 3, with the daemon's message.
        """
        position = 0
        while position < len(data):
            if self._remaining_bytes == 0:
                taken = data[position : position + _HEADER.size - len(self._header)]
                position += len(taken)
                self._header += taken
                if len(self._header) == _HEADER.size:
                    self._begin_frame()
                continue
            payload = data[position : position + self._remaining_bytes]
            position += len(payload)
            self._remaining_bytes -= len(payload)
            if self._stream is None:
                self._collect_daemon_error(payload)
            else:
                yield self._stream, payload

    def close(self) -> None:
        """State that the stream has ended.

        Raises:
            TruncatedFrameError: it ended within a frame.
        """
        if self._header or self._remaining_bytes:
            raise TruncatedFrameError(
                f"the stream ended within a frame: {len(self._header)} bytes of a header, "
                f"{self._remaining_bytes} bytes of a payload missing"
            )

    def _begin_frame(self) -> None:
        stream_type, padding, length = _HEADER.unpack(self._header)
        known = stream_type in _STREAMS or stream_type == _DAEMON_ERROR
        if not known or padding != _PADDING:
            raise InvalidFrameHeaderError(f"not a frame header: {self._header.hex(' ')}")
        self._header = b""
        self._stream = _STREAMS.get(stream_type)
        self._remaining_bytes = length
        if self._stream is None and length == 0:
            raise DaemonStreamError("the daemon reported an error without a message")

    def _collect_daemon_error(self, payload: bytes) -> None:
        self._daemon_error += payload
        if self._remaining_bytes == 0 or len(self._daemon_error) >= _MAX_DAEMON_ERROR_BYTES:
            raise DaemonStreamError(self._daemon_error.decode(errors="replace"))
