"""Looked at before anything else begins: exposure, folders, open files, a second service."""

import fcntl
import hashlib
import ipaddress
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ecs.settings import Settings, SettingsError
from ecs.tasks.warm_targets import WARM_CONTAINER_BYTES

_log = structlog.get_logger()

_FILES_PER_RUNNING_TASK = 7
"""Its caller, output, stdin and wait, and three spools."""
_FILES_PER_SANDBOX = _FILES_PER_WARM_CONTAINER = 2
"""Its two attaches."""
_OTHER_FILES = 100


def check_exposure(settings: Settings) -> None:
    """Refuse to let strangers run containers, unless told to.

    Raises:
        SettingsError: ``address`` is reached by others, and no proxy stands before it.
    """
    try:
        loopback = ipaddress.ip_address(settings.address).is_loopback
    except ValueError:
        loopback = settings.address == "localhost"
    if loopback or settings.trusted_proxies:
        return
    if not settings.allow_unauthenticated:
        raise SettingsError(
            f"address = {settings.address!r} (ECS_ADDRESS) is not allowed: whoever reaches it may "
            "run containers; name ECS_TRUSTED_PROXIES, or set ECS_ALLOW_UNAUTHENTICATED=true"
        )
    _log.warning("anybody who reaches this address may run containers", address=settings.address)


def check_folders(settings: Settings) -> None:
    """See that output can be spooled.

    Raises:
        SettingsError: ``spool_directory`` cannot be written to.
    """
    folder = settings.spool_directory
    if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"spool_directory = {str(folder)!r} (ECS_SPOOL_DIRECTORY) is not allowed: it takes a "
            "directory that exists and can be written to"
        )


@contextmanager
def instance_lock(settings: Settings, instance: str) -> Iterator[None]:
    """Keep a second service of this name away: each would take the other's tasks for orphans.

    Raises:
        SettingsError: there is one, or ``state_directory`` cannot be used.
    """
    folder = settings.state_directory
    name = hashlib.sha256(instance.encode()).hexdigest()[:16]
    path = folder / f"instance-{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.open("w")
    except OSError as error:
        raise unusable_state_directory(folder, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"instance = {instance!r} (ECS_INSTANCE) is not allowed: a service of that name "
                "runs already"
            ) from error
        except OSError as error:  # as on a network file system without locks
            told = OSError(error.errno, error.strerror, str(path))
            raise unusable_state_directory(folder, told) from error
        yield


def unusable_state_directory(folder: Path, error: Exception) -> SettingsError:
    """Return the error that says so."""
    return SettingsError(
        f"state_directory = {str(folder)!r} (ECS_STATE_DIRECTORY) cannot be used: {error}"
    )


def raise_open_files_limit(settings: Settings, *, running_tasks: int) -> None:
    """Take as many file descriptors as the system gives, and say so if they are too few."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    warm = sum(count for _, count in settings.warm_images)
    warm += settings.warm_memory_bytes // WARM_CONTAINER_BYTES
    wanted = (
        running_tasks * _FILES_PER_RUNNING_TASK
        + settings.max_queued_tasks
        + settings.sandboxes * _FILES_PER_SANDBOX
        + warm * _FILES_PER_WARM_CONTAINER
        + _OTHER_FILES
    )
    if hard < wanted:
        _log.warning("few open files are allowed; raise the limit", limit=hard, wanted=wanted)
