"""The init itself, as PID 1 of a namespace of its own, without an engine; also with sanitizers."""

import asyncio
import os
import platform
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ecs.native
from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.init_frame import InitFrame, new_token
from ecs.tasks.trailer import Trailer, TrailerDecoder
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
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


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Path:
    path = PROGRAMS[request.param]
    assert path.exists(), f"{path} is missing: bin/test builds it"
    return path


@asynccontextmanager
async def started(program: Path, **environment: str) -> AsyncIterator[Init]:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0",
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


@pytest.mark.parametrize(
    ("script", "wait_status", "exit_code"),
    [
        ("exit 0", 0, 0),
        ("exit 77", 77 << 8, 77),
        ("kill -TERM $$", signal.SIGTERM, 143),
        ("kill -KILL $$", signal.SIGKILL, 137),
    ],
)
async def test_the_commands_end_is_told_in_the_trailer_and_in_the_exit_status(
    program: Path, script: str, wait_status: int, exit_code: int
) -> None:
    ended = await run(program, "sh", "-c", f"echo out; echo err >&2; {script}")

    assert ended.trailer
    assert (ended.trailer.wait_status, ended.trailer.error) == (wait_status, 0)
    assert not ended.trailer.timed_out
    assert ended.exit_code == exit_code
    assert (ended.stdout, ended.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("name", "error", "exit_code"),
    [
        ("no-such-command", 2, 127),
        ("", 2, 127),
        ("/no/such", 2, 127),
        ("/etc/passwd", 13, 126),
        ("/etc/passwd/below", 20, 126),
        ("/etc", 13, 126),
        ("x" * 300, 36, 126),
        ("/" + "x" * 300, 36, 126),
    ],
)
async def test_a_command_that_cannot_be_run_is_told_with_its_errno(
    program: Path, name: str, error: int, exit_code: int
) -> None:
    ended = await run(program, name)

    assert ended.trailer
    assert (ended.trailer.error, ended.exit_code) == (error, exit_code)


async def test_more_arguments_than_the_kernel_takes_are_told(program: Path) -> None:
    ended = await run(program, "true", *["x" * 100_000] * 30)

    assert ended.trailer
    assert (ended.trailer.error, ended.exit_code) == (7, 126)  # E2BIG


async def test_a_file_without_a_format_is_not_given_to_a_shell(
    program: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)

    ended = await run(program, "script", environment={"PATH": str(tmp_path)})

    assert ended.trailer
    assert ended.trailer.error == 8  # ENOEXEC
    assert ended.stdout == b""


async def test_the_path_is_searched_to_its_end_past_what_cannot_be_run(
    program: Path, tmp_path: Path
) -> None:
    denied = tmp_path / "echo"
    denied.write_text("")
    path = f"/no/such:/etc/passwd:{tmp_path}:{'x' * 5000}:/bin"

    found = await run(program, "echo", "found", environment={"PATH": path})
    alone = await run(program, "echo", environment={"PATH": str(tmp_path)})

    assert found.stdout == b"found\n"
    assert alone.trailer
    assert alone.trailer.error == 13


async def test_the_environment_is_the_containers_with_the_frames_laid_over_it(
    program: Path,
) -> None:
    ended = await run(
        program,
        "env",
        variables={"A": "1", "B": "2", "C": "3"},
        environment={"B": "x=y", "NEW": ""},
    )

    lines = ended.stdout.decode().splitlines()
    assert lines[0].startswith("PATH=")
    assert [line for line in lines if line[0] in "ABCN" and "ASAN" not in line] == [
        # In the engine's own order: what was asked for, then what the image has beside it.
        "B=x=y",
        "NEW=",
        "A=1",
        "C=3",
    ]


@pytest.mark.parametrize("size", [0, 1, 4, 65_536, 3_000_000])
async def test_stdin_is_the_frames_byte_by_byte(program: Path, size: int) -> None:
    data = bytes(index % 251 for index in range(size))

    ended = await run(program, "cat", stdin=data)

    assert ended.stdout == data


