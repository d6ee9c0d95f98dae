"""The pool on the real engine: who has a sandbox again, how long it lives, and what kills it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.model import Start
from ecs.tasks.sandbox import Sandbox
from ecs.tasks.states import Outcome, RunnerState
from tests.client import calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import Ecs, result_of, running_ecs
from tests.second_engine import SecondEngine, running_second_engine
from tests.services import ECService
from tests.waiting import eventually

PATIENT_SECONDS = 30
ONE: dict[str, Any] = {"sandboxes": 1, "min_sandboxes": 1, "sandbox_reuse": "any"}
SLEEP = ("sleep", "3600")


@pytest.fixture(autouse=True)
def _nothing_is_left(engine: EngineProbe, tmp_path: Path) -> Iterator[None]:
    yield
    assert engine.containers(tmp_path.name) == []  # the instance's name


async def ready(ecs: Ecs, number: int = 1) -> None:
    """Return when so many sandboxes are idle, and no other one is on its way."""

    def is_settled() -> bool:
        counts = ecs.sandboxes.counts
        return counts["idle"] >= number and counts["idle"] == sum(counts.values())

    await eventually(is_settled, PATIENT_SECONDS)


async def sandbox_of_next_task(ecs: Ecs, *, owner: str = "test") -> str:
    """The host name that a task finds, which is its sandbox's."""
    await ready(ecs)
    task = ecs.submit("hostname", owner=owner)
    result = await result_of(task)
    excerpt = await task.output.excerpt(Stream.STDOUT)
    await ecs.dispatcher.release(task)
    assert (result.outcome, task.start) == (Outcome.EXITED, Start.SANDBOXED)
    return excerpt.head.decode().strip()


@pytest.mark.parametrize(
    ("reuse", "same"),
    [("never", "abcd"), ("same_key", "aaba"), ("any", "aaaa")],
)
async def test_who_has_a_sandbox_again_is_the_operators_choice(
    tmp_path: Path, docker_host: str, reuse: str, same: str
) -> None:
    async with running_ecs(
        tmp_path, docker_host, sandboxes=3, min_sandboxes=1, sandbox_reuse=reuse
    ) as ecs:
        names = [
            await sandbox_of_next_task(ecs, owner=owner) for owner in ("mine", "mine", "x", "mine")
        ]
        await ready(ecs)

    letters = dict(zip(dict.fromkeys(names), "abcd", strict=False))
    assert "".join(letters[name] for name in names) == same


async def test_a_sandbox_serves_as_many_tasks_as_it_may_and_no_more(
    tmp_path: Path, docker_host: str
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE, sandbox_max_tasks=2) as ecs:
        first, second, third = [await sandbox_of_next_task(ecs) for _ in range(3)]

        assert first == second != third
        assert ecs.sandboxes.retired == {"used up": 1}


async def test_a_sandbox_that_is_too_old_is_replaced(
    tmp_path: Path, docker_host: str, engine: EngineProbe
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE, sandbox_max_age_seconds=0.5) as ecs:
        await eventually(lambda: ecs.sandboxes.counts["idle"], PATIENT_SECONDS)
        first = set(engine.containers(ecs.instance))

        await eventually(lambda: ecs.sandboxes.retired["age"] >= 1, PATIENT_SECONDS)
        await eventually(lambda: ecs.sandboxes.containers.made >= 2, PATIENT_SECONDS)
        await eventually(lambda: not first & set(engine.containers(ecs.instance)), PATIENT_SECONDS)


