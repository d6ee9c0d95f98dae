"""What the three containers need: memory, CPU, processes, idle and under five kinds of load.

`python -m benchmarks.containers` starts a composed system without limits by bin/up, samples each
container five times a second, and prints the table of docs/provisioning.md. 3 minutes.
"""

import asyncio
import base64
import os
import shlex
import ssl
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import docker

from benchmarks.service import free_port

BIN = Path(__file__).parents[1] / "bin"
PROJECT = "ecs-bench-containers"
CONTAINERS = ("services", "nginx", "apidocs")
API, DOCS = "ecs.localhost", "docs.ecs.localhost"
SAMPLE_SECONDS = 0.2
IDLE_SECONDS = 15
LOAD_SECONDS = 15
SLEEPERS, SLEEP_SECONDS = 100, 15
CONNECTIONS = 32
WRITERS, WRITER_ROUNDS, WRITTEN_MIB = 4, 3, 100
MIB = 2**20
CGROUPS = Path("/sys/fs/cgroup")
NO_LIMITS = {
    f"NGINX_{name}": "60000"
    for name in (
        "ADDRESS_REQUESTS_PER_SECOND",
        "ADDRESS_BURST_REQUESTS",
        "ADDRESS_CONNECTIONS",
        "KEY_REQUESTS_PER_SECOND",
        "KEY_BURST_REQUESTS",
        "KEY_CONNECTIONS",
    )
}


@dataclass
class Peak:
    """The most of one container within one phase."""

    memory_bytes: int = 0
    """Without what the kernel would give back: inactive pages of files."""
    pids: int = 0
    cpu_seconds: float = 0


