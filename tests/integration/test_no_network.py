"""A task without a network is alone with its loopback, whoever made the namespace for it."""

from pathlib import Path

import docker
import pytest

from tests import images
from tests.network import bridge_gateway
from tests.ways import WAYS_WITHOUT_NETWORK, Way, WayCaller

pytestmark = WAYS_WITHOUT_NETWORK
FIELDS = pytest.mark.parametrize("fields", [{"network": "none"}, {"profile": "strict"}], ids=str)
HOSTS_NAMESPACE = str(Path("/proc/self/ns/net").readlink())
SERVE_AND_ASK = """
nc -l -p 8000 -e echo reached &
until nc localhost 8000 2>/dev/null; do kill -0 $! || exit 1; done
"""


@FIELDS
async def test_it_has_a_namespace_of_its_own_with_loopback_alone(
    caller: WayCaller, fields: dict[str, str]
) -> None:
    script = "readlink /proc/self/ns/net; ls /sys/class/net; route -n | sed 1,2d; cat /proc/net/dev"

    answer = await caller.run("sh", "-c", script, **fields)

    namespace, *rest = answer.stdout.decode().splitlines()
    assert namespace.startswith("net:")
    assert namespace != HOSTS_NAMESPACE
    assert rest[0] == "lo"
    # No route, and no packet of anybody else's.
    assert rest[3].split() == ["lo:", *16 * ["0"]]
    assert len(rest) == 4


@FIELDS
async def test_what_it_serves_itself_it_reaches_as_localhost(
    caller: WayCaller, fields: dict[str, str]
) -> None:
    answer = await caller.run("sh", "-c", SERVE_AND_ASK, **fields)

    assert (answer.document["exitCode"], answer.stdout) == (0, b"reached\n")


@FIELDS
async def test_it_reaches_nothing_else(caller: WayCaller, fields: dict[str, str]) -> None:
    client = docker.from_env()
    try:
        gateway = bridge_gateway(client.networks.get("bridge").attrs["IPAM"])
    finally:
        client.close()

    answer = await caller.run("nc", "-w", "2", gateway, "22", **fields)

    assert answer.document["exitCode"] == 1
    assert b"Network is unreachable" in answer.stderr


@FIELDS
async def test_its_hosts_file_is_the_engines_and_its_name_its_own(
    caller: WayCaller, fields: dict[str, str]
) -> None:
    client = docker.from_env()
    try:
        hosts: bytes = client.containers.run(
            images.BUSYBOX, ["cat", "/etc/hosts"], network_mode="none", remove=True
        )
    finally:
        client.close()

    answer = await caller.run(
        "sh", "-c", 'test "$(cat /etc/hostname)" = "$(hostname)" && cat /etc/hosts', **fields
    )

    assert (answer.document["exitCode"], answer.stdout) == (0, hosts)


async def test_with_the_init_its_hosts_file_is_nobodys_to_change(
    caller: WayCaller, way: Way
) -> None:
    changes = "echo 127.0.0.1 other >> /etc/hosts && grep -c other /etc/hosts"

    answer = await caller.run("sh", "-c", changes, network="none")

    if way is Way.WITHOUT_INIT:  # then it is the engine's own, and the task's
        assert answer.stdout == b"1\n"
    else:
        assert answer.document["exitCode"] == 1
        assert b"Read-only file system" in answer.stderr
