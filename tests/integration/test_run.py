"""What a task is asked to be is what it is."""

import asyncio
import base64
import hashlib
import random
import re
import time
from collections.abc import AsyncIterator

import pytest
from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests import images
from tests.client import Answer, Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.service_log import logged
from tests.services import ECService
from tests.tls_engine import TlsEngine
from tests.waiting import eventually
from tests.ways import (
    EVERY_WAY,
    EVERY_WAY_ON_DEMAND,
    ONE_WAY,
    THREE_WAYS,
    THREE_WAYS_ON_DEMAND,
    WAYS_WITHOUT_NETWORK,
    Way,
    WayCaller,
    calling_on,
    environment,
    ways,
)

RESULT = Draft202012Validator(load_schema("task_result"))


@pytest.fixture
async def service(shared_ecservice: StartService, ecservice: StartService, way: Way) -> ECService:
    # What was asked for in the last minute is another test's.
    start = ecservice if way is Way.WARM_ON_DEMAND else shared_ecservice
    return await start(
        **environment(way), ECS_MAX_REQUEST_BYTES=str(64 * 2**20), ECS_STOP_GRACE_SECONDS="1"
    )


@pytest.fixture
async def caller(service: ECService, way: Way) -> AsyncIterator[WayCaller]:
    async with calling_on(way, service) as caller:
        yield caller


def outcome(answer: Answer) -> tuple[str, str, int]:
    RESULT.validate(answer.document)
    assert answer.status == 201
    return answer.document["state"], answer.document["outcome"], answer.document["exitCode"]


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


@EVERY_WAY_ON_DEMAND
async def test_the_container_is_what_the_request_and_the_profile_say(
    caller: WayCaller, service: ECService, engine: EngineProbe, way: Way
) -> None:
    resources = {"memory_bytes": 33_554_432, "cpus": 0.5, "pids": 17}
    await caller.prepare(resources=resources)
    await eventually(lambda: not engine.tasks(service.instance), 20)
    asking = asyncio.create_task(caller.run("sleep", "1", resources=resources))
    (name,) = await eventually(lambda: engine.tasks(service.instance), 20)
    container = engine.client.api.inspect_container(name)
    answer = await asking

    assert name == f"ecs-task-{answer.document['id']}"
    labels, host = container["Config"]["Labels"], container["HostConfig"]
    assert labels["ecs.instance"] == service.instance
    assert labels["ecs.image"] == "docker.io/library/busybox:latest"
    assert host["Memory"] == host["MemorySwap"] == 33_554_432
    # The init's own process is not the task's.
    has_init = way is not Way.WITHOUT_INIT
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 17 + has_init)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["CapDrop"] == ["NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT"]
    assert host["LogConfig"]["Type"] == "none"
    assert not host["Privileged"]
    assert not host["Binds"]


@ways(Way.COLD, Way.SANDBOXED)
async def test_the_containers_labels_are_the_requests_and_the_deadline(
    caller: Caller, service: ECService, engine: EngineProbe
) -> None:
    asking = asyncio.create_task(
        caller.run("sleep", "1", labels={"team": "blue"}, timeout_seconds=9)
    )
    (name,) = await eventually(lambda: engine.tasks(service.instance), 20)
    labels = engine.client.api.inspect_container(name)["Config"]["Labels"]
    await asking

    assert labels["team"] == "blue"
    assert time.time() < int(labels["ecs.deadline"]) < time.time() + 200


@THREE_WAYS
async def test_limits_hold_inside_the_container(caller: Caller) -> None:
    script = """
        cd /sys/fs/cgroup
        cat memory/memory.limit_in_bytes memory.max 2>/dev/null
        cat pids/pids.max pids.max 2>/dev/null
        cat cpu/cpu.cfs_quota_us 2>/dev/null || cut -d ' ' -f 1 cpu.max
        ulimit -n; ulimit -c; grep -E 'CapEff|NoNewPrivs' /proc/self/status
    """
    answer = await caller.run("sh", "-c", script)

    *limits, files, core, cap_eff, no_new_privileges = answer.stdout.decode().splitlines()
    # What a request gets that does not say; the init's own process is not the task's.
    assert [int(limit) for limit in limits] == [536_870_912, 128 + 1, 100_000]
    assert (files, core) == ("4096", "0")
    assert no_new_privileges.split() == ["NoNewPrivs:", "1"]
    capabilities = int(cap_eff.split()[1], 16)
    for dropped in (13, 18, 27, 29):  # NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE
        assert not capabilities & 1 << dropped


