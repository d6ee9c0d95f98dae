"""A rendering that Debian's own kernel boots: made from nothing, rebooted, stopped, cut off.

The tests are one node's life, in this order; each begins with what the one before has left.
"""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.documents import section
from tests.vm.machine import HOST, RESOLVER
from tests.vm.node import (
    CONTAINERS,
    ROOT,
    START_TIMEOUT_SECONDS,
    Node,
    answer_of,
    first_boot,
)
from tests.waiting import wait_until

UNITS = (
    "ecs.target", "ecs-firewall.service", "ecs-networks.service", "ecs-images.service",
    "ecs-task-images.service", "ecs-check.timer", *(f"ecs-{name}.service" for name in CONTAINERS),
)  # fmt: skip
METADATA = "169.254.169.254"
MAKE_METADATA = f"""
ip netns add cloud
ip link add cloud0 type veth peer name eth0 netns cloud
ip addr add 169.254.169.253/30 dev cloud0
ip link set cloud0 up
ip -n cloud addr add {METADATA}/30 dev eth0
ip -n cloud link set eth0 up
systemd-run --quiet --unit=cloud ip netns exec cloud python3 -m http.server 80
"""
"""Another machine beside the node, as a cloud's metadata service is."""
LONG_TASK_SECONDS = 30
"""Longer than a node that emulates takes to begin its stop, and shorter than its drain."""


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    disk = Path(os.environ["BOOT_NODE_DISK"])
    with first_boot(disk, os.environ["BOOT_NODE_FIREWALL"]) as booted:
        yield booted
        if request.session.testsfailed:
            print(booted.machine.story())


def assert_every_unit_is_there(node: Node) -> None:
    for unit in UNITS:
        wait_until(partial(node.is_active, unit), START_TIMEOUT_SECONDS)
    assert node.machine.run("systemctl", "--failed", "--quiet", "--plain") == ""


def assert_a_task_runs(node: Node) -> None:
    answer = node.task("echo hello; echo oops >&2; exit 3")

    assert (answer["exitCode"], answer["stdout"], answer["stderr"]) == (3, "hello\n", "oops\n")


def assert_it_comes_back(node: Node, former_boot: str) -> None:
    node.machine.wait_for_ssh(former_boot)
    node.wait_until_it_serves()
    assert_every_unit_is_there(node)
    loaded = int(node.property("ecs-firewall.service", "ActiveEnterTimestampMonotonic"))
    for later in ("systemd-networkd.service", "docker.service"):
        assert 0 < loaded < int(node.property(later, "InactiveExitTimestampMonotonic")), later
    assert "ordering cycle" not in node.machine.run("journalctl", "--boot", "--no-pager")
    wait_until(lambda: node.tasks() == [], START_TIMEOUT_SECONDS)
    assert_a_task_runs(node)


@contextmanager
def running_task(node: Node, script: str) -> Iterator["subprocess.Popen[str]"]:
    """One that has begun, and is the only one."""
    wait_until(lambda: node.tasks() == [], START_TIMEOUT_SECONDS)
    with node.begin(script) as task:
        try:
            wait_until(lambda: node.tasks() != [], START_TIMEOUT_SECONDS)
            yield task
        finally:
            task.kill()


def test_cloud_init_makes_a_node_of_debian(node: Node) -> None:
    assert "Debian" in node.machine.run("uname", "--kernel-version")
    assert node.machine.run("hostname") == "ecs-1\n"
    assert_every_unit_is_there(node)
    assert node.machine.run("docker", "info", "--format={{.CgroupVersion}}") == "2\n"


def test_its_operator_finds_nothing_wrong(node: Node) -> None:
    script = section(ROOT / "docs/operations.md", "Check")[0]
    programs = node.directory / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\nshift\nPATH={os.environ["PATH"]}\nexec {" ".join(node.machine.ssh())} "$@"\n'
    )
    (programs / "ssh").chmod(0o755)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=node.directory,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done
    assert re.search(r"^ok +firewall ", done.stdout, re.MULTILINE)
    assert re.search(r"^ok +cgroups +version 2", done.stdout, re.MULTILINE)


def test_a_client_outside_runs_a_task_with_its_key_alone(node: Node) -> None:
    assert_a_task_runs(node)
    stranger = subprocess.run(
        [*node.curl("/v1.1/_noop"), "--user", "nobody:nothing"], capture_output=True, check=False
    )
    assert b'"status": 401' in stranger.stdout, stranger


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_kernel_holds_a_container_to_its_limits(name: str, node: Node) -> None:
    found = node.inspect(f"ecs-{name}")
    host = found["HostConfig"]

    assert limits(node, found["State"]["Pid"]) == {
        "memory.max": str(host["Memory"]),
        "memory.swap.max": "0",
        "cpu.max": f"{host['NanoCpus'] // 10_000} 100000",
        "pids.max": str(host["PidsLimit"]),
    }


