"""Hosts of the tests' own, beside this machine: network namespaces with an address each."""

import ctypes
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Host:
    """A host that reaches this machine at ``gateway``, from the address ``address``."""

    namespace: str
    address: str
    gateway: str

    def command(self, *words: str) -> list[str]:
        """The command that runs these words on the host."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def run(self, *words: str) -> str:
        """Run a command there, and return what it wrote to standard output."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=True, timeout=120
        ).stdout


@contextmanager
def namespace() -> Iterator[Path]:
    """Make a network namespace, linked to nothing, and return the file that stands for it."""
    path = Path("/run/netns", f"ecs-{secrets.token_hex(4)}")
    _ip("netns", "add", path.name)
    try:
        yield path
    finally:
        _ip("netns", "delete", path.name)


@contextmanager
def host(number: int) -> Iterator[Host]:
    """Make a host; numbers from 0 to 63 give addresses of RFC 2544's range for tests."""
    gateway, address = f"198.18.0.{4 * number + 1}", f"198.18.0.{4 * number + 2}"
    with namespace() as path:
        name = path.name
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("address", "add", f"{gateway}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "address", "add", f"{address}/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "route", "add", "default", "via", gateway)
        yield Host(name, address, gateway)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def run_in(namespace: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in a thread that is in the network namespace of this file.

    A socket stays in the namespace it was made in; a child process is in its thread's.
    """

    def enter_and_call() -> T:
        descriptor = os.open(namespace, os.O_RDONLY)
        try:
            # os.setns is new in Python 3.12.
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(namespace))
        finally:
            os.close(descriptor)
        return function(*args, **kwargs)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_call).result()


def output_in(namespace: Path, *command: str, stdin: str = "") -> str:
    """Run a command in the network namespace of this file; return its standard output."""
    return run_in(
        namespace,
        lambda: (
            subprocess.run(
                command, input=stdin, capture_output=True, text=True, check=True, timeout=30
            ).stdout
        ),
    )
