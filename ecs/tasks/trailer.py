"""How the ECS init says that a task has ended: the same bytes behind both of its streams.

Frames of output in, output without the trailers out; no I/O. ``native/frame.h`` has the layout.
"""

import os
import signal
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.init_frame import TOKEN_BYTES

_FIELDS = struct.Struct(">IIII")
TRAILER_BYTES = TOKEN_BYTES + _FIELDS.size
_TIMED_OUT, _OOM_COUNTED = 1, 2


@dataclass(frozen=True)
class Trailer:
    """The init's word on its task.

    ``wait_status`` is as from waitpid(2); ``error`` is the errno of a command that could not be
    started, else 0; ``oom_kills`` is ``None`` where the kernel does not tell.
    """

    timed_out: bool
    wait_status: int
    error: int
    oom_kills: int | None

    @classmethod
    def parse(cls, data: bytes) -> "Trailer":
        """Take the fields from behind the token."""
        flags, wait_status, error, oom_kills = _FIELDS.unpack(data)
        counted = oom_kills if flags & _OOM_COUNTED else None
        return cls(bool(flags & _TIMED_OUT), wait_status, error, counted)

    @property
    def exit_code(self) -> int:
        """The command's exit code, 128+n if signal n ended it."""
        if os.WIFSIGNALED(self.wait_status):
            return 128 + os.WTERMSIG(self.wait_status)
        return os.WEXITSTATUS(self.wait_status)

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended the command itself."""
        status = self.wait_status
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


class TrailerDecoder:
    """Takes the trailers out of a task's output, however it is cut.

    Of each stream nothing is held back but what may be a trailer's beginning. What comes behind a
    trailer is dropped.
    """

    def __init__(self, token: bytes) -> None:
        self._streams = {stream: _StreamDecoder(token) for stream in Stream}

    def feed(self, pieces: Sequence[tuple[Stream, bytes]]) -> list[tuple[Stream, bytes]]:
        """Return the output in ``pieces``, without empty ones."""
        output = ((stream, self._streams[stream].feed(data)) for stream, data in pieces)
        return [(stream, data) for stream, data in output if data]

    @property
    def complete(self) -> bool:
        """Whether both streams have had their trailer: no output follows."""
        return all(decoder.trailer is not None for decoder in self._streams.values())

    @property
    def trailer(self) -> Trailer | None:
        """The trailer, if both streams have had it and it is the same."""
        stdout, stderr = (self._streams[stream].trailer for stream in Stream)
        return Trailer.parse(stdout) if stdout is not None and stdout == stderr else None

    def close(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield what was held back and is no trailer after all, the streams having ended."""
        for stream, decoder in self._streams.items():
            rest = decoder.close()
            if rest:
                yield stream, rest


class _StreamDecoder:
    def __init__(self, token: bytes) -> None:
        self._token = token
        self._held = b""
        self.trailer: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        if self.trailer is not None:
            return b""
        data = self._held + data
        start = data.find(self._token)
        if start < 0:
            start = len(data) - self._beginning_bytes(data)
        elif len(data) >= start + TRAILER_BYTES:
            self.trailer = data[start + TOKEN_BYTES : start + TRAILER_BYTES]
            self._held = b""
            return data[:start]
        self._held = data[start:]
        return data[:start]

    def _beginning_bytes(self, data: bytes) -> int:
        """Return how many of the last bytes of ``data`` the token may begin with."""
        for length in range(min(len(data), TOKEN_BYTES - 1), 0, -1):
            if data.endswith(self._token[:length]):
                return length
        return 0

    def close(self) -> bytes:
        held, self._held = self._held, b""
        # A whole token is the init's, who was cut off behind it.
        return b"" if held.startswith(self._token) else held
