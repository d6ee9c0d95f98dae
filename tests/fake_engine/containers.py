"""The engine's containers, which run nothing, and the frames of what they say."""

import asyncio
import dataclasses
import struct
from collections.abc import Sequence
from typing import Any

STDOUT, STDERR, DAEMON_ERROR = 1, 2, 3
INIT_FRAME_HEADER = struct.Struct(">8s16sQIIIII")


def frame(stream: int, payload: bytes) -> bytes:
    """One frame of an attach."""
    return struct.pack(">BxxxI", stream, len(payload)) + payload


async def read_init_frame(stdin: asyncio.StreamReader) -> tuple[bytes, list[str]]:
    """The token and the command that the init is given."""
    header = INIT_FRAME_HEADER.unpack(await stdin.readexactly(INIT_FRAME_HEADER.size))
    _, token, _, _, _, arguments, _, size = header
    strings = (await stdin.readexactly(size)).decode().split("\0")
    return token, strings[:arguments]


@dataclasses.dataclass
class Container:
    """One container."""

    container_id: str
    name: str
    body: dict[str, Any]
    status: str = "created"
    exit_code: int = 0
    oom_killed: bool = False
    output: bytes = b""
    archive: bytes = b""
    answers: asyncio.Queue[bytes] = dataclasses.field(default_factory=asyncio.Queue)  # a sandbox's
    stdin: asyncio.StreamReader = dataclasses.field(default_factory=asyncio.StreamReader)
    started: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    token: bytes = b""  # of the frame that the init was given

    @property
    def has_init(self) -> bool:
        """Whether it starts ECS's own program."""
        return bool(self.body["HostConfig"].get("Mounts"))

    def trailers(self, *, flags: int = 2, wait_status: int = 0, oom_kills: int = 0) -> bytes:
        """What the init says at the end, on both streams; nothing where there is none."""
        if not self.has_init:
            return b""
        said = self.token + struct.pack(">IIII", flags, wait_status, 0, oom_kills)
        return frame(STDOUT, said) + frame(STDERR, said)

    @property
    def is_sandbox(self) -> bool:
        return self.body.get("Entrypoint") == ["/sandbox"]

    def end(self, exit_code: int) -> None:
        """Let its process end."""
        self.status, self.exit_code = "exited", exit_code
        self.started.set()
        self.ended.set()
        self.answers.put_nowait(b"")


def execute(container: Container, command: Sequence[str]) -> None:
    """Run a command: ``sleep`` until it is killed, any other echoes its arguments."""
    program, *arguments = command
    if program != "sleep":
        container.output = frame(STDOUT, " ".join(arguments).encode() + b"\n")
        container.output += container.trailers()
        container.end(0)
    container.started.set()
