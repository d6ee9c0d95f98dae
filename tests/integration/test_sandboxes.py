"""A task's network is its own whichever way it started, and a sandbox keeps no trace of a task."""

import asyncio
import ipaddress
import random
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests import images
from tests.client import Answer, Caller, calling
from tests.conftest import StartService
from tests.engines import EngineProbe
from tests.network import bridge_gateway
from tests.services import ECService
from tests.waiting import eventually
from tests.ways import THREE_WAYS, Way, WayCaller, calling_on, environment, ways

PATIENT_SECONDS = 30
MARK = "left-by-an-earlier-task"

# Everything that a task can see of its surroundings and that is not its container's own name.
SURROUNDINGS = """
grep -E 'Cap|NoNewPrivs|Seccomp' /proc/self/status
ulimit -n; ulimit -c
ls /sys/class/net; cat /proc/net/dev_mcast | wc -l
route -n | sed 1,2d
cat /etc/resolv.conf
sed '/\\t.*[0-9a-f]\\{12\\}$/d' /etc/hosts
stat -c '%n %a %u %g' /etc/hosts /etc/hostname /etc/resolv.conf
readlink /proc/self/ns/ipc | sed 's/[0-9]//g'
set -- /proc/[0-9]*; echo $#
cat /proc/1/comm
cat /proc/sys/net/ipv4/ip_unprivileged_port_start
touch /proc/sys/net/ipv4/ip_forward 2>&1
"""


async def sandboxed(caller: Caller, *cmd: str, **fields: object) -> Answer:
    """Run a command, again if it had to begin before a sandbox was ready."""
    for _ in range(100):
        answer = await caller.run(*cmd, **fields)
        assert answer.status == 201, answer.document
        if answer.document["start"] == "sandboxed":
            return answer
    raise AssertionError("no task was ever started in a sandbox")


async def name_of_sandbox(caller: Caller) -> str:
    """The host name of the sandbox that the next task is in: the beginning of its id."""
    answer = await sandboxed(caller, "hostname")
    assert answer.document["outcome"] == "exited"
    return answer.stdout.decode().strip()


@pytest.fixture
async def one(ecservice: StartService) -> AsyncIterator[Caller]:
    """A caller of a service with one sandbox at a time, which anybody may have again."""
    service = await ecservice(
        ECS_SANDBOXES="1", ECS_MIN_SANDBOXES="1", ECS_SANDBOX_REUSE="any", ECS_LOG_LEVEL="debug"
    )
    async with calling(service.url) as caller:
        yield caller


async def test_a_task_in_a_sandbox_sees_what_it_would_see_without(
    ecservice: StartService, one: Caller
) -> None:
    cold = await ecservice()
    async with calling(cold.url) as caller:
        without = await caller.run("sh", "-c", SURROUNDINGS)
    within = await sandboxed(one, "sh", "-c", SURROUNDINGS)

    assert (without.document["start"], within.document["start"]) == ("cold", "sandboxed")
    assert within.stdout.decode() == without.stdout.decode()
    assert b"nameserver" in within.stdout


@pytest.fixture
async def on_way(shared_ecservice: StartService, way: Way) -> AsyncIterator[WayCaller]:
    """A caller whose tasks all start the way of the test."""
    service = await shared_ecservice(**environment(way, {images.BUSYBOX: 1}))
    async with calling_on(way, service) as caller:
        yield caller


@ways(Way.WARM)
async def test_a_task_sees_what_it_would_see_if_it_started_cold(
    shared_ecservice: StartService, on_way: WayCaller
) -> None:
    cold = await shared_ecservice()
    async with calling(cold.url) as caller:
        expected = await caller.run("sh", "-c", SURROUNDINGS)
    within = await on_way.run("sh", "-c", SURROUNDINGS)

    assert within.stdout.decode() == expected.stdout.decode()
    assert b"nameserver" in within.stdout


