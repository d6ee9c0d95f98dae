"""Other runtimes than the engine's default, on an engine that has some: crun, and worse ones."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.errors import EngineError
from ecs.tasks import runtime_trial
from ecs.tasks.model import Network, Start
from ecs.tasks.runtime_trial import MAX_RATIO, Comparison, RuntimeTrial, RuntimeTrialError
from ecs.tasks.states import Outcome, RunnerState
from tests.client import Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import RESOURCES, Ecs, result_of, running_ecs
from tests.images import BUSYBOX
from tests.runtimes import spoiled_runtimes
from tests.second_engine import SecondEngine, running_second_engine
from tests.service_log import logged, seen
from tests.waiting import eventually

CRUN = Path("/usr/bin/crun")
PATIENT_SECONDS = 30
TRIAL_NAME = "ecs-trial-"

# What tasks do, and how each is to end: outcome, exit code, and what is in its output.
TASKS: dict[str, tuple[str, dict[str, Any], tuple[str, int, bytes]]] = {
    "exit code and output": ("echo out; echo err >&2; exit 3", {}, ("exited", 3, b"out\nerr\n")),
    "killed by itself": ("kill -KILL $$", {}, ("exited", 137, b"")),
    "out of memory": ("exec tail /dev/zero", {}, ("oom_killed", 137, b"")),
    "out of time": (
        "trap 'exit 9' TERM; sleep 99 & wait",
        {"timeout_seconds": 1},
        ("timed_out", 9, b""),
    ),
    "too many processes": (
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait",
        {},
        ("exited", 2, b"can't fork"),
    ),
    "its own limits": (
        "ulimit -n; grep NoNewPrivs /proc/self/status",
        {},
        ("exited", 0, b"4096\n"),
    ),
    "a command that is missing": ("exec /no-such-command", {}, ("exited", 127, b"not found")),
}
WAYS: dict[str, dict[str, str]] = {
    "cold": {},
    "sandboxed": {"ECS_SANDBOXES": "8", "ECS_MIN_SANDBOXES": "8"},
    "warm": {"ECS_WARM_IMAGES": f"{BUSYBOX}=8"},
}


@pytest.fixture(scope="module")
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    assert CRUN.exists(), "these tests need crun (apt install crun)"
    spoiled = spoiled_runtimes(tmp_path_factory.mktemp("runtimes"))
    with running_second_engine({"crun": CRUN, **spoiled}) as engine:
        yield engine


@pytest.fixture
def probe(second_engine: SecondEngine) -> EngineProbe:
    return second_engine.probe


def containers(probe: EngineProbe, prefix: str = "ecs-") -> list[str]:
    """Names of all containers that ECS made, in whatever state."""
    found = probe.client.api.containers(all=True)
    names = [container["Names"][0].removeprefix("/") for container in found]
    return sorted(name for name in names if name.startswith(prefix))


def runtimes(probe: EngineProbe, names: list[str]) -> set[str]:
    found = (probe.client.api.inspect_container(name) for name in names)
    return {container["HostConfig"]["Runtime"] for container in found}


async def ends(caller: Caller) -> dict[str, tuple[str, int, bytes]]:
    """Run all of TASKS at once, and return how they ended, the output as far as TASKS has it."""

    async def end(script: str, fields: dict[str, Any], expected: bytes) -> tuple[str, int, bytes]:
        answer = await caller.run("sh", "-c", script, **fields)
        output = answer.stdout + answer.stderr
        shown = expected if expected in output else output
        return answer.document["outcome"], answer.document["exitCode"], shown

    found = await asyncio.gather(
        *(end(script, fields, expected[2]) for script, fields, expected in TASKS.values())
    )
    return dict(zip(TASKS, found, strict=True))


@pytest.mark.parametrize("way", WAYS)
async def test_tasks_under_crun_end_as_elsewhere(
    ecservice: StartService, second_engine: SecondEngine, probe: EngineProbe, way: str
) -> None:
    service = await ecservice(
        probe=probe,
        DOCKER_HOST=second_engine.url,
        ECS_RUNTIME="crun",
        ECS_DEFAULT_MEMORY_BYTES="16777216",
        ECS_DEFAULT_PIDS="4",
        **WAYS[way],
    )
    ready = len(TASKS) + 1 if WAYS[way] else 0
    await eventually(lambda: len(containers(probe)) == ready, PATIENT_SECONDS)
    assert runtimes(probe, containers(probe)) <= {"crun"}

    async with calling(service.url) as caller:
        found = await ends(caller)

    assert found == {name: expected for name, (_, _, expected) in TASKS.items()}
    assert {line["start"] for line in logged(service, "task ended")} == {way}


@pytest.mark.parametrize("init", ["auto", "off"])
@pytest.mark.parametrize("network", ["default", "none"])
async def test_a_task_under_crun_can_be_cancelled(
    tmp_path: Path, second_engine: SecondEngine, probe: EngineProbe, init: str, network: str
) -> None:
    async with running_ecs(tmp_path, second_engine.url, runtime="crun", init=init) as ecs:
        task = ecs.submit("sleep", "3600", network=Network(network))
        await eventually(lambda: task.machine.state is RunnerState.RUNNING, PATIENT_SECONDS)
        assert runtimes(probe, [task.container_name]) == {"crun"}

        ecs.dispatcher.cancel(task)
        result = await result_of(task)

        assert result.outcome is Outcome.CANCELED
        await eventually(lambda: not probe.containers(ecs.instance), PATIENT_SECONDS)


async def test_without_the_init_crun_tells_a_missing_command_from_one_that_may_not_run(
    tmp_path: Path, second_engine: SecondEngine
) -> None:
    async with running_ecs(tmp_path, second_engine.url, runtime="crun") as ecs:
        missing = await ecs.run("no-such-command")
        denied = await ecs.run("/etc/passwd")
        exited = await ecs.run("sh", "-c", "exit 127")

    assert (missing.outcome, missing.exit_code) == (Outcome.NOT_FOUND, 127)
    assert (denied.outcome, denied.exit_code) == (Outcome.NOT_EXECUTABLE, 126)
    assert (exited.outcome, exited.exit_code) == (Outcome.EXITED, 127)


async def runtimes_of_the_next(ecs: Ecs, probe: EngineProbe) -> tuple[set[str], set[str]]:
    """Run a task in the one sandbox, and return the runtimes of that and of the task."""
    task = ecs.submit("sh", "-c", "ip address show eth0 && sleep 3600")
    await eventually(lambda: task.output.size_bytes(Stream.STDOUT), PATIENT_SECONDS)
    found = [runtimes(probe, containers(probe, name)) for name in ("ecs-sandbox-", "ecs-task-")]
    ecs.dispatcher.cancel(task)
    await result_of(task)
    await ecs.dispatcher.release(task)
    assert task.start is Start.SANDBOXED
    return found[0], found[1]


async def test_a_task_joins_a_sandbox_of_another_runtime(
    tmp_path: Path, second_engine: SecondEngine, probe: EngineProbe
) -> None:
    one = {"init": "auto", "sandboxes": 1, "min_sandboxes": 1, "sandbox_reuse": "never"}
    async with running_ecs(tmp_path, second_engine.url, runtime="auto", **one) as ecs:
        await eventually(lambda: ecs.sandboxes.counts["idle"] == 1, PATIENT_SECONDS)
        ecs.policy.runtime.name = "crun"  # for the task, and for the next sandbox
        first = await runtimes_of_the_next(ecs, probe)
        await eventually(lambda: ecs.sandboxes.counts["idle"] == 1, PATIENT_SECONDS)
        ecs.policy.runtime.name = ""
        second = await runtimes_of_the_next(ecs, probe)

    assert first == ({"runc"}, {"crun"})
    assert second == ({"crun"}, {"runc"})


def trial_of(ecs: Ecs) -> RuntimeTrial:
    return RuntimeTrial(ecs.api, ecs.admission, ecs.reaper, ecs.init, policy=ecs.policy)


async def compare(ecs: Ecs, candidate: str) -> Comparison:
    """Try a runtime, and see that the engine holds nothing of that afterwards."""
    try:
        return await trial_of(ecs).compare(candidate, RESOURCES)
    finally:
        await ecs.reaper.drained()


@pytest.fixture
async def ecs(
    tmp_path: Path, second_engine: SecondEngine, probe: EngineProbe
) -> AsyncIterator[Ecs]:
    async with running_ecs(tmp_path, second_engine.url, init="auto") as ecs:
        yield ecs
        await ecs.reaper.drained()
        await eventually(lambda: containers(probe) == [], PATIENT_SECONDS)


async def test_a_slow_runtime_is_right_and_not_worth_it(
    ecs: Ecs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_trial, "_PAIRS", 2)

    comparison = await compare(ecs, "slow")

    assert not comparison.is_worth_it


@pytest.mark.parametrize(
    ("candidate", "told"),
    [("limitless", "the limit of memory has no effect"), ("broken", "/broken did not")],
)
async def test_a_runtime_that_does_wrong_is_found_out(
    ecs: Ecs, candidate: str, told: str, probe: EngineProbe
) -> None:
    with pytest.raises((RuntimeTrialError, EngineError), match=told):
        await compare(ecs, candidate)

    await eventually(lambda: containers(probe) == [], PATIENT_SECONDS)


async def test_a_task_whose_chosen_runtime_is_gone_is_answered_all_the_same(
    tmp_path: Path, docker_host: str, engine: EngineProbe
) -> None:
    async with running_ecs(tmp_path, docker_host, runtime="auto", init="auto") as ecs:
        ecs.policy.runtime.name = "gone"

        result = await ecs.run("sh", "-c", "exit 3")

        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 3)
        assert ecs.policy.runtime.doubted.is_set()
        await eventually(ecs.is_idle)
    assert engine.containers(tmp_path.name) == []


async def test_a_task_never_has_another_runtime_than_the_one_that_is_named(
    tmp_path: Path, docker_host: str, engine: EngineProbe
) -> None:
    async with running_ecs(tmp_path, docker_host, runtime="gone", init="auto") as ecs:
        result = await ecs.run("true")

        assert result.outcome is Outcome.ENGINE_ERROR
        assert "gone" in str(result.error)


async def test_a_service_whose_engine_lacks_the_named_runtime_is_not_ready_and_says_why(
    ecservice: StartService,
) -> None:
    service = await ecservice(ready=False, ECS_RUNTIME="no-such-runtime")

    await eventually(seen(service, 1, "no engine"), PATIENT_SECONDS)

    (line,) = logged(service, "no engine")
    assert "no runtime 'no-such-runtime' (ECS_RUNTIME), it has " in line["error"]
    assert "runc" in line["error"] and "daemon.json" in line["error"]
    async with calling(service.url) as caller, caller.session.get(f"{service.url}/readyz") as ready:
        assert ready.status == 503


async def test_a_service_that_stops_in_the_middle_of_a_trial_leaves_nothing(
    ecservice: StartService, second_engine: SecondEngine, probe: EngineProbe
) -> None:
    service = await ecservice(probe=probe, DOCKER_HOST=second_engine.url, ECS_RUNTIME="auto")
    await eventually(lambda: containers(probe, TRIAL_NAME), PATIENT_SECONDS)

    await service.stop()

    await eventually(lambda: containers(probe) == [], PATIENT_SECONDS)
    assert logged(service, "runtime chosen") == []


@contextmanager
def restarted(engine: SecondEngine, *, runtimes: Mapping[str, Path]) -> Iterator[None]:
    """Start the engine anew, with these runtimes until it is started once more."""
    usual, engine.runtimes = engine.runtimes, dict(runtimes)
    engine.stop()
    engine.start()
    try:
        yield
    finally:
        engine.runtimes = usual


async def test_tasks_are_answered_before_and_after_the_choice_and_when_its_ground_is_gone(
    ecservice: StartService, second_engine: SecondEngine, probe: EngineProbe
) -> None:
    service = await ecservice(probe=probe, DOCKER_HOST=second_engine.url, ECS_RUNTIME="auto")
    async with calling(service.url) as caller:
        before = await caller.run("echo", "before")
        await eventually(seen(service, 1, "runtime chosen"), PATIENT_SECONDS)
        after = await caller.run("echo", "after")
        with restarted(second_engine, runtimes={}):
            gone = await caller.run("echo", "gone")

    stdout = [answer.stdout for answer in (before, after, gone)]
    assert stdout == [b"before\n", b"after\n", b"gone\n"]
    line = logged(service, "runtime chosen")[0]
    is_faster = line["ratio"] <= MAX_RATIO
    assert line["runtime"] == ("crun" if is_faster else "runc")
    assert line["default_median_seconds"] > 0 < line["crun_median_seconds"]
    await eventually(lambda: not containers(probe), PATIENT_SECONDS)
