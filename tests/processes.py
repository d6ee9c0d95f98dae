"""What the kernel says of a process, and the very moment from which on it says so."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

PATIENT_SECONDS = 30


def as_soon_as(condition: Callable[[], object]) -> None:
    """Return at once when the condition holds, for tests that are about the moment."""
    deadline = time.monotonic() + PATIENT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENT_SECONDS} s"


def program_of(pid: int) -> str:
    """The name of the program that it runs."""
    return Path(f"/proc/{pid}/exe").readlink().name


def blocks_stop(pid: int) -> bool:
    """Whether a SIGTERM waits until it is let through."""
    return _has_sigterm(pid, "SigBlk")


def handles_stop(pid: int) -> bool:
    """Whether it has a handler for SIGTERM."""
    return _has_sigterm(pid, "SigCgt")


def _has_sigterm(pid: int, field: str) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+([0-9a-f]+)$", status, re.MULTILINE)
    assert found, status
    return bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)
