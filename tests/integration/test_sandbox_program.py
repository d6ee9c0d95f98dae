"""The sandbox's program itself, in namespaces of its own, without an engine."""

import contextlib
import fcntl
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ecs.native
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = {
    "static": Path(ecs.native.__file__).parent / f"sandbox-{platform.machine()}",
    "sanitized": ROOT / "build" / "native" / "sandbox-sanitized",
}
TIMEOUT_SECONDS = 30
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NODUMP = 0x80086601, 0x40086602, 0x40

MOUNT_AND_RUN = """
for file in hosts hostname resolv.conf; do mount --bind "$1/$file" "/etc/$file"; done
ip link set lo up
exec "$2"
"""
HOLD_A_SOCKET = """
import socket, sys
held = socket.socket(*map(int, sys.argv[1:4]))
if held.family == socket.AF_INET and held.type == socket.SOCK_STREAM: held.listen()
print("held", flush=True)
sys.stdin.read()
"""


class Program:
    """A running one, and the directory with the three files that it sees in /etc."""

    def __init__(self, process: "subprocess.Popen[str]", files: Path) -> None:
        self.process = process
        self.files = files

    def look(self) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("?")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    @contextlib.contextmanager
    def holding(self, family: int, kind: int, protocol: int) -> Iterator[None]:
        """Hold a socket in the program's network namespace."""
        command = [sys.executable, "-c", HOLD_A_SOCKET, *map(str, (family, kind, protocol))]
        with subprocess.Popen(
            ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == "held\n"
            yield
            holder.communicate(timeout=TIMEOUT_SECONDS)


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    for name in ("hosts", "hostname", "resolv.conf"):
        (tmp_path / name).write_text(f"{name}, as it was\n")
    path = PROGRAMS[request.param]
    assert path.is_file(), f"{path} is missing: bin/test makes it"
    with subprocess.Popen(
        ["unshare", "--mount", "--net", "sh", "-euc", MOUNT_AND_RUN, "-", tmp_path, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        program = Program(process, tmp_path)
        assert program.look() == "ready"
        yield program
        _, said = process.communicate(timeout=TIMEOUT_SECONDS)  # its input ends, and it with it
        assert (process.returncode, said) == (0, "")


def test_what_nobody_touched_is_clean_however_often_one_looks(program: Program) -> None:
    assert [program.look() for _ in range(3)] == ["clean"] * 3


def add_flag(file: Path) -> None:
    with file.open() as opened:
        flags = fcntl.ioctl(opened, FS_IOC_GETFLAGS, struct.pack("l", 0))
        changed = struct.unpack("l", flags)[0] | FS_NODUMP
        fcntl.ioctl(opened, FS_IOC_SETFLAGS, struct.pack("l", changed))


def change_content_alone(file: Path) -> None:
    status = file.stat()
    file.write_text(file.read_text().upper())
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "content alone": change_content_alone,
    "size": lambda file: file.write_text("more\n" * 10),
    "more than it can compare": lambda file: file.write_text("more\n" * 10_000),
    "mode": lambda file: file.chmod(0o600),
    "owner": lambda file: os.chown(file, 1234, -1),
    "group": lambda file: os.chown(file, -1, 1234),
    "time": lambda file: os.utime(file, (1, 1)),
    "extended attribute": lambda file: os.setxattr(file, "user.mark", b"x"),
    "inode flag": add_flag,
}


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_file_is_seen(program: Program, name: str, change: str) -> None:
    CHANGES[change](program.files / name)

    assert program.look() == "files"


def test_a_file_that_was_only_read_is_clean(program: Program) -> None:
    (program.files / "hosts").read_text()

    assert program.look() == "clean"


SOCKETS = {  # of socket(2)
    "TCP": (2, 1, 0),
    "TCP over IPv6": (10, 1, 0),
    "UDP": (2, 2, 0),
    "UDP over IPv6": (10, 2, 0),
    "raw": (2, 3, 1),
    "unix": (1, 1, 0),
    "packet": (17, 3, 0),
    "netlink, of a family that no table is read for": (16, 3, 0),
}


@pytest.mark.parametrize("kind", SOCKETS)
def test_a_socket_of_any_kind_is_seen_until_it_is_gone(program: Program, kind: str) -> None:
    with program.holding(*SOCKETS[kind]):
        assert program.look() == "sockets"

    wait_until(lambda: program.look() == "clean", TIMEOUT_SECONDS)  # the kernel frees some later