class Usage:
    """Reads the control groups of a container; version 1 and 2 of them differ in names alone."""

    def __init__(self, process: int) -> None:
        self._directories: dict[str, Path] = {}
        for line in Path(f"/proc/{process}/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":")
            for controller in controllers.split(","):
                self._directories[controller] = CGROUPS / controller / path.lstrip("/")

    def memory_bytes(self) -> int:
        """Without what the kernel would give back: inactive pages of files."""
        stat = self._pairs("memory", "memory.stat")
        used = self._first("memory", "memory.usage_in_bytes", "memory.current")
        return used - stat.get("total_inactive_file", stat["inactive_file"])

    def pids(self) -> int:
        """Processes and threads."""
        return self._first("pids", "pids.current")

    def cpu_seconds(self) -> float:
        """Since the container's start."""
        if "cpuacct" in self._directories:
            return self._first("cpuacct", "cpuacct.usage") / 1e9
        return self._pairs("cpu", "cpu.stat")["usage_usec"] / 1e6

    def _first(self, controller: str, *names: str) -> int:
        directory = self._directory(controller)
        path = next(directory / name for name in names if (directory / name).exists())
        return int(path.read_text(encoding="ascii"))

    def _pairs(self, controller: str, name: str) -> dict[str, int]:
        lines = (self._directory(controller) / name).read_text(encoding="ascii").splitlines()
        return {key: int(value) for key, value in map(str.split, lines)}

    def _directory(self, controller: str) -> Path:
        return self._directories.get(controller) or self._directories[""]


class Sampler(threading.Thread):
    """Looks at what a container uses, until it is stopped."""

    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self.peak = Peak()
        self._usage = usage
        self._stopped = threading.Event()

    def run(self) -> None:
        """Sample."""
        first = self._usage.cpu_seconds()
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.peak.memory_bytes = max(self.peak.memory_bytes, self._usage.memory_bytes())
            self.peak.pids = max(self.peak.pids, self._usage.pids())
            self.peak.cpu_seconds = self._usage.cpu_seconds() - first

    def stop(self) -> None:
        """End sampling."""
        self._stopped.set()
        self.join()


@dataclass
class Door:
    """How the composed system is reached."""

    session: aiohttp.ClientSession
    port: int

    async def get(self, host: str, path: str) -> None:
        """Ask for a page, and read it."""
        url = f"https://127.0.0.1:{self.port}{path}"
        async with self.session.get(url, headers={"Host": host}, server_hostname=host) as answer:
            await answer.read()
            answer.raise_for_status()

    async def run(self, *cmd: str) -> None:
        """Run a task."""
        async with self.session.post(
            f"https://127.0.0.1:{self.port}/v1.1/tasks",
            headers={"Host": API},
            server_hostname=API,
            json={"docker_image": "busybox:latest", "cmd": cmd},
        ) as answer:
            document = await answer.json()
            if document.get("exitCode") != 0:
                raise RuntimeError(document)


async def repeat(door: Door, host: str, *paths: str) -> None:
    """Ask for the pages over many connections for a while."""
    deadline = time.monotonic() + LOAD_SECONDS

    async def one() -> int:
        count = 0
        while time.monotonic() < deadline:
            for path in paths:
                await door.get(host, path)
                count += 1
        return count

    counts = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    print(f"   {sum(counts) / LOAD_SECONDS:.0f} requests/s")


async def sleepers(door: Door) -> None:
    """Run quiet tasks, all at a time."""
    await asyncio.gather(*(door.run("sleep", str(SLEEP_SECONDS)) for _ in range(SLEEPERS)))


async def writers(door: Door) -> None:
    """Run tasks that write, a few at a time."""
    for _ in range(WRITER_ROUNDS):
        block = ("dd", "if=/dev/zero", "bs=1M", f"count={WRITTEN_MIB}")
        await asyncio.gather(*(door.run(*block) for _ in range(WRITERS)))


async def large_answers(door: Door) -> None:
    """Run tasks at a time whose answers are as long as answers get: 1 MiB of each stream."""
    both = "dd if=/dev/zero bs=1M count=1; dd if=/dev/zero bs=1M count=1 >&2"
    await asyncio.gather(*(door.run("sh", "-c", both) for _ in range(SLEEPERS)))


PHASES: dict[str, Callable[[Door], Awaitable[None]]] = {
    "idle": lambda _: asyncio.sleep(IDLE_SECONDS),
    f"{SLEEPERS} sleeping tasks": sleepers,
    f"`_noop`, {CONNECTIONS} connections": lambda door: repeat(door, API, "/v1.1/_noop"),
    f"{WRITERS} tasks at a time, {WRITTEN_MIB} MiB of output each": writers,
    f"{SLEEPERS} tasks at a time, answers of 2.7 MB each": large_answers,
    f"documentation, {CONNECTIONS} connections": lambda door: repeat(
        door, DOCS, "/", "/openapi.json"
    ),
}


async def measure(line: str, port: int, directory: Path) -> None:
    """Go through the phases and print a row for each container."""
    words = shlex.split(line)
    credentials = words[words.index("-u") + 1].encode()
    trust = ssl.create_default_context(cafile=directory / "tls" / "ca.pem")
    client = docker.from_env()
    usages = {
        name: Usage(
            client.containers.list(
                filters={
                    "label": [
                        f"com.docker.compose.project={PROJECT}",
                        f"com.docker.compose.service={name}",
                    ]
                }
            )[0].attrs["State"]["Pid"]
        )
        for name in CONTAINERS
    }
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Basic {base64.b64encode(credentials).decode()}"},
        connector=aiohttp.TCPConnector(ssl=trust, limit=0),
        timeout=aiohttp.ClientTimeout(total=120),
    ) as session:
        door = Door(session, port)
        print("| load | container | memory, MiB | CPUs, mean | processes and threads |")
        print("|---|---|---|---|---|")
        for name, load in PHASES.items():
            samplers = {each: Sampler(usage) for each, usage in usages.items()}
            for sampler in samplers.values():
                sampler.start()
            start = time.monotonic()
            await load(door)
            seconds = time.monotonic() - start
            for sampler in samplers.values():
                sampler.stop()
            for each, sampler in samplers.items():
                peak = sampler.peak
                print(
                    f"| {name} | {each} | {peak.memory_bytes / MIB:.1f} | "
                    f"{peak.cpu_seconds / seconds:.2f} | {peak.pids} |",
                    flush=True,
                )


def main() -> None:
    """Start the system, measure it, take it down."""
    with TemporaryDirectory() as scratch:
        directory = Path(scratch) / "deployment"
        port = free_port()
        environment = os.environ | NO_LIMITS | {
            "DEPLOYMENT_DIRECTORY": str(directory),
            "DEPLOYMENT_PROJECT": PROJECT,
            "DEPLOYMENT_FRONT_PREFIX": "172.30.252",
            "DEPLOYMENT_DOCS_PREFIX": "172.30.251",
            "NGINX_HTTPS_PORT": str(port),
            "NGINX_HTTP_PORT": str(free_port()),
        }  # fmt: skip
        try:
            output = subprocess.run(
                [BIN / "up"], env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            asyncio.run(measure(output.splitlines()[-1], port, directory))
        finally:
            subprocess.run([BIN / "down"], env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
