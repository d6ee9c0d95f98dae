"""Pulls that end in every way there is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ecs.tasks.model import PullPolicy
from ecs.tasks.states import Outcome
from tests.fake_engine import (
    REMOTE_IMAGE,
    Connection,
    FakeEngine,
    Request,
    Script,
    answers,
    closes,
    hangs,
    hangs_after_head,
    image_id,
    sends,
    streams,
)
from tests.harness import STATE_FILE, Ecs
from tests.integration.engine_faults.faults import code, ecs_on, nothing_is_left

ALICE = ("alice", "alice's password")
PROGRESS = b'{"status": "Pulling from team/image", "id": "1"}\r\n'


def line(text: str) -> Script:
    """A pull that ends with this line."""
    return streams(PROGRESS, text.encode() + b"\r\n")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(answers(404, {"message": "pull access denied"}), "image_not_found", id="404"),
        pytest.param(
            answers(500, {"message": "Get https://r/v2/: no basic auth credentials"}),
            "image_access_denied",
            id="no credentials",
        ),
        pytest.param(
            answers(500, {"message": "Get https://r/v2/: dial tcp: connection refused"}),
            "image_pull_failed",
            id="registry out of reach",
        ),
        pytest.param(
            line('{"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}'),
            "image_not_found",
            id="in-band: not found",
        ),
        pytest.param(
            line('{"errorDetail": {"message": "unauthorized: authentication required"}}'),
            "image_access_denied",
            id="in-band: denied",
        ),
        pytest.param(
            line('{"errorDetail": {"code": 1, "message": "no space left on device"}}'),
            "image_pull_failed",
            id="in-band: other",
        ),
        pytest.param(
            line('{"error": "filesystem layer verification failed"}'),
            "image_pull_failed",
            id="in-band: in the older field",
        ),
        pytest.param(line('{"errorDetail": {}, "error": ""}'), "image_pull_failed", id="no words"),
        pytest.param(line('{"status": "Pulling fs la'), "engine_error", id="half a line"),
        pytest.param(line("[]"), "engine_error", id="a line that is no object"),
        pytest.param(
            streams(b'{"status": "Pulling"}\r\n', ends=False), "engine_error", id="cut in a chunk"
        ),
        pytest.param(closes, "engine_unreachable", id="closes at once"),
        pytest.param(sends(b"\xff\xff\r\n\r\n"), "engine_error", id="garbage"),
        pytest.param(streams(b"x" * 2**21), "engine_error", id="a line without end"),
        pytest.param(hangs, "image_pull_timed_out", id="never answers"),
        pytest.param(hangs_after_head, "image_pull_timed_out", id="never goes on"),
        pytest.param(streams(), "image_pull_failed", id="just ends"),
    ],
)
async def test_a_pull_that_fails_tells_why(
    fake: FakeEngine, tmp_path: Path, script: Script, expected: str
) -> None:
    async with ecs_on(fake, tmp_path, pull_timeout_seconds=1.0) as ecs:
        fake.next("pull", script)
        result = await ecs.run("echo", image=REMOTE_IMAGE)

        assert code(result) == expected
        assert result.outcome == (expected if expected.startswith("image") else "engine_error")
        assert fake.count("create") == 0
        await nothing_is_left(ecs, fake)
        assert (await ecs.run("echo", image=REMOTE_IMAGE)).outcome is Outcome.EXITED


async def test_a_line_of_progress_nested_too_deep_fails_one_task_alone(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.next("pull", line("[" * 100_000))

    assert code(await ecs.run("echo", image=REMOTE_IMAGE)) == "engine_error"
    assert (await ecs.run("echo", image=REMOTE_IMAGE)).outcome is Outcome.EXITED


async def test_a_line_of_progress_of_another_kind_is_passed_over(
    ecs: Ecs, fake: FakeEngine
) -> None:
    async def with_unknown_lines(request: Request, connection: Connection) -> None:
        fake.images[REMOTE_IMAGE] = image_id(REMOTE_IMAGE)
        lines = b'{"aux": {"ID": "sha256:0"}, "new": true}\n{"status": "Status: Downloaded"}\n'
        await streams(lines)(request, connection)

    fake.next("pull", with_unknown_lines)

    assert (await ecs.run("echo", image=REMOTE_IMAGE)).outcome is Outcome.EXITED


async def test_with_pull_always_a_pull_that_just_ends_runs_no_old_image(
    ecs: Ecs, fake: FakeEngine
) -> None:
    fake.images[REMOTE_IMAGE] = image_id("old")
    fake.next("pull", streams(PROGRESS))
    result = await ecs.run("echo", image=REMOTE_IMAGE, pull=PullPolicy.ALWAYS)

    assert code(result) == "image_pull_failed"


async def test_a_store_that_cannot_be_written_fails_one_task_alone(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecs.store.private_images._BUSY_TIMEOUT_SECONDS", 0.1)
    async with ecs_on(fake, tmp_path) as ecs:
        database = ecs.settings.state_directory / STATE_FILE
        with closing(sqlite3.connect(database, isolation_level=None)) as other_process:
            other_process.execute("BEGIN IMMEDIATE")
            result = await ecs.run("echo", image=REMOTE_IMAGE, credentials=ALICE)

        assert result.state == "SYSTEM_ERROR"
        assert fake.count("pull") == 0
        assert (
            await ecs.run("echo", image=REMOTE_IMAGE, credentials=ALICE)
        ).outcome is Outcome.EXITED