@THREE_WAYS
async def test_a_task_has_a_host_name_that_leads_to_its_own_address(on_way: WayCaller) -> None:
    script = 'cat /etc/hostname; hostname; grep "$(hostname)" /etc/hosts; ip -4 -o addr show eth0'

    answer = await on_way.run("sh", "-c", script)

    from_file, from_kernel, entry, interface = answer.stdout.decode().splitlines()
    assert from_file == from_kernel
    assert entry.split()[0] == interface.split()[3].split("/")[0]


async def test_the_processes_of_a_sandbox_and_a_task_do_not_see_each_other(one: Caller) -> None:
    answer = await sandboxed(one, "sh", "-c", "cat /proc/[0-9]*/comm")

    assert b"sandbox" not in answer.stdout


@pytest.mark.parametrize("fields", [{"network": "none"}, {"profile": "strict"}])
async def test_a_task_without_a_network_is_in_no_sandbox(
    one: Caller, fields: dict[str, str]
) -> None:
    await name_of_sandbox(one)

    answer = await one.run("ls", "/sys/class/net", **fields)

    assert answer.document["start"] == "cold"
    assert answer.stdout == b"lo\n"


async def test_tasks_that_leave_nothing_have_the_same_sandbox_after_one_another(
    one: Caller,
) -> None:
    names = {await name_of_sandbox(one) for _ in range(3)}

    assert len(names) == 1


LEAVE_A_MARK = (
    f"echo 192.0.2.1 {MARK} >> /etc/hosts",
    f"echo '# {MARK}' > /etc/resolv.conf",
    "touch -d '2001-02-03 04:05:06' /etc/resolv.conf",
    f"echo {MARK} > /etc/hostname",
    "chmod 0 /etc/hostname",
)
LOOK = """
hostname
stat -c '%n %s %a %u %g' /etc/hosts /etc/hostname /etc/resolv.conf
date -r /etc/resolv.conf +%Y
cat /etc/hosts /etc/hostname /etc/resolv.conf
"""


async def test_what_a_root_task_makes_of_the_files_it_shares_no_later_task_sees(
    one: Caller,
) -> None:
    look = await sandboxed(one, "sh", "-c", LOOK)
    for change in LEAVE_A_MARK:
        name = look.stdout.decode().split()[0]
        marking = await sandboxed(one, "sh", "-c", f"hostname; {change}")
        later = await sandboxed(one, "sh", "-c", LOOK)
        later_name = later.stdout.decode().split()[0]

        assert marking.document["exitCode"] == 0, marking.stderr
        assert marking.stdout.decode().split() == [name], change
        assert later_name != name, change
        assert without_address(later, later_name) == without_address(look, name), change
        look = later


def without_address(look: Answer, name: str) -> str:
    """What a task saw, without what is its sandbox's own."""
    text = look.stdout.decode().replace(name, "the-sandbox")
    return re.sub(r"\S+(?=\tthe-sandbox)", "its-address", text)


# A connection within the task: most of the time one of its ends has to remember it afterwards.
TALK = "nc -l -p 7000 -e true & until nc 127.0.0.1 7000 < /dev/null; do sleep 0.1; done; wait"
REMEMBERED = "grep -c ' 06 ' /proc/net/tcp"


async def test_no_connection_is_remembered_after_its_end(
    ecservice: StartService, one: Caller
) -> None:
    cold = await ecservice()
    async with calling(cold.url) as caller:
        script = f"until {REMEMBERED}; do {TALK}; done > /dev/null; echo remembered"
        without = await caller.run("sh", "-c", script)
    name = await name_of_sandbox(one)

    script = f"hostname; for i in 1 2 3 4 5 6 7 8; do {TALK}; done; {REMEMBERED}"
    within = await sandboxed(one, "sh", "-c", script)
    later = await sandboxed(one, "sh", "-c", "hostname; cat /proc/net/tcp* | grep -v address")
    fast_open = await sandboxed(one, "cat", "/proc/sys/net/ipv4/tcp_fastopen")

    assert without.stdout == b"remembered\n"
    assert within.stdout.decode().split() == [name, "0"]
    assert later.stdout.decode().split() == [name]
    assert fast_open.stdout == b"0\n"


