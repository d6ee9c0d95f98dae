"""One network sandbox: a container that does nothing but hold a network namespace for tasks.

Its program (``native/sandbox.c``) says between two tasks whether the last one left anything. The
attach of its input is what keeps it alive: it ends when ECS does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.errors import EngineError, EngineFailedError
from ecs.tasks.attached_container import AttachedContainer, attached_container
from ecs.tasks.container_spec import LABEL_DEADLINE, LABEL_INSTANCE
from ecs.tasks.runtime import EngineRuntime
from ecs.tasks.sandbox_image import PROGRAM_PATH

NAME_PREFIX = "ecs-sandbox-"
CLEAN = "clean"
SOCKETS = "sockets"
_READY = "ready"
_GONE = "gone"
_QUESTION = b"?"
_ANSWER_SECONDS = 10.0
_MEMORY_BYTES = 16 * 1024 * 1024
_PIDS = 16
"""Of both the program needs a tenth; the runtime that starts it works under them, too."""
_NOBODY = "65534:65534"
_DEADLINE_MARGIN_SECONDS = 600.0


@dataclass(frozen=True)
class SandboxPolicy:
    """What every sandbox's container is created from."""

    instance: str
    runtime: EngineRuntime
    network: str
    max_age_seconds: float
    max_run_seconds: float
    """How long a task may hold one that has just not reached that age."""


def sandbox_body(image: str, policy: SandboxPolicy) -> dict[str, Any]:
    """Return the body of ``POST /containers/create`` for a sandbox.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
    """
    life_seconds = policy.max_age_seconds + policy.max_run_seconds + _DEADLINE_MARGIN_SECONDS
    return {
        "Image": image,
        "Entrypoint": [PROGRAM_PATH],
        "User": _NOBODY,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "Labels": {
            LABEL_INSTANCE: policy.instance,
            LABEL_DEADLINE: str(int(time.time() + life_seconds)),
        },
        "HostConfig": {
            "NetworkMode": policy.network,
            "Memory": _MEMORY_BYTES,
            "MemorySwap": _MEMORY_BYTES,
            "PidsLimit": _PIDS,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "LogConfig": {"Type": "none"},
            # The kernel is to remember no peer: neither in TIME_WAIT nor for its round-trip time.
            "Sysctls": {
                "net.ipv4.tcp_max_tw_buckets": "0",
                "net.ipv4.tcp_no_metrics_save": "1",
                # Whose cookies the kernel would keep in the same table all the same.
                "net.ipv4.tcp_fastopen": "0",
            },
            **policy.runtime.host_config(),
        },
    }


class Sandbox:
    """A sandbox that runs. ``owner`` is whose tasks it served, ``None`` before the first one."""

    def __init__(self, attached: AttachedContainer) -> None:
        self.container = attached.container_id
        self.owner: str | None = None
        self.tasks = 0
        self.ended = asyncio.Event()
        """It runs no more, or cannot be heard."""
        self._made_at = time.monotonic()
        self._stdin = attached.stdin
        self._output = attached.output
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    @property
    def age_seconds(self) -> float:
        """How long it has been there."""
        return time.monotonic() - self._made_at

    async def listen(self) -> None:
        """Take its answers in, until it ends."""
        pending = b""
        with suppress(EngineError):  # a connection that broke is an end like any other
            async for pieces in self._output:
                pending += b"".join(payload for _, payload in pieces)
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    self._answers.put_nowait(line.decode(errors="replace"))
        self._answers.put_nowait(_GONE)
        self.ended.set()

    async def get_ready(self) -> None:
        """Have it take note of what there is, before the first task.

        Raises:
            EngineFailedError: it does not answer, or is no sandbox.
        """
        answer = await self.look()
        if answer != _READY:
            raise EngineFailedError(f"a sandbox did not get ready: {answer!r}")

    async def look(self) -> str:
        """Have it look; return ``CLEAN``, or a word for what is not as before the first task."""
        try:
            self._stdin.send([_QUESTION])
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._answers.get()
        except (EngineError, TimeoutError):
            return _GONE


@asynccontextmanager
async def running_sandbox(
    api: DockerRemoteApi, name: str, body: Mapping[str, Any]
) -> AsyncIterator[Sandbox]:
    """Create and start a sandbox, and have it ready; leaving has it end by itself.

    Whatever happens, a container of this name may be there afterwards.

    Raises:
        EngineNotFoundError: there is no such image.
        EngineError: the engine refused, failed or vanished, or what was started is no sandbox.
    """
    async with attached_container(api, name, body) as attached:
        sandbox = Sandbox(attached)
        listening = asyncio.create_task(sandbox.listen())
        try:
            await sandbox.get_ready()
            yield sandbox
        finally:
            listening.cancel()
            await asyncio.wait({listening})
