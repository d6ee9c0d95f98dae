"""What is counted, seen as Prometheus sees it."""

from pathlib import Path

import pytest

from ecs.docker_remote_api.connection import UNREACHABLE, DockerRemoteApi
from ecs.docker_remote_api.operations import OPERATIONS
from ecs.tasks.admission import Admission
from ecs.tasks.model import Task
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import EngineRuntime
from ecs.tasks.states import Outcome, RunnerState
from ecs.telemetry.telemetry import Telemetry
from tests.expositions import families, samples, value
from tests.unit import builders
from tests.unit.scripted_runner import dispatcher_of, go_on_for_ever
from tests.unit.walked import TO_CREATION, TO_THE_END, WITH_A_PULL, end, walk


def seconds_counted(telemetry: Telemetry) -> dict[str, float]:
    """How many durations each phase has."""
    found = samples(telemetry.exposition(), "ecs_task_duration_seconds_count")
    return {dict(labels)["phase"]: count for labels, count in found.items()}


def ended_after(*states: RunnerState, outcome: Outcome = Outcome.EXITED) -> Task:
    task = builders.task()
    walk(task, states)
    end(task, outcome)
    return task


def test_every_outcome_begins_at_nothing() -> None:
    found = samples(Telemetry().exposition(), "ecs_tasks_total")

    assert found == {frozenset({("outcome", outcome.value)}): 0 for outcome in Outcome}


@pytest.mark.parametrize("outcome", Outcome)
def test_a_task_that_ended_counts_by_its_outcome(outcome: Outcome) -> None:
    telemetry = Telemetry()

    telemetry.metrics.ended(ended_after(outcome=outcome))

    found = samples(telemetry.exposition(), "ecs_tasks_total")
    assert [dict(labels)["outcome"] for labels, count in found.items() if count] == [outcome.value]


def test_a_task_without_a_result_counts_as_nothing() -> None:
    telemetry = Telemetry()

    telemetry.metrics.ended(builders.task())

    assert not any(samples(telemetry.exposition(), "ecs_tasks_total").values())


@pytest.mark.parametrize(
    ("way", "phases"),
    [
        ((), {"queued"}),
        (TO_CREATION, {"queued", "create"}),
        (TO_THE_END, {"queued", "create", "start", "run", "collect"}),
        (WITH_A_PULL, {"queued", "pull", "create", "start", "run", "collect"}),
    ],
    ids=["from the queue", "while created", "without a pull", "with a pull"],
)
def test_the_phases_that_a_task_came_to_are_timed_and_no_others(
    way: tuple[RunnerState, ...], phases: set[str]
) -> None:
    telemetry = Telemetry()

    telemetry.metrics.ended(ended_after(*way))

    assert seconds_counted(telemetry) == dict.fromkeys([*phases, "total"], 1)


def test_overhead_is_all_but_the_pull_and_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(2.0**power for power in range(20))
    monkeypatch.setattr("ecs.tasks.states.time.monotonic", lambda: next(clock))
    telemetry = Telemetry()
    task = ended_after(*WITH_A_PULL)
    assert task.result

    telemetry.metrics.ended(task)

    timings = task.result.timings
    parts = [timings[f"{phase}_seconds"] for phase in ("queued", "create", "start", "collect")]
    assert value(telemetry.exposition(), "ecs_task_overhead_seconds_sum") == sum(parts)
    assert all(parts)


def test_a_task_that_never_ran_has_no_overhead() -> None:
    telemetry = Telemetry()

    telemetry.metrics.ended(ended_after(*TO_CREATION, outcome=Outcome.ENGINE_ERROR))

    assert samples(telemetry.exposition(), "ecs_task_overhead_seconds_count") == {}