async def test_stdin_may_come_in_any_pieces(program: Path) -> None:
    told = frame("cat", stdin=b"some input")
    async with started(program) as init:
        for byte in b"".join(told.pieces()):
            init.stdin.write(bytes([byte]))
            await init.stdin.drain()
        ended = await init.end(told.token)

    assert ended.stdout == b"some input"


async def test_who_does_not_read_its_stdin_ends_all_the_same(program: Path) -> None:
    for script in ("true", "exec <&-; sleep 0.2", "head -c 3"):
        ended = await run(program, "sh", "-c", script, stdin=bytes(1_000_000))

        assert ended.trailer
        assert ended.exit_code == 0


async def test_stdin_that_breaks_off_is_no_end_of_file(program: Path) -> None:
    told = frame("sh", "-c", "cat; echo answer", stdin=b"whole")
    async with started(program) as init:
        init.stdin.write(b"".join(told.pieces())[:-2])
        ended = await init.end(told.token)

    assert (ended.exit_code, ended.trailer) == (FAILED, None)
    assert b"answer" not in ended.stdout


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"ECSINIT\x01",
        b"".join(frame("true").pieces())[:-1],
        b"x" * 1000,
        b"ECSINIT\x02" + b"".join(frame("true").pieces())[8:],
        b"".join(frame("true").pieces()).replace(b"true\0", b"true!"),
    ],
    ids=["nothing", "half a header", "half a frame", "garbage", "another version", "no NUL"],
)
async def test_what_is_no_frame_is_refused(program: Path, said: bytes) -> None:
    async with started(program) as init:
        init.stdin.write(said)
        ended = await init.end(new_token())

    assert (ended.exit_code, ended.trailer, ended.stdout) == (FAILED, None, b"")


