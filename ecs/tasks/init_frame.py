"""What the ECS init is told on its standard input; ``native/frame.h`` has the layout.

The init of a container that waits is handed its task by writing exactly this to the stdin attach
that was opened before its start.
"""

import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

TOKEN_BYTES = 16
_TOKEN_BEGIN = b"\xf5"
"""In no text in ASCII or UTF-8: of a line of output nothing is ever held back."""
_HEADER = struct.Struct(">8s16sQIIIII")
_MAGIC = b"ECSINIT\x01"
_CHUNK_BYTES = 1024 * 1024
_LENGTH = struct.Struct(">I")


def new_token() -> bytes:
    """Return what a trailer begins with: nobody but ECS and the init may know it."""
    return _TOKEN_BEGIN + secrets.token_bytes(TOKEN_BYTES - len(_TOKEN_BEGIN))


@dataclass(frozen=True)
class InitFrame:
    """One command for the init.

    ``environment`` is laid over the container's own. Without ``stdin`` the command reads from
    ``/dev/null``.
    """

    token: bytes = field(repr=False)
    argv: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    grace_seconds: float
    stdin: bytes | None = field(default=None, repr=False)

    def pieces(self) -> Iterator[bytes]:
        """Yield the frame's bytes, those of stdin in chunks with the empty one behind."""
        entries = [f"{name}={value}" for name, value in self.environment.items()]
        strings = b"".join(text.encode() + b"\0" for text in (*self.argv, *entries))
        yield _HEADER.pack(
            _MAGIC,
            self.token,
            _milliseconds(self.timeout_seconds),
            _milliseconds(self.grace_seconds),
            self.stdin is not None,
            len(self.argv),
            len(entries),
            len(strings),
        )
        yield strings
        if self.stdin is None:
            return
        for start in range(0, len(self.stdin), _CHUNK_BYTES):
            chunk = self.stdin[start : start + _CHUNK_BYTES]
            yield _LENGTH.pack(len(chunk))
            yield chunk
        yield _LENGTH.pack(0)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