async def test_the_pool_grows_with_the_tasks_that_run_and_shrinks_when_they_are_gone(
    tmp_path: Path, docker_host: str, engine: EngineProbe
) -> None:
    async with running_ecs(
        tmp_path, docker_host, sandboxes=4, min_sandboxes=1, sandbox_idle_seconds=0.5
    ) as ecs:
        tasks = []
        for _ in range(3):
            await eventually(lambda: ecs.sandboxes.counts["idle"], PATIENT_SECONDS)
            tasks.append(ecs.submit(*SLEEP))
            await eventually(lambda: tasks[-1].machine.state is RunnerState.RUNNING, 30)
        await eventually(lambda: ecs.sandboxes.counts["idle"], PATIENT_SECONDS)
        assert ecs.sandboxes.counts == {"starting": 0, "idle": 1, "held": 3, "cleaning": 0}
        await ready_to_start(ecs, *SLEEP, start=Start.SANDBOXED)
        await ready_to_start(ecs, *SLEEP, start=Start.COLD)  # four are all there may be

        for task in list(ecs.dispatcher._runs):
            await ecs.dispatcher.release(task)

        only_one = {"starting": 0, "idle": 1, "held": 0, "cleaning": 0}
        await eventually(lambda: ecs.sandboxes.counts == only_one, PATIENT_SECONDS)
        await eventually(lambda: len(engine.containers(ecs.instance)) == 1, PATIENT_SECONDS)
        assert (ecs.sandboxes.hits, ecs.sandboxes.misses) == (4, 1)


async def ready_to_start(ecs: Ecs, *cmd: str, start: Start) -> None:
    """Submit a task, and see by which way it starts."""
    task = ecs.submit(*cmd)
    await eventually(lambda: task.machine.state is RunnerState.RUNNING, PATIENT_SECONDS)
    assert task.start is start


async def test_a_key_that_finds_only_others_sandboxes_has_room_made_for_it(
    tmp_path: Path, docker_host: str
) -> None:
    async with running_ecs(tmp_path, docker_host, sandboxes=1, min_sandboxes=1) as ecs:
        mine = await sandbox_of_next_task(ecs, owner="mine")
        await ready(ecs)
        task = ecs.submit("true", owner="yours")
        assert (await result_of(task)).outcome is Outcome.EXITED
        await ecs.dispatcher.release(task)

        assert task.start is Start.COLD
        assert await sandbox_of_next_task(ecs, owner="yours") != mine


def kill(engine: EngineProbe, name: str) -> None:
    engine.client.api.kill(name)


def remove(engine: EngineProbe, name: str) -> None:
    engine.client.api.remove_container(name, force=True)


@pytest.mark.parametrize("init", ["off", "auto"])
@pytest.mark.parametrize("harm", [kill, remove])
async def test_a_task_whose_sandbox_dies_under_its_hands_starts_cold(
    tmp_path: Path,
    docker_host: str,
    engine: EngineProbe,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[EngineProbe, str], None],
    init: str,
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE, init=init) as ecs:
        await ready(ecs)
        take = ecs.sandboxes.take

        def take_and_harm(owner: str) -> Sandbox | None:
            sandbox = take(owner)
            if sandbox is not None:
                harm(engine, sandbox.container)
                monkeypatch.setattr(ecs.sandboxes, "take", take)
            return sandbox

        monkeypatch.setattr(ecs.sandboxes, "take", take_and_harm)
        task = ecs.submit("echo", "hello")
        result = await result_of(task)
        output = await task.output.excerpt(Stream.STDOUT)
        await ecs.dispatcher.release(task)

        assert (result.outcome, result.exit_code) == (Outcome.EXITED, 0)
        assert output.head == b"hello\n"
        assert task.start is Start.COLD
        assert await sandbox_of_next_task(ecs)


async def test_a_sandbox_that_answers_no_more_serves_no_second_task(
    tmp_path: Path, docker_host: str, engine: EngineProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE) as ecs:
        await ready(ecs)
        monkeypatch.setattr("ecs.tasks.sandbox._ANSWER_SECONDS", 0.5)
        (name,) = engine.containers(ecs.instance)
        engine.client.api.pause(name)

        paused = await sandbox_of_next_task(ecs)

        assert await sandbox_of_next_task(ecs) != paused


@pytest.mark.parametrize("harm", [kill, remove])
async def test_an_idle_sandbox_that_dies_is_replaced(
    tmp_path: Path,
    docker_host: str,
    engine: EngineProbe,
    harm: Callable[[EngineProbe, str], None],
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE) as ecs:
        await ready(ecs)
        (name,) = engine.containers(ecs.instance)

        harm(engine, name)

        await eventually(lambda: ecs.sandboxes.containers.made == 2, PATIENT_SECONDS)
        await eventually(lambda: len(engine.containers(ecs.instance)) == 1, PATIENT_SECONDS)
        assert engine.containers(ecs.instance) != [name]
        assert await sandbox_of_next_task(ecs)


