"""A stream of output that is broken is never half a result."""

import pytest

from tests.fake_engine import (
    DAEMON_ERROR,
    RAW_STREAM,
    STDOUT,
    Connection,
    FakeEngine,
    Request,
    attached,
    frame,
)
from tests.harness import Ecs
from tests.integration.engine_faults.faults import BROKEN, UNREACHABLE, end_of, engine_code

pytestmark = pytest.mark.usefixtures("short_patience")


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        pytest.param(frame(STDOUT, b"0123456789")[:-1], "within a frame", id="cut in a payload"),
        pytest.param(frame(STDOUT, b"x")[:5], "within a frame", id="cut in a header"),
        pytest.param(frame(7, b"x"), "not a frame header", id="unknown type"),
        pytest.param(b"\x01\x00\x01\x00\0\0\0\1x", "not a frame header", id="padding"),
        pytest.param(b"plain text, as a TTY's", "not a frame header", id="no frames"),
        pytest.param(frame(DAEMON_ERROR, b"disk gone"), "disk gone", id="error of the daemon"),
        pytest.param(
            frame(STDOUT, b"x") + frame(DAEMON_ERROR, b""), "without a message", id="empty error"
        ),
    ],
)
async def test_a_broken_stream_of_output_fails_the_task(
    ecs: Ecs, fake: FakeEngine, stream: bytes, said: str
) -> None:
    fake.next("attach", attached(frame(STDOUT, b"before\n"), stream))
    result = await ecs.run("echo")

    assert engine_code(result) == BROKEN
    assert said in str(result.error)


async def test_frames_may_be_cut_anywhere(ecs: Ecs, fake: FakeEngine) -> None:
    stream = frame(STDOUT, b"one\n") + frame(STDOUT, b"") + frame(STDOUT, b"two\n")
    fake.next("attach", attached(*(stream[i : i + 1] for i in range(len(stream)))))
    _, _, stdout = await end_of(ecs, "echo")

    assert stdout == b"one\ntwo\n"


async def test_a_stream_of_output_that_never_ends_is_no_result(ecs: Ecs, fake: FakeEngine) -> None:
    async def never_ends(_: Request, connection: Connection) -> None:
        await connection.head(200, Content_Type=RAW_STREAM)
        await connection.send(frame(STDOUT, b"hello\n"))
        await connection.left()

    fake.next("attach", never_ends)
    result = await ecs.run("echo")

    assert engine_code(result) == UNREACHABLE
    assert "output did not end" in str(result.error)
