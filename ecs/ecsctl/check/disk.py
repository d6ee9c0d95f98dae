"""Is there room? Space and inodes of the file systems that the engine and the service write to."""

import os
from pathlib import Path

from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok, warning

_GIB = 1024**3
_FAILURE_BYTES = 1 * _GIB
"""Less than one small image and its container need."""
_FAILURE_SHARE = 0.05
_WARNING_SHARE = 0.15


def check_disk(name: str, directory: Path, fix: str) -> list[Finding]:
    """Look at space and inodes of a directory's file system; ``fix`` says how to free some."""
    try:
        room = os.statvfs(directory)
    except OSError as error:
        why = f"{directory}: {error.strerror}"
        return [not_checked(f"{name} disk", why, "run this on the node itself, as root")]
    return [
        space_finding(
            f"{name} space",
            directory,
            room.f_bavail * room.f_frsize,
            room.f_blocks * room.f_frsize,
            fix,
        ),
        inodes_finding(f"{name} inodes", directory, room.f_favail, room.f_files, fix),
    ]


def space_finding(
    name: str, directory: Path, free_bytes: int, total_bytes: int, fix: str
) -> Finding:
    """Judge the space that is left to a user without privileges."""
    share = free_bytes / total_bytes if total_bytes else 0.0
    found = (
        f"{free_bytes / _GIB:.1f} of {total_bytes / _GIB:.1f} GiB ({share:.0%}) free at {directory}"
    )
    if free_bytes < _FAILURE_BYTES or share < _FAILURE_SHARE:
        return failure(name, found, fix)
    return warning(name, found, fix) if share < _WARNING_SHARE else ok(name, found)


def inodes_finding(name: str, directory: Path, free: int, total: int, fix: str) -> Finding:
    """Judge the inodes that are left; ``total`` is 0 on file systems that make them as needed."""
    if not total:
        return ok(name, f"made as needed at {directory}")
    share = free / total
    found = f"{free:,} of {total:,} ({share:.0%}) free at {directory}"
    if share < _FAILURE_SHARE:
        return failure(name, found, fix)
    return warning(name, found, fix) if share < _WARNING_SHARE else ok(name, found)
