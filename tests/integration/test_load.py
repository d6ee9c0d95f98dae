"""Many tasks at a time: all answered, all right, all gone afterwards."""

import asyncio

from tests.client import Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.waiting import eventually

SLEEPERS = 100
MIB = 1024 * 1024


async def test_200_tasks_from_32_callers_get_200_right_answers(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(ECS_SANDBOXES="8", ECS_MIN_SANDBOXES="4")
    numbers = iter(range(200))
    answers: dict[int, tuple[int, bytes, bytes]] = {}

    async def work(caller: Caller) -> None:
        for number in numbers:
            script = f"echo {number}; echo {number} >&2; exit {number}"
            answer = await caller.run("sh", "-c", script)
            answers[number] = (answer.document["exitCode"], answer.stdout, answer.stderr)

    async with calling(service.url) as caller:
        await asyncio.gather(*(work(caller) for _ in range(32)))

    assert answers == {n: (n, b"%d\n" % n, b"%d\n" % n) for n in range(200)}
    await eventually(lambda: not engine.tasks(service.instance), 30)


async def test_100_sleeping_tasks_run_at_once_and_leave_room_for_others(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice()
    async with calling(service.url) as caller:
        sleepers = [
            asyncio.create_task(caller.run("sleep", "90", timeout_seconds=120, network="none"))
            for _ in range(SLEEPERS)
        ]
        running = {"label": f"ecs.instance={service.instance}", "status": "running"}
        await eventually(
            lambda: len(engine.client.api.containers(filters=running)) == SLEEPERS, 120
        )
        memory_bytes = service.rss_bytes()
        noop = await caller.get("/v1.1/_noop")
        short = await caller.run("echo", "still here", network="none")
        for sleeper in sleepers:
            sleeper.cancel()
        await asyncio.gather(*sleepers, return_exceptions=True)

    assert noop.status == 200
    assert short.stdout == b"still here\n"
    assert memory_bytes < 256 * MIB
    await eventually(lambda: not engine.containers(service.instance), 120)
