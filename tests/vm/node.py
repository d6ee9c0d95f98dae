"""A node that a virtual machine has become by the user data that `ecsctl render` printed."""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deployments import example, make_key, write, write_named_files
from tests.images import BUSYBOX
from tests.vm.machine import RESOLVER, VirtualMachine
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
API = "ecs.example.org"
HTTPS = 443
CONTAINERS = ("services", "nginx", "apidocs")
START_TIMEOUT_SECONDS = 600
TASK_TIMEOUT_SECONDS = 300


class Node:
    """The machine, the directory of its deployment file, and a client's ``key:secret``."""

    def __init__(self, machine: VirtualMachine, directory: Path, key: str) -> None:
        self.machine = machine
        self.directory = directory
        self._key = key

    def curl(self, path: str, *arguments: str) -> list[str]:
        """The command that asks its front door from outside of the virtual machine."""
        return [
            "curl", "--silent", "--show-error", "--fail-with-body",
            "--max-time", str(TASK_TIMEOUT_SECONDS),
            "--cacert", str(self.directory / "ca.pem"), "--user", self._key,
            "--connect-to", f"{API}:{HTTPS}:127.0.0.1:{self.machine.forwarded[HTTPS]}",
            f"https://{API}{path}", *arguments,
        ]  # fmt: skip

    def is_serving(self) -> bool:
        # Of a machine that is still booting a connection may lead nowhere.
        asked = subprocess.run(
            self.curl("/v1.1/_health?quick=false", "--max-time", "30"),
            capture_output=True, check=False,
        )  # fmt: skip
        return asked.returncode == 0

    def wait_until_it_serves(self) -> None:
        wait_until(self.is_serving, START_TIMEOUT_SECONDS)

    def begin(self, script: str, *arguments: str, **fields: Any) -> "subprocess.Popen[str]":
        """Begin a task that runs the shell's script, as a client does."""
        body = json.dumps({"docker_image": BUSYBOX, "cmd": ["sh", "-c", script], **fields})
        return subprocess.Popen(
            self.curl("/v1.1/tasks", "--header", "Content-Type: application/json",
                      "--data", body, *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def task(self, script: str, **fields: Any) -> dict[str, Any]:
        """Run one, and return its answer."""
        return answer_of(self.begin(script, **fields))

    def property(self, unit: str, name: str) -> str:
        return self.machine.run("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def is_active(self, unit: str) -> bool:
        return self.property(unit, "ActiveState") == "active"

    def tasks(self) -> list[str]:
        """The names of the engine's containers that are tasks'."""
        return self.machine.run(
            "docker", "ps", "--all", "--filter=name=^/ecs-task-", "--format={{.Names}}"
        ).split()

    def containers_while_off(self) -> list[str]:
        """The names of those that the engine's directory has, read from the disk."""
        directory = "/var/lib/docker/containers"
        return [
            json.loads(self.machine.content(f"{directory}/{each}/config.v2.json"))["Name"]
            for each in self.machine.names_in(directory)
        ]

    def inspect(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.machine.run("docker", "inspect", name))[0]
        return document


def answer_of(task: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for a task's answer; both streams are decoded."""
    written = task.communicate(timeout=TASK_TIMEOUT_SECONDS)[0]
    assert task.returncode == 0, written
    answer: dict[str, Any] = json.loads(written)
    return answer | {name: base64.b64decode(answer[name]).decode() for name in ("stdout", "stderr")}


@contextmanager
def first_boot(disk: Path, backend: str) -> Iterator[Node]:
    """Boot a copy of the disk with a rendering, bring it the images and wait until it serves.

    ``disk`` is a directory of ``debian_disk``, ``backend`` what loads the firewall.
    """
    with tempfile.TemporaryDirectory(dir=disk.parent, prefix="vm-run-") as work:
        directory = Path(work)
        write_named_files(directory)
        key = make_key(directory)
        _write_deployment(directory, backend)
        images = _saved_images(directory)
        machine = VirtualMachine(
            _copied(disk, directory), (_seed(directory), images), directory / "ssh", (HTTPS,)
        )
        machine.power_on()
        try:
            machine.wait_for_ssh()
            assert "status: done" in machine.run("cloud-init", "status", "--wait")
            # The unit that waits for them finds them in the engine.
            machine.run("docker", "load", "--input", machine.device(images))
            node = Node(machine, directory, key)
            node.wait_until_it_serves()
        except BaseException:
            print(machine.story())
            machine.lose_power()
            raise
        try:
            yield node
        finally:
            machine.lose_power()


def _write_deployment(directory: Path, backend: str) -> None:
    """The documentation's example, but for what is not to be had here."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "ssh"],
        check=True, timeout=60,
    )  # fmt: skip
    document = example()
    document["ssh_authorized_keys"] = [(directory / "ssh.pub").read_text().strip()]
    document["images"] = {name: f"ecs/{name}:latest" for name in CONTAINERS} | {"tasks": [BUSYBOX]}
    document["firewall"] = {"backend": backend, "dns_servers": [RESOLVER]}
    del document["telemetry"], document["time_servers"]
    write(directory, document)


def _seed(directory: Path) -> Path:
    """The disk from which cloud-init reads what was printed, and a name of the instance."""
    printed = subprocess.run(
        [Path(sys.executable).parent / "ecsctl", "render", directory / "deployment.yaml",
         "--format", "cloud-init", "--node", "1"],
        stdout=subprocess.PIPE, check=True, timeout=60,
    ).stdout  # fmt: skip
    (directory / "user-data").write_bytes(printed)
    (directory / "meta-data").write_text(f"instance-id: {directory.name}\n")
    subprocess.run(
        ["cloud-localds", "seed.img", "user-data", "meta-data"],
        cwd=directory, check=True, timeout=60,
    )  # fmt: skip
    return directory / "seed.img"


def _copied(disk: Path, directory: Path) -> Path:
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(disk / name, directory)
    # Most of it is a hole.
    subprocess.run(["cp", "--sparse=always", disk / "disk.raw", directory], check=True, timeout=900)
    return directory


def _saved_images(directory: Path) -> Path:
    """No registry is in reach: the archive is a disk of the machine, as fast as nothing else is."""
    names = [BUSYBOX, *(f"ecs/{name}:latest" for name in CONTAINERS)]
    archive = directory / "images.tar"
    subprocess.run(["docker", "save", "--output", archive, *names], check=True, timeout=300)
    return archive