def test_requests_to_the_engine_count_by_operation_and_code() -> None:
    telemetry = Telemetry()

    telemetry.metrics.engine_request("container_start", "204", 0.2)
    telemetry.metrics.engine_request("container_start", "409", 0.1)
    telemetry.metrics.engine_request("container_start", "204", 0.3)

    exposition, start = telemetry.exposition(), {"operation": "container_start"}
    assert value(exposition, "ecs_docker_requests_total", **start, code="204") == 2
    assert value(exposition, "ecs_docker_requests_total", **start, code="409") == 1
    assert value(exposition, "ecs_docker_request_duration_seconds_count", **start) == 3
    assert value(exposition, "ecs_docker_request_duration_seconds_sum", **start) == (
        pytest.approx(0.6)
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_failures_of_the_engine_begin_at_nothing(operation: str) -> None:
    exposition = Telemetry().exposition()

    for code in (UNREACHABLE, "500"):
        labels = {"operation": operation, "code": code}
        assert value(exposition, "ecs_docker_requests_total", **labels) == 0


def test_the_engine_is_up_if_it_answered_the_last_request() -> None:
    telemetry = Telemetry()
    seen = [value(telemetry.exposition(), "ecs_engine_up")]

    for code in ("200", UNREACHABLE, "500"):
        telemetry.metrics.engine_request("ping", code, 0.1)
        seen.append(value(telemetry.exposition(), "ecs_engine_up"))

    assert seen == [0, 1, 0, 1]


def test_http_requests_count_by_route_method_and_code() -> None:
    telemetry = Telemetry()
    telemetry.metrics.expect_http("/v1.1/tasks", "POST", [201, 503])

    telemetry.metrics.http_request("/v1.1/tasks", "POST", 201, 0.3)
    telemetry.metrics.http_request("/v1.1/_noop", "GET", 200, 0.001)
    telemetry.metrics.http_request("/v1.1/_noop", "GET", 200, 0.001)

    exposition = telemetry.exposition()
    assert samples(exposition, "ecs_http_requests_total") == {
        frozenset({("route", "/v1.1/tasks"), ("method", "POST"), ("code", "201")}): 1,
        frozenset({("route", "/v1.1/tasks"), ("method", "POST"), ("code", "503")}): 0,
        frozenset({("route", "/v1.1/_noop"), ("method", "GET"), ("code", "200")}): 2,
    }
    duration = "ecs_http_request_duration_seconds_count"
    assert value(exposition, duration, route="/v1.1/_noop") == 2


async def test_gauges_read_the_parts_themselves(no_engine: DockerRemoteApi, tmp_path: Path) -> None:
    telemetry = Telemetry()
    admission = Admission(max_starting=1, max_running=1, max_queued=7)
    dispatcher = dispatcher_of(go_on_for_ever, admission, drain_timeout_seconds=0.001)
    async with Reaper(no_engine, admission) as reaper, dispatcher:
        sandboxes = builders.no_sandboxes(no_engine, admission, reaper)
        sandboxes.hits, sandboxes.misses, sandboxes.containers.made = 5, 2, 3
        sandboxes.containers.making_seconds, sandboxes.containers.failed = 0.75, 4
        warm_pool = builders.no_warm_pool(no_engine, admission, reaper)
        warm_pool.hits = 7
        runtime = EngineRuntime()
        telemetry.metrics.watch(
            dispatcher=dispatcher,
            admission=admission,
            reaper=reaper,
            pools={"sandbox": sandboxes, "warm": warm_pool},
            runtime=runtime,
            directories={"spool": tmp_path, "state": tmp_path / "missing"},
        )
        dispatcher.submit(builders.task_request(), owner="somebody", request_id="r1")
        reaper.remove("ecs-task-1")
        under_way = telemetry.exposition()
        await dispatcher.drain()
        runtime.name = "crun"
        drained = telemetry.exposition()

    in_progress = "ecs_tasks_in_progress"
    assert value(under_way, in_progress, state="QUEUED") == 1
    assert value(under_way, in_progress, state="RUNNING") == 0
    assert value(drained, in_progress, state="QUEUED") == 0
    assert value(under_way, "ecs_containers_to_delete") == 1
    assert value(under_way, "ecs_queue_limit") == 7
    assert value(under_way, "ecs_pool_containers", kind="sandbox", state="idle") == 0
    assert value(under_way, "ecs_pool_tasks_total", kind="sandbox", result="hit") == 5
    assert value(under_way, "ecs_pool_tasks_total", kind="sandbox", result="miss") == 2
    assert value(under_way, "ecs_pool_refills_total", kind="sandbox") == 3
    assert value(under_way, "ecs_pool_refill_seconds_total", kind="sandbox") == 0.75
    assert value(under_way, "ecs_pool_refill_failures_total", kind="sandbox") == 4
    assert value(under_way, "ecs_pool_tasks_total", kind="warm", result="hit") == 7
    assert value(under_way, "ecs_pool_containers", kind="warm", state="idle") == 0
    assert (value(under_way, "ecs_draining"), value(drained, "ecs_draining")) == (0, 1)
    assert value(under_way, "ecs_runtime_info", runtime="default") == 1
    assert set(samples(drained, "ecs_runtime_info")) == {frozenset({("runtime", "crun")})}
    free = samples(under_way, "ecs_disk_free_bytes")
    size = samples(under_way, "ecs_disk_size_bytes")
    assert free.keys() == size.keys() == {frozenset({("directory", "spool")})}
    assert 0 < sum(free.values()) <= sum(size.values())


def test_nothing_names_the_library_that_counts() -> None:
    exposition = Telemetry().exposition().decode()

    assert "otel" not in exposition
    assert "target_info" not in families(exposition)
