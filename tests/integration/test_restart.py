"""The service is stopped, killed and started again, and others of its kind share its engine."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from docker.errors import NotFound
from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests import images
from tests.client import Answer, Caller, calling, events
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.service_log import logged, seen
from tests.services import ECService
from tests.waiting import eventually
from tests.ways import THREE_WAYS, Way, calling_on, environment

PROBLEM = Draft202012Validator(load_schema("problem"))
PATIENT_SECONDS = 60
SLEEP = ("sleep", "3600")  # as PID 1 it ignores SIGTERM


def running(engine: EngineProbe, service: ECService) -> list[str]:
    """Names of the service's containers that run."""
    label = f"ecs.instance={service.instance}"
    found = engine.client.api.containers(filters={"label": label, "status": "running"})
    return [container["Names"][0].removeprefix("/") for container in found]


async def number_running(engine: EngineProbe, service: ECService, number: int) -> None:
    await eventually(lambda: len(running(engine, service)) == number, PATIENT_SECONDS)


def draining(answer: Answer) -> bool:
    PROBLEM.validate(answer.document)
    assert int(answer.headers["Retry-After"]) >= 1
    return (answer.status, answer.document["code"]) == (503, "draining")


@THREE_WAYS
async def test_a_killed_service_started_again_removes_what_it_left(
    ecservice: StartService, engine: EngineProbe, way: Way
) -> None:
    volumes = engine.dangling_volumes()
    service = await ecservice(**environment(way, {images.VOLUME: 3}))
    async with calling_on(way, service) as caller:
        tasks = [asyncio.create_task(caller.run(*SLEEP, image=images.VOLUME)) for _ in range(3)]
        await eventually(lambda: len(engine.tasks(service.instance)) == 3, PATIENT_SECONDS)
        await caller.prepare(images.VOLUME)
        left = engine.containers(service.instance)
        await service.kill()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers)
    assert engine.containers(service.instance) == left

    await service.start()

    await eventually(
        lambda: not set(left) & set(engine.containers(service.instance)), PATIENT_SECONDS
    )
    await eventually(lambda: engine.dangling_volumes() <= volumes, PATIENT_SECONDS)
    async with calling(service.url) as caller:
        assert (await caller.run("true")).status == 201
    orphans = logged(service, "orphan found")
    assert {orphan["container"] for orphan in orphans} == set(left)