@EVERY_WAY_ON_DEMAND
async def test_more_processes_than_allowed_cannot_be_forked(caller: Caller) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"

    answer = await caller.run("sh", "-c", script, resources={"pids": 4}, timeout_seconds=8)

    assert b"can't fork" in answer.stderr


@WAYS_WITHOUT_NETWORK
async def test_the_strict_profile_takes_everything_away(caller: Caller) -> None:
    script = """
        id -u; id -g; ls /sys/class/net; grep CapBnd /proc/self/status
        echo x > /tmp/file && cat /tmp/file
        echo y > /file || echo read-only
        stat -c %a /tmp; df -k /tmp | tail -1 | awk '{print $2}'
    """

    answer = await caller.run("sh", "-c", script, profile="strict")

    assert answer.stdout.decode().splitlines() == [
        "65534",
        "65534",
        "lo",
        "CapBnd:\t0000000000000000",
        "x",
        "read-only",
        "1777",
        "65536",
    ]


@WAYS_WITHOUT_NETWORK
async def test_in_the_strict_profile_an_images_volume_is_bounded_too(caller: Caller) -> None:
    script = "df -k /data | tail -1 | awk '{print $2}'; echo x > /data/file && cat /data/file"

    answer = await caller.run("sh", "-c", script, image=images.VOLUME, profile="strict")

    assert answer.stdout == b"65536\nx\n"


async def test_an_operator_who_wants_strict_tasks_gets_no_others(ecservice: StartService) -> None:
    service = await ecservice(ECS_PROFILE="strict")
    async with calling(service.url) as caller:
        unasked = await caller.run("id", "-u")
        loosened = await caller.run("id", "-u", profile="standard")

    assert unasked.stdout == b"65534\n"
    assert (loosened.status, loosened.document["code"]) == (403, "not_allowed")


@EVERY_WAY
async def test_a_missing_command_is_told_from_one_that_exits_with_127(caller: Caller) -> None:
    missing = await caller.run("no-such-command")
    itself = await caller.run("sh", "-c", "exit 127")

    assert outcome(missing) == ("EXECUTOR_ERROR", "not_found", 127)
    assert "no-such-command" in missing.document["detail"]
    assert outcome(itself) == ("EXECUTOR_ERROR", "exited", 127)


@EVERY_WAY
async def test_a_file_without_the_right_to_run_it_is_not_executable(caller: Caller) -> None:
    answer = await caller.run("/etc/passwd")

    assert outcome(answer) == ("EXECUTOR_ERROR", "not_executable", 126)


@EVERY_WAY
async def test_a_signal_shows_in_the_exit_code(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?")

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 139)


@EVERY_WAY
async def test_a_task_out_of_time_is_terminated_and_its_output_kept(caller: Caller) -> None:
    script = "trap 'echo got TERM; exit 7' TERM; echo began; while :; do sleep 0.1; done"

    answer = await caller.run("sh", "-c", script, timeout_seconds=1)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 7)
    assert answer.stdout == b"began\ngot TERM\n"


@EVERY_WAY
async def test_a_task_that_ignores_sigterm_is_killed(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "trap '' TERM; sleep 60", timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 137)


