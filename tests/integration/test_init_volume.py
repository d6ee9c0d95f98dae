"""The init comes into the real engine by itself and stays; tasks do without it if they must."""

import asyncio
import contextlib
import io
import platform
import secrets
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.errors import NotFound
from structlog.testing import capture_logs

from ecs.native import init_program
from ecs.tasks import init_mount, init_volume, old_images
from ecs.tasks.init_mount import HOSTS, InitMount
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Network
from ecs.tasks.states import Outcome
from tests import images
from tests.engines import EngineProbe
from tests.harness import Ecs, result_of, running_ecs
from tests.waiting import eventually

MACHINE = platform.machine()
NONE_IS_YOUNG = pytest.mark.usefixtures("none_is_young")


@pytest.fixture
def program() -> bytes:
    """The real one, in a version of its own: what is behind an ELF file's end is never read."""
    program = init_program(MACHINE)
    assert program, "bin/build-native was not run"
    return program + secrets.token_bytes(8)


@pytest.fixture
def mount(program: bytes, monkeypatch: pytest.MonkeyPatch, engine: EngineProbe) -> InitMount:
    """Its mount; under a label of its own, so that no other service's volume is old to this one."""
    label = f"ecs-test.{secrets.token_hex(4)}"
    monkeypatch.setattr(init_mount, "LABEL_INIT", label)
    monkeypatch.setattr(init_volume, "LABEL_INIT", label)
    return InitMount.of(program)


@pytest.fixture
async def ecs(tmp_path: Path, docker_host: str, engine: EngineProbe) -> AsyncIterator[Ecs]:
    async with running_ecs(tmp_path, docker_host) as ecs:
        yield ecs


@pytest.fixture
async def init(
    ecs: Ecs, program: bytes, mount: InitMount, engine: EngineProbe
) -> AsyncIterator[InitVolume]:
    """Of the tests' own version, at work in `ecs`; everything of it is removed at the end."""
    ecs.init._program_for = lambda _: program
    yield ecs.init
    await eventually(ecs.is_idle, 30)
    for container in engine.client.api.containers(
        all=True, filters={"label": f"{init_mount.LABEL_INIT}={mount.digest}"}
    ):
        engine.client.api.remove_container(container["Id"], force=True)
    remove_volume(engine, mount.volume)
    engine.remove_images(str(mount.image))


def remove_volume(engine: EngineProbe, name: str) -> None:
    with contextlib.suppress(NotFound):
        engine.client.api.remove_volume(name)


def content(engine: EngineProbe, mount: InitMount) -> dict[str, tuple[bytes, int]]:
    """What is in the volume: each file's content and mode."""
    container = engine.client.containers.create(
        images.BUSYBOX, volumes={mount.volume: {"bind": "/volume", "mode": "ro"}}
    )
    try:
        chunks, _ = container.get_archive("/volume/.")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            return {
                Path(entry.name).name: (file.read(), entry.mode & 0o7777)
                for entry in tar
                if (file := tar.extractfile(entry))
            }
    finally:
        container.remove()


def is_whole(engine: EngineProbe, mount: InitMount, program: bytes) -> bool:
    expected = {"init": (program, 0o555), "hosts": (HOSTS, 0o444)}
    return content(engine, mount) == expected


def volumes(engine: EngineProbe) -> set[str]:
    """The names of those there are."""
    return {volume["Name"] for volume in engine.client.api.volumes()["Volumes"]}


async def nothing_uses(engine: EngineProbe, mount: InitMount) -> None:
    """Wait until its volume is no container's."""
    filters = {"volume": mount.volume}
    await eventually(lambda: not engine.client.api.containers(all=True, filters=filters), 30)


async def start_as(init: InitVolume, program: bytes) -> None:
    """Do what a service of another version does when it starts."""
    init.mount = None
    init._program_for = lambda _: program
    await init.prepare(MACHINE)


@contextlib.asynccontextmanager
async def another_version(
    init: InitVolume, engine: EngineProbe, program: bytes
) -> AsyncIterator[InitMount]:
    """What a service of another version has made at its start; removed at the end."""
    mount = InitMount.of(program)
    await start_as(init, program)
    await nothing_uses(engine, mount)
    try:
        yield mount
    finally:
        remove_volume(engine, mount.volume)
        engine.remove_images(str(mount.image))


async def starts_with_the_init(ecs: Ecs) -> bool:
    """Whether a task has it; a task that has none is the child of nobody."""
    task = ecs.submit("sh", "-c", "exit $(($$ == 1))", network=Network.NONE)
    result = await result_of(task)
    await ecs.dispatcher.release(task)
    assert result.outcome is Outcome.EXITED
    return result.exit_code == 0


