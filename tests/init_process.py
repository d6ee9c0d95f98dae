"""The init as PID 1 of a namespace of its own, without an engine."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ecs.native
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.init_frame import InitFrame, new_token
from ecs.tasks.trailer import Trailer, TrailerDecoder

ROOT = Path(__file__).parent.parent
PROGRAMS = {
    "static": Path(ecs.native.__file__).parent / f"init-{platform.machine()}",
    "sanitized": ROOT / "build" / "native" / "init-sanitized",
}
TIMEOUT_SECONDS = 30
FAILED = 125
# PID 1 cannot be traced for leaks; and what ends other programs is nothing to PID 1.
SANITIZER_OPTIONS = "detect_leaks=0:handle_segv=0"


@dataclass(frozen=True)
class Ended:
    exit_code: int
    trailer: Trailer | None
    stdout: bytes
    stderr: bytes


class Init:
    """A running init."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin
        self.stdin = process.stdin

    @property
    def pid(self) -> int:
        """The init's own, as this machine sees it; `unshare` waits for it. 0 before it is there."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children or "0")

    async def end(self, token: bytes) -> Ended:
        """Close its stdin behind what was written, and read what it says to its end."""
        self.stdin.close()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            stdout, stderr = await self.process.communicate()
        assert self.process.returncode is not None
        decoder = TrailerDecoder(token)
        output = decoder.feed([(Stream.STDOUT, stdout), (Stream.STDERR, stderr)])
        said = {stream: b"".join(data for of, data in output if of is stream) for stream in Stream}
        return Ended(
            self.process.returncode, decoder.trailer, said[Stream.STDOUT], said[Stream.STDERR]
        )


@asynccontextmanager
async def started(
    program: Path, *, prefix: Sequence[str | Path] = (), **environment: str
) -> AsyncIterator[Init]:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *prefix, program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "ASAN_OPTIONS": SANITIZER_OPTIONS,
            **environment,
        },
    )
    try:
        yield Init(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def frame(*argv: str, **fields: Any) -> InitFrame:
    defaults: dict[str, Any] = {
        "token": new_token(),
        "environment": {},
        "timeout_seconds": 20.0,
        "grace_seconds": 0.3,
    }
    return InitFrame(argv=argv, **defaults | fields)


async def run(
    program: Path, *argv: str, variables: dict[str, str] | None = None, **fields: Any
) -> Ended:
    told = frame(*argv, **fields)
    async with started(program, **variables or {}) as init:
        init.stdin.writelines(told.pieces())
        return await init.end(told.token)
