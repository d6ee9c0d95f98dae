"""Whatever the engine does wrong with the init's volume, tasks run, and nothing stays behind."""

import asyncio
import io
import tarfile

import pytest
from structlog.testing import capture_logs

from ecs.tasks import init_volume
from ecs.tasks.init_mount import InitMount
from ecs.tasks.states import Outcome
from tests.fake_engine import FakeEngine, Script, answers, closes, image_id, sends, streams
from tests.harness import Ecs
from tests.waiting import eventually

PROGRAM = b"\x7fELF and so on"


@pytest.fixture
def ecs(ecs: Ecs) -> Ecs:
    """ECS that has a program for the engine's machine, which nothing will run."""
    ecs.init._program_for = lambda _: PROGRAM
    return ecs


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
    (put,) = fake.asked("put_archive")
    with tarfile.open(fileobj=io.BytesIO(put.body)) as archive:
        entries = [(entry.name, entry.mode, entry.uid) for entry in archive]
        assert entries == [("init", 0o555, 0), ("hosts", 0o444, 0)]


@pytest.mark.parametrize(
    ("verb", "script"),
    [
        pytest.param(
            "create_volume", answers(500, {"message": "no"}), id="create_volume: no volume"
        ),
        pytest.param(
            "inspect_image",
            answers(500, {"message": "no"}),
            id="inspect_image: no word of the image",
        ),
        pytest.param("pull", answers(200, {"error": "no space left"}), id="pull: no image"),
        pytest.param("pull", closes, id="pull: no end of the import"),
        pytest.param(
            "create", answers(404, {"message": "no such image"}), id="create: no container"
        ),
        pytest.param(
            "get_archive", answers(500, {"message": "no"}), id="get_archive: no archive back"
        ),
        pytest.param("get_archive", tar(mode=0o444), id="get_archive: not executable"),
        pytest.param("get_archive", tar(type=tarfile.DIRTYPE), id="get_archive: a directory"),
        pytest.param("get_archive", streams(b""), id="get_archive: nothing"),
        pytest.param("get_archive", streams(b"no archive"), id="get_archive: garbage"),
        pytest.param(
            "get_archive",
            sends(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"),
            id="get_archive: cut off",
        ),
        pytest.param(
            "put_archive", answers(500, {"message": "no space left"}), id="put_archive: no space"
        ),
        pytest.param("put_archive", answers(200), id="put_archive: taken and not there"),
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


@pytest.mark.parametrize(
    ("verb", "script"),
    [
        ("list_volumes", answers(200, {"Volumes": "none"})),
        ("list_volumes", answers(200, {"Volumes": [{"Name": "x", "CreatedAt": "long ago"}]})),
        ("list_volumes", answers(403, {"message": "not allowed here"})),
        ("list_images", answers(403, {"message": "not allowed here"})),
    ],
)
async def test_an_engine_that_does_not_tell_of_other_versions_has_the_init_all_the_same(
    ecs: Ecs, fake: FakeEngine, verb: str, script: Script
) -> None:
    fake.always(verb, script)
    with capture_logs() as logs:
        await ecs.init.prepare("x86_64")

    assert ecs.init.mount
    assert [entry["log_level"] for entry in logs].count("warning") == 1


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
