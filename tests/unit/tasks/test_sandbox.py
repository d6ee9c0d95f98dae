"""What a sandbox's container is created from."""

import dataclasses

from ecs.tasks.sandbox import sandbox_body
from tests.unit import builders


def test_a_sandbox_may_do_nothing_and_reaches_nothing() -> None:
    policy = dataclasses.replace(builders.sandbox_policy(), network="tasks")

    body = sandbox_body("sha256:0", policy)
    host = body["HostConfig"]

    assert body["User"] == "65534:65534"
    assert body["Labels"]["ecs.instance"] == "here"
    assert host["NetworkMode"] == "tasks"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Memory"] == host["MemorySwap"] == 16 * 2**20
    assert host["Sysctls"] == {
        "net.ipv4.tcp_max_tw_buckets": "0",
        "net.ipv4.tcp_no_metrics_save": "1",
        "net.ipv4.tcp_fastopen": "0",
    }
    assert not {"Binds", "Mounts", "Privileged", "PidMode", "IpcMode"} & set(host)
