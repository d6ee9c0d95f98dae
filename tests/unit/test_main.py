"""What ends the program before it serves."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ecs import main, start_checks
from ecs.settings import Settings, SettingsError
from tests.services import PROGRAM


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match="ECS_STATE_DIRECTORY"):
        main._open_store(Settings(state_directory=tmp_path / "file" / "state"))


def test_a_state_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "private-images.sqlite3").write_text("no database\n" * 100)

    with pytest.raises(SettingsError, match="ECS_STATE_DIRECTORY"):
        main._open_store(Settings(state_directory=tmp_path))


def run_program(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM],
        env=os.environ
        | {
            "HOME": str(directory),
            "ECS_PORT": "0",
            "DOCKER_HOST": f"unix://{directory}/docker.sock",
            "DOCKER_CERT_PATH": "",
        }
        | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "setting",
    [
        {"ECS_PORT": "x"},
        {"ECS_ADDRESS": "0.0.0.0"},
        {"ECS_SPOOL_DIRECTORY": "/nowhere"},
        {"ECS_STATE_DIRECTORY": "/dev/null"},
        {"ECS_CONFIG": "/nowhere"},
        {"ECS_SPOOL_DIRECTORY": "~no.such.user/spool"},
    ],
    ids=str,
)
def test_a_wrong_setting_ends_the_program_with_one_line(
    setting: dict[str, str], tmp_path: Path
) -> None:
    ended = run_program(tmp_path, **setting)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("ecservice: ")


def test_a_second_service_of_the_same_name_ends_with_one_line(tmp_path: Path) -> None:
    settings = Settings(state_directory=tmp_path / "state")

    with start_checks.instance_lock(settings, "one"):
        ended = run_program(
            tmp_path, ECS_STATE_DIRECTORY=str(tmp_path / "state"), ECS_INSTANCE="one"
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith("ecservice: instance = 'one' (ECS_INSTANCE) is not allowed: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_ends_the_program_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        ended = run_program(tmp_path, ECS_PORT=str(port))

    assert ended.returncode == 1
    assert ended.stderr == (
        f"ecservice: port = {port} (ECS_PORT) cannot be listened on at 127.0.0.1: "
        "Address already in use; choose another, or stop what uses it\n"
    )


@pytest.mark.parametrize("docker_host", ["engine:2375", "unix://relative", "tcp://host:99999"])
def test_an_engine_address_that_is_none_ends_the_program_with_one_line(
    docker_host: str, tmp_path: Path
) -> None:
    ended = run_program(tmp_path, DOCKER_HOST=docker_host)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"ecservice: docker_host = {docker_host!r} (DOCKER_HOST) ")


def test_certificates_that_are_not_there_end_the_program_with_one_line(tmp_path: Path) -> None:
    ended = run_program(
        tmp_path, DOCKER_HOST="tcp://127.0.0.1:2376", DOCKER_CERT_PATH=str(tmp_path)
    )

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
