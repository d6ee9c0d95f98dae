"""What the engine's size and abilities decide, once it is met."""

from collections.abc import Iterable
from typing import Any

import pytest
from structlog.testing import capture_logs

from ecs import engine_watch
from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.system import EngineInfo
from ecs.request_handlers.base import Services
from ecs.settings import Settings
from ecs.tasks.admission import Admission
from ecs.tasks.dispatcher import TaskDispatcher
from tests.unit import builders

GIB = 1024**3


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

    engine_watch._take_engine(services, admission, engine_info(cpus, memory_bytes))

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
        engine_watch._take_engine(services, admission, engine_info(runtimes=runtimes))

    assert [entry["log_level"] for entry in logs].count("error") == errors


def engine_info(cpus: int = 1, memory_bytes: int = GIB, runtimes: Iterable[str] = ()) -> EngineInfo:
    return EngineInfo("28.0", cpus, memory_bytes, frozenset(runtimes), "runc", "x86_64")
