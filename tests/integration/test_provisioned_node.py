"""A Debian that cloud-init made a node of: what is on it, what runs on it, how it stops.

Real cloud-init, systemd and engine; no virtual machine, no network but its own loopback.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecs.ecsctl.provisioning import cloud_init
from ecs.ecsctl.provisioning.deployment import load
from ecs.ecsctl.provisioning.model import Node, Platform, build
from tests.deployments import everything, make_key, write, write_named_files
from tests.front_door import docker, run_script
from tests.images import BUSYBOX
from tests.node.debian import debian_root
from tests.node.machine import Machine, booted
from tests.waiting import wait_until

API, DOCS = "ecs.example.org", "docs.ecs.example.org"
PORT = 8443
IMAGES = ("ecs/services:latest", "ecs/nginx:latest", "ecs/apidocs:latest")
REGISTRY = "127.0.0.1:5000"
PULLED = f"{REGISTRY}/task:1"
START_TIMEOUT_SECONDS = 60
CONTAINERS = {"services": "ecs-services", "nginx": "ecs-nginx", "apidocs": "ecs-apidocs"}
CHECK = """
import sys
from pathlib import Path
from ecs.ecsctl.provisioning.deployment import load
from ecs.ecsctl.provisioning.loaded_firewall import loaded_firewall
print(loaded_firewall(load(Path(sys.argv[1])).firewall))
"""


class ProvisionedNode:
    """The machine, the model that it must be like, and a client's key."""

    def __init__(self, machine: Machine, model: Node, deployment: Path, key: str) -> None:
        self.machine = machine
        self.model = model
        self.document: dict[str, Any] = yaml.safe_load(deployment.read_text())
        self._deployment = deployment
        self._key = key

    def curl(self, host: str, path: str, *arguments: str) -> list[str]:
        """The command that asks its front door, as its clients would."""
        return self.machine.command(
            "curl", "--silent", "--show-error", "--fail", "--max-time", "60",
            "--cacert", "/root/ca.pem", "--user", self._key,
            "--resolve", f"{host}:{PORT}:127.0.0.1", f"https://{host}:{PORT}{path}", *arguments,
        )  # fmt: skip

    def answers(self, host: str, path: str) -> bool:
        return (
            subprocess.run(self.curl(host, path), capture_output=True, check=False).returncode == 0
        )

    def task(self, *cmd: str) -> "subprocess.Popen[str]":
        """Begin a task."""
        body = json.dumps({"docker_image": BUSYBOX, "cmd": cmd})
        return subprocess.Popen(
            self.curl(API, "/v1.1/tasks", "--header", "Content-Type: application/json", "-d", body),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def inspect(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.machine.run("docker", "inspect", name))[0]
        return document

    def firewall_problems(self) -> str:
        """What is missing of its firewall, by this checkout's own check in its network."""
        return subprocess.run(
            ["nsenter", f"--target={self.machine.init}", "--net", sys.executable, "-c", CHECK,
             self._deployment],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def property(self, unit: str, name: str) -> str:
        return self.machine.run("systemctl", "show", f"--property={name}", "--value", unit).strip()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvisionedNode]:
    directory = tmp_path_factory.mktemp("node")
    authority = write_named_files(directory)
    document = everything()
    document["firewall"]["backend"] = "nftables"
    document["images"]["tasks"] = [BUSYBOX, PULLED]
    path = write(directory, document)
    model = build(load(path), 2, Platform.DEBIAN)
    if not all(docker("image", "ls", "-q", image) for image in IMAGES):
        run_script("build-images", {})
    work = tmp_path_factory.mktemp("machine")
    with booted(debian_root(), cloud_init.render(model), work) as machine, ExitStack() as stack:
        machine.path("/root/ca.pem").write_bytes(authority.read_bytes())
        assert "status: done" in machine.run("cloud-init", "status", "--wait")
        _load_images(machine, directory / "images.tar")
        stack.enter_context(registry_with_an_image(machine, directory))
        made = ProvisionedNode(machine, model, path, make_key_on(machine, directory))
        wait_until(lambda: made.answers(API, "/v1.1/_health?quick=false"), START_TIMEOUT_SECONDS)
        wait_until(lambda: made.answers(DOCS, "/"), START_TIMEOUT_SECONDS)
        yield made


def make_key_on(machine: Machine, directory: Path) -> str:
    """A key whose secret is known: made beside the file, which is then the node's."""
    key = make_key(directory)
    machine.path("/etc/ecs/keys/htpasswd").write_bytes((directory / "keys/htpasswd").read_bytes())
    return key


def _load_images(machine: Machine, archive: Path) -> None:
    docker("save", "--output", str(archive), *IMAGES, BUSYBOX)
    machine.run("docker", "load", data=archive)
    archive.unlink()


@contextmanager
def registry_with_an_image(machine: Machine, directory: Path) -> Iterator[None]:
    """A registry in its network, which alone has ``PULLED``."""
    (directory / "registry.json").write_text(  # JSON is YAML
        json.dumps(
            {
                "version": "0.1",
                "storage": {"filesystem": {"rootdirectory": str(directory / "registry")}},
                "http": {"addr": REGISTRY},
            }
        )
    )
    with subprocess.Popen(
        ["nsenter", f"--target={machine.init}", "--net",
         "docker-registry", "serve", directory / "registry.json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as serving:  # fmt: skip
        try:
            wait_until(lambda: machine.succeeds("curl", "-s", REGISTRY), START_TIMEOUT_SECONDS)
            machine.run("docker", "tag", BUSYBOX, PULLED)
            machine.run("docker", "push", PULLED)
            machine.run("docker", "rmi", PULLED)
            machine.run("systemctl", "restart", "--no-block", "ecs-task-images.service")
            yield
        finally:
            serving.terminate()


def test_its_files_are_the_models(node: ProvisionedNode) -> None:
    for file in node.model.files:
        found = node.machine.path(file.path)
        if file.path != "/etc/ecs/keys/htpasswd":  # that has the key that is used here
            assert found.read_text() == file.content
        status = found.stat()
        assert (oct(status.st_mode & 0o7777), status.st_uid, status.st_gid) == (
            oct(file.mode),
            0,
            file.group_id,
        )
    for unit in node.model.units:
        assert node.machine.path(f"/etc/systemd/system/{unit.name}").read_text() == unit.content


def test_it_has_its_name_its_packages_its_operators_key_and_its_time_servers(
    node: ProvisionedNode,
) -> None:
    assert node.machine.run("hostname").strip() == "node-2"
    assert node.inspect("ecs-services")["Config"]["Env"].count("ECS_INSTANCE=node-2") == 1
    node.machine.run("dpkg", "--verify", *node.model.packages, check=False)
    assert node.machine.path("/home/debian/.ssh/authorized_keys").read_text().splitlines() == list(
        node.model.ssh_authorized_keys
    )
    assert (
        "server ntp.example.org iburst" in node.machine.path("/etc/chrony/chrony.conf").read_text()
    )


def test_every_unit_runs_and_comes_again_after_a_boot(node: ProvisionedNode) -> None:
    for unit in node.model.units:
        wait_until(
            lambda name=unit.name: node.property(name, "ActiveState") == "active",
            START_TIMEOUT_SECONDS,
        )
        enabled = node.property(unit.name, "UnitFileState") == "enabled"
        assert enabled == unit.is_enabled
    assert node.machine.run("systemctl", "--failed", "--quiet", "--plain") == ""


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_its_limits_and_no_more_rights_than_it_needs(
    name: str, node: ProvisionedNode
) -> None:
    found = node.inspect(CONTAINERS[name])
    wanted = node.document["resources"][name]
    host = found["HostConfig"]

    assert host["Memory"] == host["MemorySwap"] == wanted["memory_bytes"]
    assert host["NanoCpus"] == wanted["cpus"] * 1e9
    assert host["PidsLimit"] == wanted["pids"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]
    has_socket = any("docker.sock" in bind for bind in host["Binds"] or [])
    assert has_socket == (name == "services")
    assert bool(host["PortBindings"]) == (name == "nginx")


def test_the_engine_listens_on_its_unix_socket_alone(node: ProvisionedNode) -> None:
    listening = node.machine.run("ss", "--listening", "--tcp", "--udp", "--processes")

    assert "dockerd" not in listening
    assert node.machine.run("docker", "info", "--format", "{{.LiveRestoreEnabled}}") == "false\n"
    bridge = json.loads(node.machine.run("docker", "network", "inspect", "bridge"))[0]
    assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_the_images_of_tasks_are_pulled(node: ProvisionedNode) -> None:
    wait_until(
        lambda: node.property("ecs-task-images.service", "ActiveState") == "active",
        START_TIMEOUT_SECONDS,
    )

    assert node.inspect(PULLED)["RepoTags"].count(PULLED) == 1


def test_a_task_runs_behind_the_firewall(node: ProvisionedNode) -> None:
    assert node.firewall_problems() == "[]\n"
    front = node.document["networks"]["front"].replace(".0/28", ".2")

    task = node.task("sh", "-c", f"id -u; nc -w 2 {front} 8448 </dev/null && echo reached; exit 7")
    answer = json.loads(task.communicate()[0])

    assert (answer["exitCode"], answer["stdout"]) == (7, "NjU1MzQK")  # 65534: strict, as asked


def test_a_container_that_dies_is_started_again(node: ProvisionedNode) -> None:
    before = node.inspect("ecs-apidocs")["Id"]

    node.machine.run("docker", "kill", "ecs-apidocs")

    wait_until(lambda: node.answers(DOCS, "/"), START_TIMEOUT_SECONDS)
    assert node.inspect("ecs-apidocs")["Id"] != before
    assert node.property("ecs-apidocs.service", "NRestarts") == "1"


def test_a_renewed_certificate_is_taken_without_a_stop(node: ProvisionedNode) -> None:
    before = node.inspect("ecs-nginx")["Id"]

    node.machine.run("systemctl", "reload", "ecs-nginx.service")

    assert node.inspect("ecs-nginx")["Id"] == before
    assert node.answers(API, "/v1.1/_noop")


def test_an_engine_that_is_restarted_takes_everything_with_it(node: ProvisionedNode) -> None:
    before = node.inspect("ecs-nginx")["Id"]

    node.machine.run("systemctl", "restart", "docker.service")

    wait_until(lambda: node.answers(API, "/v1.1/_health?quick=false"), START_TIMEOUT_SECONDS)
    assert node.inspect("ecs-nginx")["Id"] != before
    assert node.property("ecs-nginx.service", "NRestarts") == "0"  # stopped and started, in order


def test_stopping_drains_and_leaves_nothing_and_starting_serves_again(
    node: ProvisionedNode,
) -> None:
    task = node.task("sh", "-c", "sleep 4; echo drained")
    wait_until(
        lambda: node.machine.run("docker", "ps", "--quiet", "--filter", "label=ecs.instance") != "",
        START_TIMEOUT_SECONDS,
    )

    # The networks are what stops last: for those the command waits.
    node.machine.run("systemctl", "stop", "ecs.target", "ecs-networks.service")

    answer = json.loads(task.communicate()[0])
    assert (answer["exitCode"], answer["outcome"]) == (0, "exited")
    assert node.machine.run("docker", "ps", "--all", "--quiet") == ""
    for name in CONTAINERS:
        assert node.property(f"ecs-{name}.service", "Result") == "success"
    assert "ecs-" not in node.machine.run("docker", "network", "ls")
    assert node.machine.run("systemctl", "--failed", "--quiet", "--plain") == ""

    node.machine.run("systemctl", "start", "ecs.target")

    wait_until(lambda: node.answers(API, "/v1.1/_health?quick=false"), START_TIMEOUT_SECONDS)
