"""What is looked at before the service begins."""

import errno
import fcntl
import os
import resource
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ecs import start_checks
from ecs.settings import Settings, SettingsError


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_address_needs_no_leave(address: str) -> None:
    with capture_logs() as logs:
        start_checks.check_exposure(Settings(address=address))

    assert logs == []


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "node.example"])
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"ECS_TRUSTED_PROXIES.*ECS_ALLOW_UNAUTHENTICATED"):
        start_checks.check_exposure(Settings(address=address))


def test_an_address_that_others_reach_is_fine_behind_a_proxy() -> None:
    with capture_logs() as logs:
        start_checks.check_exposure(
            Settings.model_validate({"address": "0.0.0.0", "trusted_proxies": "10.0.0.1"})
        )

    assert logs == []


def test_an_address_that_others_reach_is_taken_with_a_warning_when_told_so() -> None:
    with capture_logs() as logs:
        start_checks.check_exposure(Settings(address="0.0.0.0", allow_unauthenticated=True))

    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_spool_directory_must_exist(tmp_path: Path) -> None:
    start_checks.check_folders(Settings(spool_directory=tmp_path))
    start_checks.check_folders(Settings(spool_directory=None))

    with pytest.raises(SettingsError, match="ECS_SPOOL_DIRECTORY"):
        start_checks.check_folders(Settings(spool_directory=tmp_path / "missing"))


def test_a_lock_that_cannot_be_taken_is_told_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    with (
        pytest.raises(SettingsError) as error,
        start_checks.instance_lock(Settings(state_directory=tmp_path), "one"),
    ):
        pass

    [lock] = tmp_path.iterdir()
    assert str(error.value) == (
        f"state_directory = {str(tmp_path)!r} (ECS_STATE_DIRECTORY) cannot be used: "
        f"[Errno {errno.ENOLCK}] No locks available: {str(lock)!r}"
    )


def test_a_service_of_another_name_or_after_the_first_has_ended_may_run(tmp_path: Path) -> None:
    settings = Settings(state_directory=tmp_path / "state")

    with start_checks.instance_lock(settings, "one"), start_checks.instance_lock(settings, "two"):
        pass
    with start_checks.instance_lock(settings, "one"):
        pass


@pytest.mark.parametrize(("hard", "warnings"), [(10_000, 0), (980, 0), (979, 1)])
def test_too_few_open_files_are_told_and_all_there_are_are_taken(
    hard: int, warnings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: taken.append(limits))

    with capture_logs() as logs:
        settings = Settings.model_validate(
            {
                "max_queued_tasks": 100,
                "sandboxes": 0,
                "warm_images": "busybox:1=20",
                "warm_memory_bytes": 20 * 2**22,
            }
        )
        start_checks.raise_open_files_limit(settings, running_tasks=100)

    assert taken == [(hard, hard)]
    assert [entry["log_level"] for entry in logs] == ["warning"] * warnings
