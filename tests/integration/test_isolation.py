"""What a task's container is made of, and what a task cannot do in it."""

import asyncio
import re
import time

from tests import images
from tests.client import Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.services import ECService
from tests.waiting import eventually
from tests.ways import (
    EVERY_WAY_ON_DEMAND,
    THREE_WAYS,
    WAYS_WITHOUT_NETWORK,
    Way,
    WayCaller,
    ways,
)


@EVERY_WAY_ON_DEMAND
async def test_the_container_is_what_the_request_and_the_profile_say(
    caller: WayCaller, service: ECService, engine: EngineProbe, way: Way
) -> None:
    resources = {"memory_bytes": 33_554_432, "cpus": 0.5, "pids": 17}
    await caller.prepare(resources=resources)
    await eventually(lambda: not engine.tasks(service.instance), 20)
    asking = asyncio.create_task(caller.run("sleep", "1", resources=resources))
    (name,) = await eventually(lambda: engine.tasks(service.instance), 20)
    container = await eventually(lambda: engine.inspected(name), 20)
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
    container = await eventually(lambda: engine.inspected(name), 20)
    await asking

    labels = container["Config"]["Labels"]
    assert labels["team"] == "blue"
    assert time.time() < int(labels["ecs.deadline"]) < time.time() + 200


@THREE_WAYS
async def test_limits_hold_inside_the_container(caller: Caller) -> None:
    script = """
        cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup) 2>/dev/null || cd /sys/fs/cgroup
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