async def test_a_task_whose_sandbox_is_removed_while_it_runs_is_answered(
    tmp_path: Path, docker_host: str, engine: EngineProbe
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE) as ecs:
        await ready(ecs)
        (name,) = engine.containers(ecs.instance)
        task = ecs.submit("sh", "-c", "sleep 1; echo done")
        await eventually(lambda: task.machine.state is RunnerState.RUNNING, PATIENT_SECONDS)

        remove(engine, name)

        assert (await result_of(task)).outcome is Outcome.EXITED
        assert (await task.output.excerpt(Stream.STDOUT)).head == b"done\n"
        await ecs.dispatcher.release(task)
        await ready(ecs)


@pytest.mark.parametrize("init", ["off", "auto"])
async def test_a_command_that_is_missing_is_told_so_in_a_sandbox_too(
    tmp_path: Path, docker_host: str, init: str
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE, init=init) as ecs:
        await ready(ecs)

        result = await ecs.run("no-such-command")

        assert (result.outcome, result.exit_code) == (Outcome.NOT_FOUND, 127)
        assert await sandbox_of_next_task(ecs)


async def test_a_sandbox_is_there_again_after_a_task_that_was_canceled(
    tmp_path: Path, docker_host: str
) -> None:
    async with running_ecs(tmp_path, docker_host, **ONE) as ecs:
        name = await sandbox_of_next_task(ecs)
        await ready(ecs)
        task = ecs.submit(*SLEEP)
        await eventually(lambda: task.machine.state is RunnerState.RUNNING, PATIENT_SECONDS)

        ecs.dispatcher.cancel(task)
        await result_of(task)
        await ecs.dispatcher.release(task)

        assert await sandbox_of_next_task(ecs) == name


def sandboxes_in(engine: EngineProbe, service: ECService, status: str) -> list[str]:
    label = f"ecs.instance={service.instance}"
    found = engine.client.api.containers(all=True, filters={"label": label, "status": status})
    return sorted(container["Names"][0].removeprefix("/") for container in found)


async def test_sandboxes_end_with_their_service_and_the_next_one_clears_them_away(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(ECS_SANDBOXES="2")
    await eventually(lambda: len(sandboxes_in(engine, service, "running")) == 2, PATIENT_SECONDS)

    await service.kill()
    await eventually(lambda: len(sandboxes_in(engine, service, "exited")) == 2, PATIENT_SECONDS)
    stale = sandboxes_in(engine, service, "exited")
    await service.start()

    await eventually(lambda: not set(stale) & set(engine.containers(service.instance)), 30)
    await eventually(lambda: len(sandboxes_in(engine, service, "running")) == 2, PATIENT_SECONDS)


@pytest.fixture
def second_engine() -> Iterator[SecondEngine]:
    with running_second_engine() as second:
        yield second


async def test_an_engine_that_is_restarted_gets_new_sandboxes_and_keeps_no_old_ones(
    second_engine: SecondEngine, ecservice: StartService
) -> None:
    probe = second_engine.probe
    service = await ecservice(
        probe=probe,
        DOCKER_HOST=second_engine.url,
        ECS_SANDBOXES="2",
        ECS_SWEEP_INTERVAL_SECONDS="1",
    )
    await eventually(lambda: len(sandboxes_in(probe, service, "running")) == 2, PATIENT_SECONDS)
    stale = set(probe.containers(service.instance))

    second_engine.stop()
    second_engine.start()

    await eventually(lambda: len(sandboxes_in(probe, service, "running")) == 2, PATIENT_SECONDS)
    await eventually(lambda: not stale & set(probe.containers(service.instance)), PATIENT_SECONDS)
    async with calling(service.url) as caller:
        answer = await caller.run("echo", "hello")
    assert (answer.document["start"], answer.stdout) == ("sandboxed", b"hello\n")
