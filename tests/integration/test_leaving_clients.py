"""A client that goes away takes its task with it: nobody else could fetch the answer."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from tests import images
from tests.client import Caller, calling
from tests.conftest import StartService
from tests.engines import TASK_PREFIX, EngineProbe
from tests.fake_engine import fake_engine, held
from tests.service_log import errors, logged, seen
from tests.services import ECService
from tests.traces import files_in
from tests.waiting import eventually
from tests.ways import THREE_WAYS, Way, calling_on, environment

REPRESENTATIONS = ["application/json", "text/event-stream", "text/plain"]
PATIENT_SECONDS = 30


class Client:
    """One POST under way, whose connection can be closed."""

    def __init__(self, caller: Caller, accept: str, *cmd: str, image: str = images.BUSYBOX) -> None:
        self._work = asyncio.create_task(self._post(caller, accept, *cmd, image=image))

    async def _post(self, caller: Caller, accept: str, *cmd: str, image: str) -> None:
        async with caller.stream(accept, *cmd, image=image) as response:
            await response.read()

    async def leave(self) -> None:
        assert not self._work.done()
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work


def statuses(service: ECService) -> list[int]:
    """The statuses logged for POSTs: 499, or 200 where the headers were sent before the end."""
    return [line["status"] for line in logged(service, "request", method="POST")]


async def is_forgotten(service: ECService, engine: EngineProbe) -> None:
    """See that the service is rid of the one task whose client left."""
    await eventually(seen(service, 1, "task ended", outcome="canceled"), PATIENT_SECONDS)
    await eventually(lambda: set(statuses(service)) & {499, 200}, PATIENT_SECONDS)
    await eventually(lambda: not engine.tasks(service.instance), PATIENT_SECONDS)
    assert not files_in(Path(service.settings["ECS_SPOOL_DIRECTORY"]))
    assert not errors(service)


@THREE_WAYS
@pytest.mark.parametrize("accept", REPRESENTATIONS)
async def test_a_client_may_leave_while_its_task_runs(
    ecservice: StartService, engine: EngineProbe, accept: str, way: Way
) -> None:
    ways = environment(way, {images.BUSYBOX: 1, images.VOLUME: 1})
    service = await ecservice(**ways, ECS_MAX_RUNNING_TASKS="1", ECS_SPOOL_MEMORY_BYTES="1024")
    async with calling_on(way, service) as caller:
        talks_and_sleeps = "yes 0123456789 | head -c 100000; sleep 3600"
        client = Client(caller, accept, "sh", "-c", talks_and_sleeps, image=images.VOLUME)
        await eventually(lambda: is_running(service, engine), PATIENT_SECONDS)
        await client.leave()

        await is_forgotten(service, engine)
        assert (await caller.run("true")).status == 201  # the one place is free


def is_running(service: ECService, engine: EngineProbe) -> bool:
    found = engine.client.api.containers(
        filters={"label": f"ecs.instance={service.instance}", "status": "running"}
    )
    return any(container["Names"][0].startswith(f"/{TASK_PREFIX}") for container in found)


@pytest.mark.parametrize("accept", REPRESENTATIONS)
async def test_a_client_may_leave_while_its_task_is_queued(
    ecservice: StartService, engine: EngineProbe, accept: str
) -> None:
    service = await ecservice(ECS_MAX_RUNNING_TASKS="1", ECS_LOG_LEVEL="debug")
    async with calling(service.url) as caller:
        running = asyncio.create_task(caller.run("sh", "-c", "sleep 1; echo done"))
        await eventually(lambda: is_running(service, engine), PATIENT_SECONDS)
        client = Client(caller, accept, "true")
        await eventually(seen(service, 2, "task taken in"), PATIENT_SECONDS)
        await client.leave()

        await eventually(seen(service, 1, "task ended", outcome="canceled"), PATIENT_SECONDS)
        assert (await running).stdout == b"done\n"
        await is_forgotten(service, engine)
        (line,) = logged(service, "task ended", outcome="canceled")
        assert line["create_seconds"] == 0


@pytest.mark.parametrize("accept", REPRESENTATIONS)
async def test_a_client_may_leave_while_its_image_is_pulled(
    ecservice: StartService, engine: EngineProbe, silent_registry: str, accept: str
) -> None:
    service = await ecservice(
        ECS_MAX_RUNNING_TASKS="1", ECS_ALLOWED_REGISTRIES=f"docker.io,{silent_registry}"
    )
    async with calling(service.url) as caller:
        client = Client(caller, accept, "true", image=f"{silent_registry}/ecs-test/nothing:1")
        await eventually(seen(service, 1, "pull began"), PATIENT_SECONDS)
        await client.leave()

        await is_forgotten(service, engine)
        assert (await caller.run("true")).status == 201


@pytest.mark.parametrize("accept", REPRESENTATIONS)
async def test_a_client_may_leave_while_its_container_is_created(
    ecservice: StartService, accept: str
) -> None:
    async with fake_engine() as fake:
        service = await ecservice(
            DOCKER_HOST=fake.docker_host,
            ECS_KEEP_ALIVE_SECONDS="0.1",  # a stream of events then notices the end twice
            ECS_SWEEP_INTERVAL_SECONDS="3600",
        )
        async with calling(service.url) as caller:
            created = asyncio.Event()
            fake.next("create", held(fake.play, created))
            client = Client(caller, accept, "sleep", "3600")
            await eventually(lambda: fake.count("create"), PATIENT_SECONDS)
            await client.leave()
            # Some later request is answered: the service knows by now that the client has gone.
            for _ in range(10):
                assert (await caller.run("echo")).status == 201
            created.set()

            await eventually(seen(service, 1, "task ended", outcome="canceled"), PATIENT_SECONDS)
            await eventually(lambda: not fake.containers, PATIENT_SECONDS)
        await service.stop()
        assert not fake.containers


async def test_many_clients_may_leave_at_once(ecservice: StartService, engine: EngineProbe) -> None:
    service = await ecservice(ECS_MAX_RUNNING_TASKS="4")
    async with calling(service.url) as caller:
        clients = [
            Client(caller, REPRESENTATIONS[number % 3], "sleep", "3600") for number in range(12)
        ]
        await eventually(lambda: is_running(service, engine), PATIENT_SECONDS)
        for client in clients:
            await client.leave()

        await eventually(lambda: len(statuses(service)) == len(clients), PATIENT_SECONDS)
        assert set(statuses(service)) <= {499, 200}
        await eventually(lambda: not engine.containers(service.instance), PATIENT_SECONDS)
        assert (await caller.run("true")).status == 201
    assert not errors(service)