@contextmanager
def deaf_listener(address: str) -> Iterator[int]:
    """A port that takes a connection and never reads from it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((address, 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_a_sandbox_with_a_connection_that_will_not_end_serves_nobody_again(
    one: Caller, engine: EngineProbe
) -> None:
    gateway = bridge_gateway(engine.client.networks.get("bridge").attrs["IPAM"])
    with deaf_listener(gateway) as port:
        script = f"hostname; head -c 8000000 /dev/zero | nc {gateway} {port} & sleep 1; hostname"
        answer = await sandboxed(one, "sh", "-c", script)
        name = answer.stdout.decode().split()[0]
        later = await sandboxed(one, "sh", "-c", "hostname; sed 1d /proc/net/tcp")

    assert len(later.stdout.decode().splitlines()) == 1
    assert later.stdout.decode().strip() != name


@contextmanager
def network(engine: EngineProbe, *, icc: bool) -> Iterator[str]:
    """A network of the operator's own."""
    subnet = ipaddress.ip_network(f"198.18.{random.randrange(64, 256)}.0/24")
    created = engine.client.networks.create(
        f"ecs-test-{secrets.token_hex(4)}",
        driver="bridge",
        options={"com.docker.network.bridge.enable_icc": str(icc).lower()},
        ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=str(subnet))]),
    )
    try:
        yield created.name
    finally:
        created.remove()


@THREE_WAYS
@pytest.mark.parametrize("icc", [True, False])
async def test_tasks_reach_each_other_where_the_network_lets_them_and_nowhere_else(
    ecservice: StartService, engine: EngineProbe, way: Way, icc: bool
) -> None:
    with network(engine, icc=icc) as name:
        service = await ecservice(**environment(way, {images.BUSYBOX: 2}), ECS_TASK_NETWORK=name)
        async with calling_on(way, service) as caller:
            serving = asyncio.create_task(
                caller.run("sh", "-c", "echo reached | nc -l -p 7000", timeout_seconds=20)
            )
            await eventually(lambda: serving_address(engine, service), PATIENT_SECONDS)
            address = serving_address(engine, service)
            client = await caller.run("nc", "-w", "2", address, "7000")
            serving.cancel()
        await service.stop()

    assert client.stdout == (b"reached\n" if icc else b"")


def serving_address(engine: EngineProbe, service: ECService) -> str:
    """The address of the network in which one of the service's tasks listens on port 7000."""
    for name in engine.tasks(service.instance):
        container = engine.inspected(name)
        if container and listens(container["State"]["Pid"], 7000):
            mode = container["HostConfig"]["NetworkMode"]
            if mode.startswith("container:"):
                container = engine.client.api.inspect_container(mode.removeprefix("container:"))
            (attached,) = container["NetworkSettings"]["Networks"].values()
            address: str = attached["IPAddress"]
            return address
    return ""


def listens(pid: int, port: int) -> bool:
    """Whether somebody in the network of this process does."""
    if pid == 0:  # it has not started
        return False
    sockets = Path(f"/proc/{pid}/net/tcp6").read_text() + Path(f"/proc/{pid}/net/tcp").read_text()
    return bool(re.search(rf":{port:04X} 0+:0000 0A ", sockets))


async def test_on_a_network_of_the_operators_names_are_resolved_and_forgotten(
    ecservice: StartService, engine: EngineProbe
) -> None:
    # The network's own resolver is in the sandbox, and the kernel remembers who asked it.
    with network(engine, icc=False) as name:
        service = await ecservice(ECS_TASK_NETWORK=name, ECS_SANDBOXES="1", ECS_MIN_SANDBOXES="1")
        async with calling(service.url) as caller:
            quiet = await name_of_sandbox(caller)
            asking = await sandboxed(caller, "sh", "-c", "hostname; nslookup -type=a $(hostname)")
            later = await sandboxed(
                caller, "sh", "-c", "hostname; cat /proc/sys/net/netfilter/nf_conntrack_count"
            )
        await service.stop()

    assert asking.stdout.decode().startswith(f"{quiet}\n")
    assert f"Name:\t{quiet}" in asking.stdout.decode()
    assert later.stdout.decode().splitlines()[1:] == ["0"]
    assert later.stdout.decode().splitlines()[0] != quiet
