"""Starts the real service as a process of its own, speaks to it, and stops it."""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from benchmarks.raw import READ_BUFFER_BYTES, Answer, JsonObject, RawEngine, WrongAnswerError

INSTANCE_LABEL = "ecs.instance"
TASK_NAME_PREFIX = "/ecs-task-"

READY_LIMIT_SECONDS = 120.0
READY_POLL_SECONDS = 0.05
STOP_LIMIT_SECONDS = 90.0
SETTLE_LIMIT_SECONDS = 120.0
SETTLE_POLL_SECONDS = 0.02
# The engine must show the same, with nothing in motion, this many times in a row.
SETTLED_POLLS = 3
# A request may wait for 200 others at a few tasks a second.
REQUEST_LIMIT_SECONDS = 600.0
LOG_TAIL_LINES = 40

HTTP_CREATED = 201
KIB_BYTES = 1024


class ServiceError(Exception):
    """The service did not start, settle or stop as it should."""


class RefusedError(WrongAnswerError):
    """The service answered with an HTTP error; `status` is its code."""

    def __init__(self, status: int, text: str) -> None:
        """Keep the status apart from what else the answer says."""
        super().__init__(f"{status}: {text}")
        self.status = status


class Service:
    """A running service: its process, its HTTP face and its containers."""

    def __init__(
        self, session: aiohttp.ClientSession, engine: RawEngine, instance: str, pid: int, port: int
    ) -> None:
        """Speak to the process `pid`, which listens on `port`."""
        self.session = session
        self.instance = instance
        self.port = port
        self._engine = engine
        self._process_directory = Path("/proc") / str(pid)

    async def post(self, request: JsonObject) -> JsonObject:
        """Run one task and return the service's whole JSON answer."""
        async with self.session.post("v1.1/tasks", json=request) as response:
            if response.status != HTTP_CREATED:
                raise RefusedError(response.status, await response.text())
            answer: JsonObject = await response.json()
            return answer

    async def run(self, request: JsonObject) -> Answer:
        """Run one task and return what it left."""
        return decoded(await self.post(request))

    async def noop(self) -> None:
        """Ask for nothing."""
        async with self.session.get("v1.1/_noop") as response:
            await response.read()
            response.raise_for_status()

    async def containers(self) -> list[JsonObject]:
        """List every container of this service that the engine knows."""
        return await self._engine.containers(f"{INSTANCE_LABEL}={self.instance}")

    async def settle(self) -> float:
        """Wait until no task's container is left and no other one is coming or going.

        Containers that the service holds ready for later tasks may stay, once they run. Returns
        when (in perf_counter's seconds) the engine was first seen so.
        """
        async with asyncio.timeout(SETTLE_LIMIT_SECONDS):
            before: set[str] | None = None
            polls, since = 0, time.perf_counter()
            while polls < SETTLED_POLLS:
                await asyncio.sleep(SETTLE_POLL_SECONDS)
                containers = await self.containers()
                still = not any(is_moving(container) for container in containers)
                now = {container["Id"] for container in containers} if still else None
                if now is None or now != before:
                    polls, since = 0, time.perf_counter()
                polls += still
                before = now
            return since

    def resident_bytes(self) -> int:
        """Return the memory that the service's process holds now."""
        return self._status_bytes("VmRSS")

    def peak_resident_bytes(self) -> int:
        """Return the most memory that it held since `reset_peak`."""
        return self._status_bytes("VmHWM")

    def reset_peak(self) -> None:
        """Make the kernel forget the process's peak ("5" in proc(5), clear_refs)."""
        (self._process_directory / "clear_refs").write_text("5")

    def _status_bytes(self, field: str) -> int:
        status = (self._process_directory / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) * KIB_BYTES


def decoded(answer: JsonObject) -> Answer:
    """Take exit code and streams out of the service's JSON answer."""
    return Answer(
        answer["exitCode"],
        base64.b64decode(answer["stdout"], validate=True),
        base64.b64decode(answer["stderr"], validate=True),
    )


def is_task(container: JsonObject) -> bool:
    """Tell whether a listed container is a task's."""
    return any(name.startswith(TASK_NAME_PREFIX) for name in container["Names"])


def is_moving(container: JsonObject) -> bool:
    """Tell whether a listed container is a task's, or on its way in or out."""
    return is_task(container) or container["State"] != "running"


@asynccontextmanager
async def running_service(engine: RawEngine, settings: Mapping[str, str]) -> AsyncIterator[Service]:
    """Start the service on a free port, yield it when it is ready, stop it with SIGTERM."""
    instance = f"bench-{uuid4().hex[:12]}"
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ecs-bench-") as directory:
        log = Path(directory) / "service.log"
        process = await _start(Path(directory), log, instance, port, settings)
        try:
            async with _session(port) as session:
                await _until_ready(session, process)
                yield Service(session, engine, instance, process.pid, port)
        except Exception:
            print(_tail(log), file=sys.stderr)
            raise
        finally:
            await asyncio.shield(_stop(process, engine, instance))


async def _start(
    directory: Path, log: Path, instance: str, port: int, settings: Mapping[str, str]
) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ECS_")}
    state, spool = directory / "state", directory / "spool"
    for folder in (state, spool):
        folder.mkdir()
    environment = {
        **inherited,
        "ECS_PORT": str(port),
        "ECS_INSTANCE": instance,
        "ECS_STATE_DIRECTORY": str(state),
        "ECS_SPOOL_DIRECTORY": str(spool),
        **settings,
    }
    command = Path(sys.executable).with_name("ecservice")
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            command, env=environment, stdout=output, stderr=output
        )


async def _until_ready(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_LIMIT_SECONDS):
        while True:
            if process.returncode is not None:
                raise ServiceError(f"the service ended at once, exit code {process.returncode}")
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.get("readyz") as response:
                    if response.ok:
                        return
            await asyncio.sleep(READY_POLL_SECONDS)


async def _stop(process: asyncio.subprocess.Process, engine: RawEngine, instance: str) -> None:
    if process.returncode is None:
        started = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_LIMIT_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        seconds = time.perf_counter() - started
        print(f"service stopped in {seconds:.1f} s, exit code {process.returncode}")
    left = await engine.sweep(f"{INSTANCE_LABEL}={instance}")
    if left:
        print(f"the service left {left} containers behind; removed", file=sys.stderr)


def _session(port: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        f"http://127.0.0.1:{port}/",
        connector=aiohttp.TCPConnector(limit=0),
        read_bufsize=READ_BUFFER_BYTES,
        timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_SECONDS),
    )


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(["last lines of the service's log:", *lines[-LOG_TAIL_LINES:]])


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
