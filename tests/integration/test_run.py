"""What a task is asked to be is what it is."""

import asyncio
import base64
import hashlib
import random

import pytest

from tests import images
from tests.client import Caller, calling
from tests.engines import EngineProbe
from tests.outcomes import outcome
from tests.service_log import logged
from tests.services import ECService
from tests.waiting import eventually
from tests.ways import (
    EVERY_WAY,
    ONE_WAY,
    THREE_WAYS,
    THREE_WAYS_ON_DEMAND,
    WAYS_WITHOUT_NETWORK,
    WayCaller,
)


@EVERY_WAY
async def test_exit_code_stdout_and_stderr_come_back(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "echo out; echo err >&2; exit 3")

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 3)
    assert (answer.stdout, answer.stderr) == (b"out\n", b"err\n")
    assert answer.document["truncated"] is False
    assert "run;dur=" in answer.headers["Server-Timing"]


@THREE_WAYS
async def test_a_task_that_succeeds_is_complete(caller: Caller) -> None:
    assert outcome(await caller.run("true")) == ("COMPLETE", "exited", 0)


@ONE_WAY
async def test_a_trailing_slash_is_allowed(service: ECService) -> None:
    task = {"docker_image": images.BUSYBOX, "cmd": ["true"]}
    async with (
        calling(service.url) as caller,
        caller.session.post(f"{caller.url}/v1.1/tasks/", json=task) as response,
    ):
        assert response.status == 201


@THREE_WAYS
async def test_output_is_bytes_not_text(caller: Caller) -> None:
    answer = await caller.run("printf", r"\377\000\r\nno newline")

    assert answer.stdout == b"\xff\x00\r\nno newline"


@EVERY_WAY
@pytest.mark.parametrize("size", [0, 65_536, 500_000])
async def test_stdin_reaches_the_task_whole_and_ends(caller: Caller, size: int) -> None:
    data = bytes(index % 251 for index in range(size))

    answer = await caller.run("cat", stdin=base64.b64encode(data).decode())

    assert answer.stdout == data


@EVERY_WAY
async def test_a_task_that_never_reads_its_stdin_is_answered(caller: Caller) -> None:
    answer = await caller.run("true", stdin=base64.b64encode(bytes(500_000)).decode())

    assert outcome(answer) == ("COMPLETE", "exited", 0)


@THREE_WAYS
async def test_forty_megabytes_of_stdin_arrive(caller: Caller) -> None:
    data = random.Random(1).randbytes(40_000_000)

    answer = await caller.run("sha256sum", stdin=base64.b64encode(data).decode())

    assert answer.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@EVERY_WAY
async def test_a_task_without_stdin_reads_end_of_file(caller: Caller) -> None:
    assert (await caller.run("wc", "-c")).stdout == b"0\n"


@EVERY_WAY
async def test_the_images_entrypoint_is_kept_unless_another_is_given(caller: Caller) -> None:
    kept = await caller.run("task", image=images.ENTRYPOINT)
    replaced = await caller.run("task", image=images.ENTRYPOINT, entrypoint=["/bin/echo", "mine"])
    removed = await caller.run("echo", "alone", image=images.ENTRYPOINT, entrypoint=[])

    assert kept.stdout == b"entry task\n"
    assert replaced.stdout == b"mine task\n"
    assert removed.stdout == b"alone\n"


@THREE_WAYS_ON_DEMAND
async def test_env_workdir_and_user_are_the_requests(caller: Caller) -> None:
    answer = await caller.run(
        "sh",
        "-c",
        "echo $GREETING; pwd; id -u; id -g",
        env={"GREETING": "grüß dich = x"},
        workdir="/srv/new",
        user="1234:5678",
    )

    assert answer.stdout.decode() == "grüß dich = x\n/srv/new\n1234\n5678\n"


@THREE_WAYS
async def test_user_and_workdir_are_the_images_unless_given(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "id -u; pwd", image=images.USER)

    assert answer.stdout == b"1000\n/srv\n"


@THREE_WAYS
async def test_an_image_from_scratch_runs_its_one_program(caller: Caller) -> None:
    answer = await caller.run("/busybox", "echo", "hello", image=images.SCRATCH)

    assert answer.stdout == b"hello\n"


@WAYS_WITHOUT_NETWORK
async def test_network_none_leaves_loopback_alone(caller: Caller) -> None:
    alone = await caller.run("ls", "/sys/class/net", network="none")
    connected = await caller.run("ls", "/sys/class/net")

    assert alone.stdout == b"lo\n"
    assert b"eth0" in connected.stdout


@EVERY_WAY
async def test_nothing_of_a_task_is_left_in_the_engine(
    caller: WayCaller, service: ECService, engine: EngineProbe
) -> None:
    await caller.settled()
    volumes, networks = engine.dangling_volumes(), engine.networks()

    await asyncio.gather(
        caller.run("sh", "-c", "echo x > /data/file", image=images.VOLUME),
        caller.run("sleep", "60", image=images.VOLUME, timeout_seconds=0.5),
        caller.run("no-such-command", image=images.VOLUME),
    )

    await caller.settled()
    await eventually(lambda: not engine.tasks(service.instance), 10)
    await eventually(lambda: engine.dangling_volumes() == volumes, 10)
    assert engine.networks() == networks


@ONE_WAY
async def test_each_log_line_of_a_task_carries_its_id_and_its_requests(service: ECService) -> None:
    async with calling(service.url) as caller:
        answer = await caller.post(
            {"docker_image": images.BUSYBOX, "cmd": ["true"]}, {"X-Request-ID": "from-nginx.1"}
        )

    assert answer.headers["X-Request-ID"] == "from-nginx.1"
    lines = logged(service, "task ended", request_id="from-nginx.1")
    assert [line["task_id"] for line in lines] == [answer.document["id"]]
