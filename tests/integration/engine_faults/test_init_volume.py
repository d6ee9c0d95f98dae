"""Whatever the engine does wrong with the init's volume, tasks run, and nothing stays behind."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ecs.tasks import init_volume
from ecs.tasks.init_mount import InitMount
from ecs.tasks.states import Outcome
from tests.fake_engine import (
    FakeEngine,
    Script,
    answers,
    closes,
    fake_engine,
    image_id,
    sends,
    streams,
)
from tests.harness import Ecs, running_ecs
from tests.waiting import eventually

PROGRAM = b"\x7fELF and so on"


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    async with fake_engine() as engine:
        yield engine


@pytest.fixture
async def ecs(fake: FakeEngine, tmp_path: Path) -> AsyncIterator[Ecs]:
    async with running_ecs(tmp_path, fake.docker_host) as ecs:
        ecs.init._program_for = lambda _: PROGRAM
        yield ecs
        fake.behave()
        await eventually(lambda: not fake.containers and ecs.is_idle())


def tar(**entry: object) -> Script:
    """Answer with an archive of one entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("init")
        info.mode, info.size = 0o555, len(PROGRAM)
        for name, value in entry.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(PROGRAM))
    return streams(buffer.getvalue())


async def test_the_volume_is_filled_once(ecs: Ecs, fake: FakeEngine) -> None:
    await ecs.init.prepare("x86_64")

    assert ecs.init.mount
    (put,) = [request for request in fake.requests if request.verb == "put_archive"]
    with tarfile.open(fileobj=io.BytesIO(put.body)) as archive:
        (entry,) = archive
        assert (entry.name, entry.mode, entry.uid) == ("init", 0o555, 0)


@pytest.mark.parametrize(
    ("verb", "script"),
    [
        ("create_volume", answers(500, {"message": "no"})),
        ("inspect_image", answers(500, {"message": "no"})),
        ("pull", answers(200, {"error": "no space left"})),
        ("pull", closes),
        ("create", answers(404, {"message": "no such image"})),
        ("get_archive", answers(500, {"message": "no"})),
        ("get_archive", tar(mode=0o444)),
        ("get_archive", tar(type=tarfile.DIRTYPE)),
        ("get_archive", streams(b"")),
        ("get_archive", streams(b"no archive")),
        ("get_archive", sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx")),
        ("put_archive", answers(500, {"message": "no space left"})),
        ("put_archive", answers(200)),
        ("list_volumes", answers(200, {"Volumes": "none"})),
        ("list_volumes", answers(200, {"Volumes": [{"Name": "x", "CreatedAt": "long ago"}]})),
    ],
)
async def test_an_engine_that_does_not_take_the_init_runs_tasks_without_it(
    ecs: Ecs, fake: FakeEngine, verb: str, script: Script
) -> None:
    fake.always(verb, script)
    with capture_logs() as logs:
        await ecs.init.prepare("x86_64")

    assert ecs.init.mount is None
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
        "the init cannot be brought into the engine"
    ]
    fake.behave()
    assert (await ecs.run("echo")).outcome is Outcome.EXITED


async def test_an_init_that_could_not_be_brought_in_is_tried_again_and_told_once(
    ecs: Ecs, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_volume, "_PAUSE_SECONDS", 0.01)
    fake.always("create_volume", answers(500, {"message": "no"}))
    with capture_logs() as logs:
        await ecs.init.prepare("x86_64")
        keeping = asyncio.create_task(ecs.init.keep())
        await eventually(lambda: fake.count("create_volume") > 3)
        fake.behave()
        await eventually(lambda: ecs.init.mount is not None)
        keeping.cancel()

    assert [entry["event"] for entry in logs] == [
        "the init cannot be brought into the engine",
        "volume filled",
        "init ready",
    ]


async def test_a_doubted_volume_is_filled_again(ecs: Ecs, fake: FakeEngine) -> None:
    await ecs.init.prepare("x86_64")
    before = fake.count("put_archive")
    keeping = asyncio.create_task(ecs.init.keep())
    ecs.init.doubt()
    await eventually(lambda: fake.count("put_archive") > before)
    keeping.cancel()


async def test_an_image_that_is_there_is_not_made_again(ecs: Ecs, fake: FakeEngine) -> None:
    fake.images[str(InitMount.of(PROGRAM).image)] = image_id("there")

    await ecs.init.prepare("x86_64")

    assert ecs.init.mount
    assert fake.count("pull") == 0
