"""What the init is to the processes below it, without an engine: signals, orphans, the clock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecs.tasks.init_frame import new_token
from tests.init_process import Init, frame, run, started
from tests.waiting import eventually


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


async def test_a_command_finds_signals_as_the_init_found_them(program: Path) -> None:
    ended = await run(program, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")

    masks = [int(line.split()[1], 16) for line in ended.stdout.decode().splitlines()]
    assert masks[0] == 0
    assert not masks[1] & 1 << (signal.SIGTERM - 1)