async def test_the_volume_is_made_and_filled_and_says_what_it_is(
    init: InitVolume, ecs: Ecs, engine: EngineProbe, program: bytes, mount: InitMount
) -> None:
    await init.prepare(MACHINE)

    volume = engine.client.api.inspect_volume(mount.volume)
    assert init.mount == InitMount(mount.digest, volume["Mountpoint"])
    assert is_whole(engine, mount, program)
    labels = volume["Labels"]
    assert labels[init_mount.LABEL_INIT] == mount.digest
    assert "ECS" in labels["ecs.purpose"]
    image = engine.client.images.get(str(mount.image))
    assert image.labels == labels
    assert await starts_with_the_init(ecs)


async def test_a_volume_that_is_filled_already_is_left_alone(
    init: InitVolume, engine: EngineProbe, mount: InitMount
) -> None:
    await init.prepare(MACHINE)
    with capture_logs() as logs:
        await init.prepare(MACHINE)

    assert logs == []


async def test_a_volume_with_something_else_in_it_is_filled_again(
    init: InitVolume, engine: EngineProbe, program: bytes, mount: InitMount
) -> None:
    init._program = program[: len(program) // 2]  # as if the engine had died within
    await init._fill(mount)
    assert not is_whole(engine, mount, program)

    await init.prepare(MACHINE)

    assert is_whole(engine, mount, program)


async def test_tasks_go_on_when_the_volume_is_removed_and_it_comes_back(
    init: InitVolume, ecs: Ecs, engine: EngineProbe, program: bytes, mount: InitMount
) -> None:
    await init.prepare(MACHINE)
    await eventually(ecs.is_idle, 30)
    keeping = asyncio.create_task(init.keep())
    engine.client.api.remove_volume(mount.volume)

    had_it = await starts_with_the_init(ecs)
    await eventually(lambda: not init._doubted.is_set(), 30)
    await eventually(lambda: is_whole(engine, mount, program), 30)

    assert not had_it
    assert await starts_with_the_init(ecs)
    labels = engine.client.api.inspect_volume(mount.volume)["Labels"]
    assert labels[init_mount.LABEL_INIT] == mount.digest
    keeping.cancel()


@pytest.mark.parametrize(
    ("kept_seconds", "is_left"), [(-10, False), (3600, True)], ids=["old", "young"]
)
async def test_old_versions_that_nothing_uses_are_deleted(
    init: InitVolume,
    engine: EngineProbe,
    program: bytes,
    mount: InitMount,
    monkeypatch: pytest.MonkeyPatch,
    kept_seconds: float,
    is_left: bool,
) -> None:
    monkeypatch.setattr(old_images, "_KEPT_SECONDS", kept_seconds)
    async with another_version(init, engine, program + b"older") as older:
        await start_as(init, program)

        assert mount.volume in volumes(engine)
        assert (older.volume in volumes(engine)) == is_left
        assert engine.has_image(str(older.image)) == is_left


@NONE_IS_YOUNG
async def test_an_old_image_goes_also_when_its_volume_is_gone(
    init: InitVolume, engine: EngineProbe, program: bytes, mount: InitMount
) -> None:
    await init.prepare(MACHINE)
    await nothing_uses(engine, mount)
    remove_volume(engine, mount.volume)

    async with another_version(init, engine, program + b"newer") as newer:
        assert not engine.has_image(str(mount.image))
        assert engine.has_image(str(newer.image))


@NONE_IS_YOUNG
async def test_another_version_in_use_stays(
    init: InitVolume, engine: EngineProbe, program: bytes, mount: InitMount
) -> None:
    await init.prepare(MACHINE)
    container = engine.client.containers.create(
        images.BUSYBOX, volumes={mount.volume: {"bind": "/volume", "mode": "ro"}}
    )
    try:
        async with another_version(init, engine, program + b"newer") as newer:
            assert {mount.volume, newer.volume} <= volumes(engine)
    finally:
        container.remove()


async def test_where_there_is_no_program_for_the_engine_that_is_told_and_tasks_run(
    init: InitVolume, ecs: Ecs
) -> None:
    init._program_for = init_program
    with capture_logs() as logs:
        await init.prepare("pdp11")

    assert init.mount is None
    assert [(entry["log_level"], entry.get("machine")) for entry in logs] == [("warning", "pdp11")]
    assert not await starts_with_the_init(ecs)


async def test_an_image_with_a_file_in_the_way_runs_without_the_init(
    ecs: Ecs, engine: EngineProbe
) -> None:
    program = init_program(MACHINE)
    assert program
    ecs.init._program_for = init_program
    await ecs.init.prepare(MACHINE)

    result = await ecs.run("sh", "-c", "exit $(($$ + 2))", image=images.BLOCKED)

    assert (result.outcome, result.exit_code) == (Outcome.EXITED, 3)
