"""The ways to run one command in a container made for it alone, each timed by the same clock.

A way returns the seconds until its client holds the whole, checked answer. What it leaves to be
cleaned up is cleaned up, and awaited, before it returns: nobody pays for another's rubbish.
"""

import asyncio
import time
from typing import Protocol

import docker

from benchmarks.bench import NO_NETWORK, Bench, Network
from benchmarks.raw import BENCHMARK_LABEL, Answer, JsonObject
from benchmarks.service import Service

COMMAND = ["echo", "hello"]
STDOUT = b"hello\n"


class Way(Protocol):
    """A way to run COMMAND."""

    name: str

    async def timed(self) -> float:
        """Run COMMAND once, check its answer, clean up; return the seconds to the answer."""


class EcsWay:
    """One request to the service, over a keep-alive connection."""

    def __init__(self, name: str, service: Service, image: str, network: Network) -> None:
        """Prepare the request; the name tells the services apart."""
        self.name = name
        self._service = service
        self._request = ecs_request(image, network)

    async def timed(self) -> float:
        """Time the request; then wait until the engine holds nothing of the task any more."""
        started = time.perf_counter()
        answer = await self._service.run(self._request)
        seconds = time.perf_counter() - started
        answer.must_be(STDOUT)
        await self._service.settle()
        return seconds


class DockerRunWay:
    """The command line client; its process is part of the price, and so is its `--rm`."""

    name = "docker run --rm"

    def __init__(self, bench: Bench, network: Network) -> None:
        """Prepare the command line."""
        options = ["--network", "none"] if network == NO_NETWORK else []
        self._command = [*docker_run(bench), *options, bench.image, *COMMAND]

    async def timed(self) -> float:
        """Time the process from its start to its end."""
        pipe = asyncio.subprocess.PIPE
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*self._command, stdout=pipe, stderr=pipe)
        stdout, stderr = await process.communicate()
        seconds = time.perf_counter() - started
        Answer(process.returncode or 0, stdout, stderr).must_be(STDOUT)
        return seconds

    async def run(self) -> str:
        """Run COMMAND as a member of a crowd does; nobody says how it started."""
        await self.timed()
        return ""


class DockerPyWay:
    """The Python library, with one client kept open; `remove=True` is part of the call."""

    name = "docker-py run(remove=True)"

    def __init__(self, bench: Bench, network: Network) -> None:
        """Open the library's client."""
        self._client = docker.from_env()
        self._image = bench.image
        self._labels = {BENCHMARK_LABEL: bench.run_id}
        self._network = NO_NETWORK if network == NO_NETWORK else None

    async def timed(self) -> float:
        """Time the call, in a thread as the library blocks."""
        started = time.perf_counter()
        stdout = await asyncio.to_thread(self._run)
        seconds = time.perf_counter() - started
        # The library raises for a non-zero exit code and hands out stdout alone.
        Answer(0, stdout, b"").must_be(STDOUT)
        return seconds

    def _run(self) -> bytes:
        stdout: bytes = self._client.containers.run(
            self._image, COMMAND, remove=True, labels=self._labels, network_mode=self._network
        )
        return stdout


class RawWay:
    """The bare engine calls; deletion comes after the clock has stopped."""

    def __init__(self, name: str, bench: Bench, body: JsonObject) -> None:
        """Take a create body, and a name that tells what is in it."""
        self.name = name
        self._engine = bench.engine
        self._body = body

    async def timed(self) -> float:
        """Time the calls up to the collected answer."""
        started = time.perf_counter()
        container_id, answer = await self._engine.run(self._body)
        seconds = time.perf_counter() - started
        await self._engine.delete(container_id)
        answer.must_be(STDOUT)
        return seconds


def ecs_request(image: str, network: Network, cmd: list[str] = COMMAND) -> JsonObject:
    """Return the request that makes the service run a command."""
    return {"docker_image": image, "cmd": cmd, "network": network}


def docker_run(bench: Bench) -> list[str]:
    """Return the start of a command line that leaves nothing behind."""
    return ["docker", "run", "--rm", "--label", bench.run_label]
