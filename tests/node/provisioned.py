"""A Debian that cloud-init made a node of, with its images, a registry, and a client's key."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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
NUMBER = 2
PORT = 8443
BUILT = {name: f"ecs/{name}:latest" for name in ("services", "nginx", "apidocs")}
REGISTRY = "127.0.0.1:5000"
PULLED = f"{REGISTRY}/task:1"
OLD_TAG, NEW_TAG = "0.1.0", "0.2.0"
"""Those of docs/operations.md."""
START_TIMEOUT_SECONDS = 60
CHECK = """
import sys
from pathlib import Path
from ecs.ecsctl.provisioning.deployment import load
from ecs.ecsctl.provisioning.loaded_firewall import loaded_firewall, rendered
print(loaded_firewall(rendered(load(Path(sys.argv[1])).firewall)))
"""


def image(name: str, tag: str) -> str:
    """The node's name of an image."""
    return f"{REGISTRY}/ecs/{name}:{tag}"


class ProvisionedNode:
    """The machine, the model that it must be like, and a client's ``key:secret``."""

    def __init__(self, machine: Machine, model: Node, deployment: Path, key: str) -> None:
        self.machine = machine
        self.model = model
        self.document: dict[str, Any] = yaml.safe_load(deployment.read_text())
        self.deployment = deployment
        self.key = key

    @property
    def service(self) -> str:
        """Where the service listens, seen from the node."""
        front: str = self.document["networks"]["front"]
        return f"{front.replace('.0/28', '.2')}:8448"

    def curl(self, host: str, path: str, *arguments: str, key: str = "") -> list[str]:
        """The command that asks its front door, as its clients would."""
        return self.machine.command(
            "curl", "--silent", "--show-error", "--fail", "--max-time", "60",
            "--cacert", "/root/ca.pem", "--user", key or self.key,
            "--resolve", f"{host}:{PORT}:127.0.0.1", f"https://{host}:{PORT}{path}", *arguments,
        )  # fmt: skip

    def answers(self, host: str, path: str, key: str = "") -> bool:
        command = self.curl(host, path, key=key)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

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
             self.deployment],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    def property(self, unit: str, name: str) -> str:
        return self.machine.run("systemctl", "show", f"--property={name}", "--value", unit).strip()


@contextmanager
def provisioned(directory: Path, work: Path) -> Iterator[ProvisionedNode]:
    """Boot one from a deployment file in ``directory`` and wait until it serves."""
    authority = write_named_files(directory)
    document = everything()
    document["firewall"]["backend"] = "nftables"
    document["images"] = {name: image(name, OLD_TAG) for name in BUILT} | {
        "tasks": [BUSYBOX, PULLED]
    }
    path = write(directory, document)
    model = build(load(path), NUMBER, Platform.DEBIAN)
    if not all(docker("image", "ls", "-q", name) for name in BUILT.values()):
        run_script("build-images", {})
    with booted(debian_root(), cloud_init.render(model), work) as machine, ExitStack() as stack:
        machine.path("/root/ca.pem").write_bytes(authority.read_bytes())
        assert "status: done" in machine.run("cloud-init", "status", "--wait")
        _load_images(machine, directory / "images.tar")
        stack.enter_context(_registry(machine, directory))
        made = ProvisionedNode(machine, model, path, _make_key_on(machine, directory))
        wait_until(lambda: made.answers(API, "/v1.1/_health?quick=false"), START_TIMEOUT_SECONDS)
        wait_until(lambda: made.answers(DOCS, "/"), START_TIMEOUT_SECONDS)
        yield made


def _make_key_on(machine: Machine, directory: Path) -> str:
    """A key whose secret is known: made beside the file, which is then the node's."""
    key = make_key(directory)
    machine.path("/etc/ecs/keys/htpasswd").write_bytes((directory / "keys/htpasswd").read_bytes())
    return key


def _load_images(machine: Machine, archive: Path) -> None:
    docker("save", "--output", str(archive), *BUILT.values(), BUSYBOX)
    machine.run("docker", "load", data=archive)
    archive.unlink()
    for name, built in BUILT.items():
        machine.run("docker", "tag", built, image(name, OLD_TAG))


@contextmanager
def _registry(machine: Machine, directory: Path) -> Iterator[None]:
    """A registry in its network, which alone has ``PULLED`` and the images of ``NEW_TAG``."""
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
            _bring(machine, BUSYBOX, PULLED)
            for name, built in BUILT.items():
                _bring(machine, built, image(name, NEW_TAG))
            machine.run("systemctl", "restart", "--no-block", "ecs-task-images.service")
            yield
        finally:
            serving.terminate()


def _bring(machine: Machine, existing: str, name: str) -> None:
    machine.run("docker", "tag", existing, name)
    machine.run("docker", "push", name)
    machine.run("docker", "rmi", name)
