"""Tasks in warm containers are what tasks are elsewhere, on the real engine."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecs.docker_remote_api.multiplexed_stream import Stream
from ecs.tasks.model import Start, Task, TaskResult
from ecs.tasks.states import Outcome, RunnerState
from tests import images
from tests.canceling import end_of, is_canceled
from tests.client import calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.harness import Ecs, result_of, running_ecs
from tests.images import busybox_rootfs, import_image, with_file
from tests.registries import Credentials, Registry
from tests.service_log import logged
from tests.services import ECService
from tests.tls_engine import TlsEngine
from tests.traces import files_in
from tests.waiting import eventually

PATIENT_SECONDS = 30
NAME = "ecs-warm-"

pytestmark = pytest.mark.usefixtures("engine")


@dataclass(frozen=True)
class Ran:
    """A task that was run, and what it wrote."""

    task: Task
    result: TaskResult
    stdout: bytes
    stderr: bytes

    @property
    def ended(self) -> tuple[Outcome, int | None]:
        return self.result.outcome, self.result.exit_code


class Warm:
    """ECS with warm containers."""

    def __init__(self, ecs: Ecs) -> None:
        self.ecs = ecs

    async def ready(self, number: int = 1) -> None:
        """Return when so many containers wait, and nothing else is under way."""
        pool = self.ecs.warm_pool
        await eventually(
            lambda: pool.counts["idle"] >= number and self.ecs.is_idle(), PATIENT_SECONDS
        )

    async def run(self, *cmd: str, start: Start = Start.WARM, **fields: Any) -> Ran:
        """Run a task to its end, when a container is there for it."""
        await self.ready()
        task = self.ecs.submit(*cmd, **fields)
        result = await result_of(task)
        streams = [(await task.output.excerpt(stream)).head for stream in Stream]
        await self.ecs.dispatcher.release(task)
        assert task.start is start
        return Ran(task, result, *streams)


RunWarm = Callable[..., AbstractAsyncContextManager[Warm]]


@pytest.fixture
def running_warm(tmp_path: Path, docker_host: str, engine: EngineProbe) -> RunWarm:
    """Runs ECS with warm containers of busybox, and sees at the end that nothing else is left."""

    @asynccontextmanager
    async def run(number: int = 1, **settings: Any) -> AsyncIterator[Warm]:
        chosen = {"init": "auto", "warm_images": f"{images.BUSYBOX}={number}", **settings}
        volumes = engine.dangling_volumes()
        async with running_ecs(tmp_path, docker_host, **chosen) as ecs:
            warm = Warm(ecs)
            await warm.ready(number)
            yield warm
            await eventually(ecs.is_idle, PATIENT_SECONDS)
            waiting = engine.containers(ecs.instance)
            assert len(waiting) == ecs.warm_pool.counts["idle"]
            assert all(name.startswith(NAME) for name in waiting)
            assert files_in(ecs.spool_directory) == []
        assert engine.containers(ecs.instance) == []
        await eventually(lambda: engine.dangling_volumes() <= volumes, PATIENT_SECONDS)

    return run


@pytest.fixture
async def warm(running_warm: RunWarm) -> AsyncIterator[Warm]:
    async with running_warm() as warm:
        yield warm


async def test_each_container_runs_one_task_under_that_tasks_name(
    warm: Warm, engine: EngineProbe
) -> None:
    hosts = [(await warm.run("hostname")).stdout for _ in range(2)]
    await warm.ready()
    task = warm.ecs.submit("sleep", "3600")
    await eventually(lambda: task.container_name in engine.containers(warm.ecs.instance), 10)
    await warm.ecs.sweep.sweep()  # which takes it for no orphan

    assert task.start is Start.WARM
    assert task.machine.state is RunnerState.RUNNING
    warm.ecs.dispatcher.cancel(task)
    assert is_canceled(await end_of(warm.ecs, task))
    assert len(set(hosts)) == 2


async def test_stdin_environment_and_entrypoint_are_the_requests(running_warm: RunWarm) -> None:
    data = secrets.token_bytes(3_000_000)
    async with running_warm(warm_images=f"{images.BUSYBOX}=1,{images.ENTRYPOINT}=1") as warm:
        await warm.ready(2)
        echoed = await warm.run("cat", stdin=data)
        unread = await warm.run("true", stdin=data)
        none = await warm.run("readlink", "/proc/self/fd/0")
        await warm.ready(2)
        kept = await warm.run("task", image=images.ENTRYPOINT)
        await warm.ready(2)
        replaced = await warm.run("x", image=images.ENTRYPOINT, entrypoint=("/bin/echo", "mine"))

        assert warm.ecs.warm_pool.misses == 0
    assert echoed.stdout == data[: len(echoed.stdout)]
    assert echoed.task.output.size_bytes(Stream.STDOUT) == len(data)
    assert unread.ended == (Outcome.EXITED, 0)
    assert none.stdout == b"/dev/null\n"
    assert kept.stdout == b"entry task\n"
    assert replaced.stdout == b"mine x\n"


@pytest.mark.parametrize(
    "env",
    [{}, {"B": "2", "A": "grüß = x"}, {"HOME": "/x", "PATH": "/bin:/x", "HOSTNAME": "me", "E": ""}],
)
async def test_the_environment_is_that_of_the_cold_way_in_its_order(
    warm: Warm, env: dict[str, str]
) -> None:
    script = ("sh", "-c", "tr '\\0' '\\n' < /proc/$$/environ | sed \"s/$(cat /etc/hostname)/ME/\"")

    within = await warm.run(*script, env=env)
    without = await warm.run(*script, env=env, labels={"a": "b"}, start=Start.COLD)

    assert within.stdout == without.stdout
    assert b"PATH=" in within.stdout


async def test_a_task_that_asks_for_what_none_was_made_for_goes_the_next_way_at_once(
    running_warm: RunWarm,
) -> None:
    async with running_warm() as warm:
        await warm.run("true", workdir="/tmp", start=Start.COLD)
        await warm.run("true", user="1000", start=Start.COLD)
        await warm.run("true", image=images.USER, start=Start.COLD)
        await warm.run("true")

        assert (warm.ecs.warm_pool.hits, warm.ecs.warm_pool.misses) == (1, 3)


async def test_more_tasks_than_containers_are_all_answered(running_warm: RunWarm) -> None:
    async with running_warm(3) as warm:
        tasks = [warm.ecs.submit("echo", str(number)) for number in range(8)]
        results = [await result_of(task) for task in tasks]
        written = [(await task.output.excerpt(Stream.STDOUT)).head for task in tasks]
        for task in tasks:
            await warm.ecs.dispatcher.release(task)

        assert [result.outcome for result in results] == [Outcome.EXITED] * 8
        assert written == [f"{number}\n".encode() for number in range(8)]
        assert [task.start for task in tasks].count(Start.WARM) >= 3


async def test_what_is_asked_for_often_becomes_warm(running_warm: RunWarm) -> None:
    async with running_warm(warm_images="", number=0, warm_memory_bytes=2**23) as warm:
        fields = {"user": "1000", "workdir": "/srv/new", "image": images.VOLUME}
        for _ in range(3):
            task = warm.ecs.submit("true", **fields)
            await end_of(warm.ecs, task)
        await warm.ready(2)

        ran = await warm.run("sh", "-c", "id -u; pwd", **fields)

        assert ran.stdout == b"1000\n/srv/new\n"


async def test_when_a_tag_moves_tasks_run_the_image_that_it_names_then(
    running_warm: RunWarm, engine: EngineProbe
) -> None:
    reference = f"ecs-test/moving:{secrets.token_hex(4)}"
    try:
        for marker in ("old", "new"):
            rootfs = with_file(busybox_rootfs(), "marker", marker.encode())
            import_image(engine.client, f"{reference}-{marker}", rootfs, [images.SHELL])
        engine.client.images.get(f"{reference}-old").tag(reference)
        async with running_warm(warm_images=f"{reference}=1") as warm:
            old = await warm.run("cat", "/marker", image=reference)
            await warm.ready()
            engine.client.images.get(f"{reference}-new").tag(reference)
            moved = warm.ecs.submit("cat", "/marker", image=reference)
            await result_of(moved)
            moved_stdout = (await moved.output.excerpt(Stream.STDOUT)).head
            await warm.ecs.dispatcher.release(moved)
            new = await warm.run("cat", "/marker", image=reference)

            assert warm.ecs.warm_pool.retired["image replaced"] == 1
        assert (old.stdout, moved_stdout, new.stdout) == (b"old", b"new", b"new")
    finally:
        engine.remove_images(reference)


async def test_a_private_image_that_is_warm_is_for_those_with_the_right_alone(
    running_warm: RunWarm, engine: EngineProbe, auth_registry: Registry
) -> None:
    image = auth_registry.push_image(engine)
    right = auth_registry.credentials
    assert right
    async with running_warm(0, warm_images=f"{image.reference}=1") as warm:
        pulling = warm.ecs.submit(
            "true", image=image.reference, credentials=(right.username, right.password)
        )
        assert (await end_of(warm.ecs, pulling)).outcome is Outcome.EXITED
        await warm.ready()
        wrong = Credentials.random()
        for credentials in (None, (wrong.username, wrong.password)):
            task = warm.ecs.submit("true", image=image.reference, credentials=credentials)
            assert (await end_of(warm.ecs, task)).outcome is Outcome.IMAGE_ACCESS_DENIED
        assert warm.ecs.warm_pool.hits == 0

        ran = await warm.run(
            "cat", "/marker", image=image.reference, credentials=(right.username, right.password)
        )

        assert ran.stdout.decode().strip() == image.marker
    engine.remove_images(image.reference)


def warm_names(engine: EngineProbe, service: ECService) -> list[str]:
    return [name for name in engine.containers(service.instance) if name.startswith(NAME)]


async def test_containers_end_with_the_service_and_go_at_its_next_start(
    ecservice: StartService, engine: EngineProbe
) -> None:
    service = await ecservice(
        ECS_WARM_IMAGES=f"{images.BUSYBOX}=2", ECS_SWEEP_INTERVAL_SECONDS="0.1"
    )
    await eventually(lambda: len(warm_names(engine, service)) == 2, PATIENT_SECONDS)
    async with calling(service.url) as caller:
        await eventually(lambda: is_warm(caller.run("true")), PATIENT_SECONDS)
    assert not logged(service, "orphan found")  # the sweep spared those that wait
    await eventually(lambda: len(running(engine, service)) == 2, PATIENT_SECONDS)
    left = set(warm_names(engine, service))

    await service.kill()

    await eventually(lambda: not running(engine, service), PATIENT_SECONDS)
    await service.start()
    await eventually(
        lambda: (names := set(warm_names(engine, service))) and not names & left, PATIENT_SECONDS
    )
    assert left <= {line["container"] for line in logged(service, "orphan found")}
    await service.stop()
    assert engine.containers(service.instance) == []


async def is_warm(running: Any) -> bool:
    answer = await running
    assert answer.document["outcome"] == "exited"
    return answer.document["start"] == "warm"


def running(engine: EngineProbe, service: ECService) -> list[str]:
    label = f"ecs.instance={service.instance}"
    found = engine.client.api.containers(filters={"label": label, "status": "running"})
    return [container["Names"][0] for container in found]


async def test_behind_tls_a_large_stdin_comes_through(
    ecservice: StartService, tls_engine: TlsEngine
) -> None:
    images.import_busybox(tls_engine.probe.client)
    service = await ecservice(
        probe=tls_engine.probe,
        **tls_engine.settings,
        ECS_WARM_IMAGES=f"{images.BUSYBOX}=1",
    )
    data = os.urandom(200_000).hex()
    async with calling(service.url) as caller:
        await eventually(lambda: is_warm(caller.run("true")), PATIENT_SECONDS)
        await eventually(lambda: warm_names(tls_engine.probe, service), PATIENT_SECONDS)
        answers = await asyncio.gather(*[caller.run("cat", stdin=data) for _ in range(2)])

    assert {len(answer.stdout) for answer in answers} == {len(data) // 4 * 3}
