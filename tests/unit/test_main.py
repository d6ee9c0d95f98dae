"""What the composition root decides before, and when, it meets an engine."""

import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from ecs import main, start_checks
from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.system import EngineInfo
from ecs.request_handlers.base import Services
from ecs.settings import Settings, SettingsError
from ecs.tasks.admission import Admission
from ecs.tasks.dispatcher import TaskDispatcher
from ecs.tasks.model import Profile, Resources
from tests.services import PROGRAM
from tests.unit import builders

GIB = 1024**3


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match="ECS_STATE_DIRECTORY"):
        main._open_store(Settings(state_directory=tmp_path / "file" / "state"))


def test_a_state_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "private-images.sqlite3").write_text("no database\n" * 100)

    with pytest.raises(SettingsError, match="ECS_STATE_DIRECTORY"):
        main._open_store(Settings(state_directory=tmp_path))


def test_what_a_request_may_ask_for_is_what_the_settings_say() -> None:
    settings = Settings(
        default_cpus=0.5, max_cpus=3, max_pids=300, profile="strict", max_timeout_seconds=120
    )

    rules = main._rules(settings, engine_cpus=8)

    assert rules.default_resources == Resources(512 * builders.MIB, 0.5, 128)
    assert rules.max_resources == Resources(2048 * builders.MIB, 3, 300)
    assert (rules.default_timeout_seconds, rules.max_timeout_seconds) == (60, 120)
    assert rules.profile is Profile.STRICT


@pytest.mark.parametrize(("engine_cpus", "default"), [(8, 4.0), (2, 2.0)])
def test_without_a_maximum_of_cpus_the_engine_sets_it(engine_cpus: int, default: float) -> None:
    rules = main._rules(Settings(default_cpus=4.0), engine_cpus)

    assert (rules.default_resources.cpus, rules.max_resources.cpus) == (default, engine_cpus)


@pytest.fixture
def services(no_engine: DockerRemoteApi) -> Services:
    admission = Admission(max_starting=1, max_running=1, max_queued=1)

    def no_runner(_: object) -> Any:
        raise AssertionError

    dispatcher = TaskDispatcher(
        admission,
        no_runner,
        output_limits=builders.OUTPUT_LIMITS,
        queue_timeout_seconds=1,
        drain_timeout_seconds=1,
    )
    return Services(Settings(), no_engine, dispatcher, builders.request_rules())


@pytest.mark.parametrize(
    ("cpus", "memory_bytes", "settings", "limits"),
    [
        (2, 64 * GIB, {}, (6, 128)),
        (2, 1 * GIB, {}, (6, 16)),
        (1, 1024, {}, (3, 1)),
        (2, 64 * GIB, {"max_starting_tasks": 7}, (7, 128)),
        (2, 64 * GIB, {"max_running_tasks": 9}, (6, 9)),
    ],
)
def test_how_much_runs_at_a_time_follows_the_engines_size_unless_it_is_set(
    cpus: int,
    memory_bytes: int,
    settings: dict[str, int],
    limits: tuple[int, int],
    services: Services,
) -> None:
    services.settings = Settings.model_validate(settings)
    admission = Admission(max_starting=1, max_running=1, max_queued=1)

    main._take_engine(services, admission, engine_info(cpus, memory_bytes))

    assert (admission.max_starting, admission.max_running) == limits
    assert services.engine_met
    assert services.rules.max_resources.cpus == cpus


@pytest.mark.parametrize(("runtimes", "errors"), [({"runsc"}, 0), ({"runc"}, 1)])
def test_a_runtime_that_the_engine_has_not_is_told(
    runtimes: set[str], errors: int, services: Services
) -> None:
    services.settings = Settings(strict_runtime="runsc")
    admission = Admission(max_starting=1, max_running=1, max_queued=1)

    with capture_logs() as logs:
        main._take_engine(services, admission, engine_info(runtimes=runtimes))

    assert [entry["log_level"] for entry in logs].count("error") == errors


def engine_info(cpus: int = 1, memory_bytes: int = GIB, runtimes: Iterable[str] = ()) -> EngineInfo:
    return EngineInfo("28.0", cpus, memory_bytes, frozenset(runtimes), "x86_64")


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


def test_a_warm_image_without_a_tag_is_told_before_anything_starts() -> None:
    settings = Settings.model_validate({"warm_images": "busybox=2"})

    with pytest.raises(SettingsError, match=r"'busybox' \(ECS_WARM_IMAGES\).*name a tag"):
        main._warm_rules(settings)


def test_a_warm_image_is_known_by_the_name_that_tasks_have_for_it() -> None:
    settings = Settings.model_validate({"warm_images": "busybox:1=2,docker.io/library/busybox:1=3"})

    assert main._warm_rules(settings).named == {ImageReference.parse("busybox:1"): 5}