def limits(node: Node, pid: int) -> dict[str, str]:
    """What the control group of a process says, of version 2."""
    group = node.machine.run("cat", f"/proc/{pid}/cgroup").strip().removeprefix("0::")
    names = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
    paths = [f"/sys/fs/cgroup{group}/{name}" for name in names]
    return dict(zip(names, node.machine.run("cat", *paths).splitlines(), strict=True))


def test_the_kernel_holds_a_task_to_its_limits(node: Node) -> None:
    resources = {"memory_bytes": 64 * 1024**2, "cpus": 0.5, "pids": 20}
    shown = node.task(
        "cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.max pids.max", resources=resources
    )
    killed = node.task("tail /dev/zero", resources=resources)
    # Of this one only a child is killed.
    survived = node.task("tail /dev/zero & wait; echo alive", resources=resources)

    # One process more is the init.
    assert shown["stdout"].splitlines() == [str(64 * 1024**2), "0", "50000 100000", "21"]
    assert killed["outcome"] == "oom_killed"
    assert (survived["outcome"], survived["stdout"]) == ("exited", "alive\n")


@contextmanager
def this_machines_server() -> Iterator[int]:
    """A server on this machine's loopback, which the virtual one reaches: its port."""
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_task_reaches_its_resolver_and_neither_host_nor_metadata_nor_others(node: Node) -> None:
    node.machine.run("sh", "-ec", MAKE_METADATA)
    service = node.inspect("ecs-services")["NetworkSettings"]["Networks"]["ecs-front"]["IPAddress"]
    with (
        this_machines_server() as port,
        running_task(node, "while true; do nc -l -p 8000 </dev/null; done"),
    ):
        [other] = node.tasks()
        show = ("docker", "exec", other, "ip", "-o", "-4", "addr", "show", "eth0")
        address = node.machine.run(*show).split()[3].partition("/")[0]
        targets = [
            ("10.0.2.15", 22), ("172.17.0.1", 22), (HOST, port), (METADATA, 80), (service, 8448),
            (address, 8000),
        ]  # fmt: skip
        for target in targets:
            wait_until(partial(is_reached, node, *target), START_TIMEOUT_SECONDS)
        tried = node.task(
            "".join(
                f"nc -w 20 {host} {port} </dev/null && echo reached {host}; "
                for host, port in targets
            )
        )

    assert tried["stdout"] == ""
    # By the firewall, not by a silence.
    assert tried["stderr"].count("No route to host") == len(targets), tried["stderr"]
    asked = node.task(f"nslookup deb.debian.org {RESOLVER}")
    assert asked["exitCode"] == 0, asked
    node.machine.run("systemctl", "stop", "cloud")


def is_reached(node: Node, host: str, port: int) -> bool:
    """Whether the virtual machine itself gets there."""
    return node.machine.succeeds("timeout", "20", "bash", "-c", f"</dev/tcp/{host}/{port}")


def shut_down_amid_a_task(node: Node, verb: str) -> None:
    """See that the node answers the task before it goes down."""
    with running_task(node, f"sleep {LONG_TASK_SECONDS}; echo drained") as task:
        node.machine.shut_down(verb)
        assert task.poll() is None
        assert answer_of(task)["stdout"] == "drained\n"


def test_a_reboot_drains_and_everything_comes_back_behind_the_firewall(node: Node) -> None:
    boot = node.machine.boot()
    shut_down_amid_a_task(node, "reboot")

    assert_it_comes_back(node, boot)


def test_a_power_off_drains_and_leaves_nothing_of_tasks(node: Node) -> None:
    boot = node.machine.boot()
    shut_down_amid_a_task(node, "poweroff")
    node.machine.wait_until_off()

    left = node.containers_while_off()
    # A stop deletes for 15 seconds, which do not always suffice an emulated engine.
    assert [name for name in left if not name.startswith("/ecs-sandbox-")] == []
    node.machine.power_on()
    assert_it_comes_back(node, boot)
    wait_until(partial(are_gone, node, left), START_TIMEOUT_SECONDS)


def are_gone(node: Node, names: list[str]) -> bool:
    found = node.machine.run("docker", "ps", "--all", "--format=/{{.Names}}").split()
    return not set(names) & set(found)


def test_a_lost_power_leaves_a_container_that_the_next_boot_deletes(node: Node) -> None:
    boot = node.machine.boot()
    with running_task(node, "sleep 600"):
        node.machine.run("sync")
        node.machine.lose_power()
        node.machine.power_on()

    assert_it_comes_back(node, boot)