async def test_a_service_killed_while_it_creates_and_starts_leaves_nothing_to_its_successor(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice()
    for _ in range(5):
        async with calling(service.url) as caller:
            tasks = [asyncio.create_task(caller.run(*SLEEP)) for _ in range(6)]
            await eventually(lambda: engine.containers(service.instance), PATIENT_SECONDS)
            await service.kill()
            await asyncio.gather(*tasks, return_exceptions=True)
        await service.start()
        await eventually(lambda: not engine.containers(service.instance), PATIENT_SECONDS)


@contextmanager
def container_of(engine: EngineProbe, instance: str, deadline: str, name: str) -> Iterator[str]:
    """A running container such as an ECS makes."""
    labels = {"ecs.instance": instance, "ecs.deadline": deadline}
    created = engine.client.api.create_container(
        images.BUSYBOX, list(SLEEP), name=name, labels=labels
    )
    engine.client.api.start(created["Id"])
    try:
        yield name
    finally:
        with suppress(NotFound):
            engine.client.api.remove_container(name, force=True, v=True)


def exists(engine: EngineProbe, name: str) -> bool:
    return bool(engine.client.api.containers(all=True, filters={"name": f"^/{name}$"}))


async def test_of_others_only_containers_past_their_deadline_are_swept(
    ecservice: StartService, engine: EngineProbe
) -> None:
    other = f"other-{secrets.token_hex(4)}"
    past, future = str(int(time.time()) - 1), str(int(time.time()) + 3600)
    with (
        container_of(engine, other, future, f"ecs-task-{secrets.token_hex(16)}") as well,
        container_of(engine, other, "soon", f"ecs-task-{secrets.token_hex(16)}") as odd,
        container_of(engine, other, past, f"precious-{secrets.token_hex(4)}") as foreign,
        container_of(engine, other, past, f"ecs-task-{secrets.token_hex(16)}") as late,
    ):
        service = await ecservice(ECS_SWEEP_INTERVAL_SECONDS="0.2")

        await eventually(lambda: not exists(engine, late), PATIENT_SECONDS)

        # The next sweeps spare them as well: one that comes later is found by the same sweep.
        with container_of(engine, other, past, f"ecs-task-{secrets.token_hex(16)}") as later:
            await eventually(lambda: not exists(engine, later), PATIENT_SECONDS)
        assert exists(engine, well)
        assert exists(engine, odd)
        assert exists(engine, foreign)
    orphans = logged(service, "orphan found")
    assert {orphan["container"] for orphan in orphans} <= {late, later}


async def test_a_container_becomes_an_orphan_when_its_deadline_passes(
    ecservice: StartService, engine: EngineProbe
) -> None:
    deadline = str(int(time.time()) + 3)
    name = f"ecs-task-{secrets.token_hex(16)}"
    with container_of(engine, f"other-{secrets.token_hex(4)}", deadline, name):
        await ecservice(ECS_SWEEP_INTERVAL_SECONDS="0.2")

        await eventually(lambda: not exists(engine, name), PATIENT_SECONDS)
        assert time.time() > int(deadline)


async def test_the_sweep_spares_the_services_own_running_tasks(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(ECS_SWEEP_INTERVAL_SECONDS="0.1")
    async with calling(service.url) as caller:
        answers = await asyncio.gather(
            *[caller.run("sh", "-c", "sleep 1; echo whole") for _ in range(8)]
        )

    assert [answer.stdout for answer in answers] == [b"whole\n"] * 8
    assert not logged(service, "orphan found")


async def test_what_runs_when_the_service_is_told_to_stop_is_answered(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice()
    async with calling(service.url) as caller:
        task = asyncio.create_task(caller.run("sh", "-c", "sleep 3; echo finished"))
        await number_running(engine, service, 1)
        service.process.terminate()
        await eventually(lambda: is_draining(caller), PATIENT_SECONDS)

        ready = await caller.get("/readyz")
        assert (ready.status, ready.document["status"]) == (503, "draining")
        assert (await caller.get("/livez")).status == 200
        assert draining(await caller.run("true"))

        answer = await task
        assert (answer.status, answer.stdout) == (201, b"finished\n")
        assert await service.wait(PATIENT_SECONDS) == 0
    assert engine.containers(service.instance) == []
    assert service.log_lines()[-1]["event"] == "stopped"


async def is_draining(caller: Caller) -> bool:
    return (await caller.get("/readyz")).document["status"] == "draining"


async def test_what_is_queued_when_the_service_is_told_to_stop_still_has_its_turn(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(ECS_MAX_RUNNING_TASKS="1", ECS_LOG_LEVEL="debug")
    async with calling(service.url) as caller:
        tasks = [asyncio.create_task(caller.run("sh", "-c", "sleep 1; echo a"))]
        await number_running(engine, service, 1)
        tasks += [asyncio.create_task(caller.run("echo", "b")) for _ in range(3)]
        await eventually(seen(service, 4, "task taken in"), PATIENT_SECONDS)
        service.process.terminate()

        answers = await asyncio.gather(*tasks)
        assert [answer.status for answer in answers] == [201] * 4
        assert await service.wait(PATIENT_SECONDS) == 0


@THREE_WAYS
@pytest.mark.parametrize("seconds", ["0", "1"])
async def test_what_does_not_end_within_the_drain_is_canceled_and_its_client_told(
    ecservice: StartService, engine: EngineProbe, way: Way, seconds: str
) -> None:
    volumes = engine.dangling_volumes()
    ready = environment(way, {images.VOLUME: 2})
    service = await ecservice(**ready, ECS_DRAIN_TIMEOUT_SECONDS=seconds)
    async with calling_on(way, service) as caller:
        tasks = [asyncio.create_task(caller.run(*SLEEP, image=images.VOLUME)) for _ in range(2)]
        await eventually(lambda: len(engine.tasks(service.instance)) == 2, PATIENT_SECONDS)
        service.process.terminate()

        assert all(draining(answer) for answer in await asyncio.gather(*tasks))
        assert await service.wait(PATIENT_SECONDS) == 0
    assert engine.containers(service.instance) == []
    await eventually(lambda: engine.dangling_volumes() <= volumes, PATIENT_SECONDS)


async def test_a_stream_of_events_tells_that_its_task_was_canceled_by_the_stop(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(ECS_DRAIN_TIMEOUT_SECONDS="0")
    async with calling(service.url) as caller, caller.stream("text/event-stream", *SLEEP) as stream:
        await number_running(engine, service, 1)
        service.process.terminate()

        *_, last = [event async for event in events(stream)]
        assert (last.name, last.document["state"]) == ("result", "CANCELED")
        assert last.document["exitCode"] is None
        assert await service.wait(PATIENT_SECONDS) == 0


async def test_a_service_that_waits_for_a_pull_stops_all_the_same(
    ecservice: StartService, silent_registry: str
) -> None:
    service = await ecservice(
        ECS_DRAIN_TIMEOUT_SECONDS="0", ECS_ALLOWED_REGISTRIES=f"docker.io,{silent_registry}"
    )
    async with calling(service.url) as caller:
        task = asyncio.create_task(caller.run("true", image=f"{silent_registry}/ecs-test/a:1"))
        await eventually(seen(service, 1, "pull began"), PATIENT_SECONDS)
        service.process.terminate()

        assert draining(await task)
        assert await service.wait(PATIENT_SECONDS) == 0


async def test_told_twice_to_stop_it_still_answers(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice()
    async with calling(service.url) as caller:
        task = asyncio.create_task(caller.run("sh", "-c", "sleep 2; echo finished"))
        await number_running(engine, service, 1)
        service.process.terminate()
        service.process.terminate()

        assert (await task).stdout == b"finished\n"
        assert await service.wait(PATIENT_SECONDS) == 0