@THREE_WAYS
async def test_a_task_out_of_time_has_the_signal_in_its_exit_code(caller: Caller) -> None:
    answer = await caller.run("sleep", "60", timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", 143)


@THREE_WAYS
@pytest.mark.parametrize(
    ("trap", "exit_code", "stdout"),
    [("echo got TERM; exit 7", 7, b"got TERM\n"), ("", 137, b"")],
    ids=["has a last word", "ignores it"],
)
async def test_a_stopped_task_is_terminated_in_time_all_the_same(
    caller: Caller, trap: str, exit_code: int, stdout: bytes
) -> None:
    script = f"trap '{trap}' TERM; kill -STOP $$; sleep 60"

    answer = await caller.run("sh", "-c", script, timeout_seconds=0.5)

    assert outcome(answer) == ("EXECUTOR_ERROR", "timed_out", exit_code)
    assert answer.stdout == stdout


@EVERY_WAY_ON_DEMAND
async def test_a_task_out_of_memory_is_told_from_one_that_was_killed(
    caller: Caller, way: Way
) -> None:
    little = {"memory_bytes": 16_777_216}
    hungry = await caller.run("sh", "-c", "exec tail /dev/zero", resources=little)
    killed = await caller.run("sh", "-c", "sh -c 'kill -KILL $$'; exit $?", resources=little)
    killed_itself = await caller.run("sh", "-c", "kill -KILL $$; exit 137", resources=little)

    # The engine's own flag comes through another process, and now and then after the exit.
    told = {"oom_killed", "exited"} if way is Way.WITHOUT_INIT else {"oom_killed"}
    assert outcome(hungry)[1] in told
    assert outcome(hungry)[2] == 137
    assert outcome(killed) == ("EXECUTOR_ERROR", "exited", 137)
    assert outcome(killed_itself) == ("EXECUTOR_ERROR", "exited", 137)


@THREE_WAYS_ON_DEMAND
async def test_a_child_out_of_memory_does_not_make_its_parent_so(caller: Caller) -> None:
    script = "tail /dev/zero; echo $?; exit 137"

    answer = await caller.run("sh", "-c", script, resources={"memory_bytes": 16_777_216})

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 137)
    assert answer.stdout == b"137\n"


@EVERY_WAY
async def test_a_background_child_that_holds_stdout_delays_nothing(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "sleep 600 & echo done")

    assert outcome(answer) == ("COMPLETE", "exited", 0)
    assert answer.stdout == b"done\n"


@THREE_WAYS
async def test_a_task_cannot_look_into_its_init(caller: Caller) -> None:
    script = """
        for file in environ mem maps auxv fd/0 fd/1; do
            head -c 1 /proc/1/$file > /tmp/out && echo "/proc/1/$file was read"
        done
        tr '\\0' ' ' < /proc/1/cmdline
    """
    answer = await caller.run("sh", "-c", script, user="0")

    assert re.fullmatch(rb"/\.ecs-[0-9a-f]{12}/init ", answer.stdout), answer.stdout
    assert answer.stderr.count(b"Permission denied") == 6


@EVERY_WAY
async def test_a_task_that_closes_its_output_runs_on(caller: Caller) -> None:
    answer = await caller.run("sh", "-c", "exec >&- 2>&-; sleep 1; exit 5")

    assert outcome(answer) == ("EXECUTOR_ERROR", "exited", 5)


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


@ways(Way.COLD, Way.WITHOUT_INIT)
async def test_an_engine_behind_tls_runs_tasks_too(
    ecservice: StartService, tls_engine: TlsEngine, way: Way
) -> None:
    service = await ecservice(
        probe=tls_engine.probe,
        DOCKER_HOST=tls_engine.url,
        DOCKER_TLS_VERIFY="1",
        DOCKER_CERT_PATH=str(tls_engine.certificates),
        ECS_TASK_NETWORK="none",
        **environment(way),
    )
    data = bytes(index % 251 for index in range(300_000))
    async with calling(service.url) as caller:
        stdin = base64.b64encode(data).decode()
        answer = await caller.run("cat", stdin=stdin)
        unread = await caller.run("true", stdin=stdin)
        health = await caller.get("/v1.1/_health?quick=false")

    assert answer.stdout == data
    assert outcome(unread) == ("COMPLETE", "exited", 0)
    assert health.document["status"] == "green"


async def test_the_same_engine_refuses_a_service_without_a_certificate(
    ecservice: StartService, tls_engine: TlsEngine
) -> None:
    service = await ecservice(ready=False, DOCKER_HOST=tls_engine.url)
    await eventually(lambda: any(line["event"] == "no engine" for line in service.log_lines()), 20)
    async with calling(service.url) as caller:
        answer = await caller.run("true")

    assert (answer.status, answer.document["code"]) in {
        (502, "engine_unreachable"),
        (502, "engine_error"),
    }