async def test_it_does_nothing_where_it_is_not_pid_1(program: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        program, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate(b"".join(frame("true").pieces()))

    assert process.returncode == FAILED
    assert b"not PID 1" in stderr


@pytest.mark.parametrize(
    ("script", "exit_code", "stdout"),
    [
        ("echo began; exec sleep 60", 143, b"began\n"),
        ("trap 'echo TERM; exit 7' TERM; while :; do sleep 0.05; done", 7, b"TERM\n"),
        ("trap '' TERM; while :; do sleep 0.05; done", 137, b""),
        ("trap 'echo TERM; exit 7' TERM; kill -STOP $$; sleep 60", 7, b"TERM\n"),
    ],
    ids=["ends", "has a last word", "ignores it", "is stopped"],
)
async def test_when_the_time_is_over_the_command_is_ended(
    program: Path, script: str, exit_code: int, stdout: bytes
) -> None:
    ended = await run(program, "sh", "-c", script, timeout_seconds=0.5)

    assert ended.trailer
    assert ended.trailer.timed_out
    assert (ended.trailer.exit_code, ended.stdout) == (exit_code, stdout)


async def test_signals_are_passed_on(program: Path) -> None:
    told = frame(
        "sh", "-c", "trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    )
    async with started(program) as init:
        init.stdin.writelines(told.pieces())
        assert init.process.stdout
        assert await init.process.stdout.readline() == b"ready\n"
        os.kill(init.pid, signal.SIGUSR1)
        ended = await init.end(told.token)

    assert (ended.exit_code, ended.stdout) == (5, b"got it\n")


# Sends real-time signals, which queue, to PID 1 for ever; SIGTERM ends it.
FLOOD = """
#include <signal.h>
int main(void)
{
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signal(number, SIG_IGN);
    for (;;)
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
            kill(1, number);
}
"""


@pytest.fixture
def flood(tmp_path: Path) -> Path:
    source = tmp_path / "flood.c"
    source.write_text(FLOOD)
    subprocess.run(["cc", "-O2", "-o", tmp_path / "flood", source], check=True)
    return tmp_path / "flood"


async def test_a_flood_of_signals_does_not_hide_the_deadline(program: Path, flood: Path) -> None:
    ended = await run(program, str(flood), timeout_seconds=0.5, grace_seconds=10)

    assert ended.trailer
    assert ended.trailer.timed_out
    assert ended.exit_code == 143


STORM = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        while True:
            if os.fork() == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
            os.wait()
time.sleep(0.5)
os._exit(7)
"""


async def test_a_storm_of_orphans_does_not_hide_the_commands_end(program: Path) -> None:
    ended = await run(program, sys.executable, "-c", STORM)

    assert ended.exit_code == 7
    assert ended.trailer
    assert ended.trailer.wait_status == 7 << 8


NO_FILES = """
import os, resource, signal, time
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))
os.kill(1, signal.SIGUSR1)
time.sleep(60)
"""


async def test_a_command_that_takes_the_init_its_files_is_killed(program: Path) -> None:
    ended = await run(program, sys.executable, "-c", NO_FILES)

    assert ended.exit_code == 137
    assert ended.trailer
    assert (ended.trailer.wait_status, ended.trailer.timed_out) == (signal.SIGKILL, False)


async def test_one_that_waits_for_its_frame_can_be_told_to_end(program: Path) -> None:
    async with started(program) as init:
        await eventually(lambda: takes_signals(init))
        os.kill(init.pid, signal.SIGTERM)
        ended = await init.end(new_token())

    assert (ended.exit_code, ended.trailer) == (143, None)


def takes_signals(init: Init) -> bool:
    """Whether it has come to where it takes them through a file."""
    if not init.pid:
        return False
    files = Path(f"/proc/{init.pid}/fd").iterdir()
    return any("signalfd" in str(file.readlink()) for file in files)


async def test_nobody_is_left_and_nobody_waits_for_background_children(program: Path) -> None:
    script = "(trap '' TERM HUP; sleep 600) & sleep 600 & echo done"
    ended = await run(program, "sh", "-c", script)

    assert ended.trailer
    assert (ended.exit_code, ended.stdout) == (0, b"done\n")


async def test_orphans_are_reaped(program: Path) -> None:
    script = "(sleep 0.05 &); (sleep 0.05 &); sleep 0.5; grep -l 'State:.Z' /proc/[0-9]*/status"
    ended = await run(program, "sh", "-c", script)

    assert ended.stdout == b""


async def test_the_init_cannot_be_read_nor_killed_by_the_command(program: Path) -> None:
    script = """
        kill -KILL 1; kill -STOP 1; kill -SEGV 1
        tr '\\0' ' ' < /proc/1/cmdline; echo
        ls /proc/self/fd | wc -l
    """
    told = frame("sh", "-c", script)
    async with started(program) as init:
        init.stdin.writelines(told.pieces())
        ended = await init.end(told.token)

    command_line, files = ended.stdout.decode().splitlines()
    assert ended.exit_code == 0
    assert command_line.split() == [str(program)]
    assert int(files) == 4  # the three, and the one that ls reads


NON_BLOCKING = """
import os, sys
for output in (1, 2):
    os.set_blocking(output, False)
    try:
        while True:
            os.write(output, b"x" * 65536)
    except BlockingIOError:
        pass
"""


async def test_a_full_output_that_does_not_block_gets_its_trailer_too(program: Path) -> None:
    ended = await run(program, "python3", "-c", NON_BLOCKING)

    assert ended.trailer
    assert (ended.exit_code, set(ended.stdout), set(ended.stderr)) == (0, {ord("x")}, {ord("x")})


async def test_a_command_finds_signals_as_the_init_found_them(program: Path) -> None:
    ended = await run(program, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")

    masks = [int(line.split()[1], 16) for line in ended.stdout.decode().splitlines()]
    assert masks[0] == 0
    assert not masks[1] & 1 << (signal.SIGTERM - 1)
