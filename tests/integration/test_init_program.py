"""What the init is told, what it starts and what it says; without an engine."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from ecs.tasks.init_frame import new_token
from tests.init_process import FAILED, frame, run, started

# Shows the init the cgroups in the directory $1. This shell is PID 1, and the init takes its place.
WITH_CGROUPS = """
mount --bind "$1/tree" /sys/fs/cgroup
mount --bind "$1/own" /proc/$$/cgroup
exec "$2"
"""


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


@pytest.mark.parametrize(
    ("own", "counters", "count"),
    [
        ("4:memory:/docker/a\n0::/docker/a\n", {"memory/memory.oom_control": 1}, 1),
        ("0::/\n", {"memory.events": 2}, 2),
        ("0::/docker/a\n", {"memory.events": 9, "docker/a/memory.events": 3}, 3),
        ("0::/docker/a\n", {"docker/b/memory.events": 9}, None),
        ("0::/../b\n", {"memory.events": 9}, None),
        ("4:memory:/docker/a\n", {"memory.events": 9}, None),
    ],
    ids=["version 1", "a namespace", "everybody's", "another's alone", "out of sight", "nothing"],
)
async def test_out_of_memory_kills_are_counted_in_the_inits_own_cgroup_alone(
    program: Path, tmp_path: Path, own: str, counters: Mapping[str, int], count: int | None
) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / "tree").mkdir()
    for name, kills in counters.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"oom 0\noom_kill {kills}\n")
    told = frame("true")

    async with started(program, prefix=("sh", "-euc", WITH_CGROUPS, "sh", tmp_path)) as init:
        init.stdin.writelines(told.pieces())
        ended = await init.end(told.token)

    assert ended.trailer, ended.stderr
    assert ended.trailer.oom_kills == count
