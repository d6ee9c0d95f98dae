"""The pool of network sandboxes: one for one task at a time, and never a task that waits for one.

A network is the dearest part of a container's start. So some are held ready, each by a sandbox that
the task's container joins. The pool keeps a few that anybody may take, and those that tasks gave
back clean; what nobody takes for a while goes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerWaiter
from ecs.errors import EngineError, EngineNotFoundError
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import NO_NETWORK
from ecs.tasks.pooled_containers import PooledContainers, Setback
from ecs.tasks.reaper import Reaper
from ecs.tasks.sandbox import (
    CLEAN,
    NAME_PREFIX,
    SOCKETS,
    Sandbox,
    SandboxPolicy,
    running_sandbox,
    sandbox_body,
)
from ecs.tasks.sandbox_image import SandboxImage
from ecs.tasks.sandbox_rules import PoolRules

_log = structlog.get_logger()

_PATIENCE_SECONDS = 1.0
"""How long the making of one gives way to tasks. Under an overload that never ends the pool would
otherwise run dry, and every task take the slow way."""
_TEARDOWN_SECONDS = 30.0
"""How long the engine may take to end the container of a task that was answered."""
_SOCKETS_LOOKS = 20
_SOCKETS_PAUSE_SECONDS = 0.1
"""Connections that a task closed at its end may take the two seconds of these to go."""


class Sandboxes:
    """The pool of one engine. Use as an async context manager, and have ``run`` run.

    ``hits`` and ``misses`` count the tasks that a sandbox was there for, or not; ``retired`` the
    sandboxes that went, by reason.
    """

    def __init__(
        self,
        api: DockerRemoteApi,
        admission: Admission,
        reaper: Reaper,
        *,
        policy: SandboxPolicy,
        rules: PoolRules,
        program_for: Callable[[str], bytes | None],
    ) -> None:
        self._api = api
        self._policy = policy
        self._rules = rules
        self._program_for = program_for
        self._waiter = AsyncContainerWaiter(api)
        self._image: SandboxImage | None = None
        self.containers: PooledContainers[Sandbox] = PooledContainers(
            admission,
            reaper,
            name_prefix=NAME_PREFIX,
            patience_seconds=_PATIENCE_SECONDS,
            serve=self._serve,
        )
        self._idle: dict[Sandbox, float] = {}
        """Each with the time since when, the latest last."""
        self._held: set[Sandbox] = set()
        self._cleaning: dict[Sandbox, asyncio.Task[None]] = {}
        self._met = asyncio.Event()
        self._closing = False
        self._group = asyncio.TaskGroup()
        self.hits = self.misses = 0
        self.retired: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self.containers.__aenter__()
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
        await self._group.__aexit__(None, None, None)
        await self.containers.__aexit__(*exc_info)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many sandboxes there are, by state."""
        return {
            "starting": self.containers.making,
            "idle": len(self._idle),
            "held": len(self._held),
            "cleaning": len(self._cleaning),
        }

    def meet(self, machine: str) -> None:
        """Begin, now that the engine is known; ``machine`` is its ``uname -m``."""
        if self._rules.maximum == 0 or not _is_worth_holding(self._policy.network):
            return
        program = self._program_for(machine)
        if program is None:
            _log.warning(
                "no sandboxes for this engine: tasks start more slowly; bin/build-native makes "
                "what they run",
                machine=machine,
            )
            return
        self._image = SandboxImage(self._api, program)
        self._met.set()

    def take(self, owner: str) -> Sandbox | None:
        """Return a sandbox for a task of ``owner``, or ``None`` at once if there is none.

        Give it back with ``release``.
        """
        if self._image is None or self._closing:
            return None
        self.containers.notify()
        sandbox = self._choose(owner)
        if sandbox is None:
            self.misses += 1
            self._make_room_for(owner)
            return None
        self.hits += 1
        del self._idle[sandbox]
        self._held.add(sandbox)
        sandbox.owner = owner
        sandbox.tasks += 1
        return sandbox

    def release(self, sandbox: Sandbox, container: str | None) -> None:
        """Take a sandbox back; it serves again when it is clean and ``container`` has ended.

        ``None`` stands for a container of which nobody knows that it will not start yet.
        """
        self._held.discard(sandbox)
        if self._closing or sandbox.container not in self.containers:
            return
        if container is None:
            self._retire(sandbox, "task broken off")
        else:
            work = self._group.create_task(self._clean(sandbox, container))
            self._cleaning[sandbox] = work

    async def close(self) -> None:
        """Make no more, and hand all there are to the reaper."""
        self._closing = True
        self._idle.clear()
        self._held.clear()
        for work in self._cleaning.values():
            work.cancel()
        await self.containers.close()

    async def run(self) -> None:
        """Keep the pool at its size, until cancelled."""
        await self._met.wait()
        assert self._image is not None  # the engine was met
        await self._image.delete_others()
        setback = Setback()
        while True:
            self._retire_idle()
            if not self._is_short():
                await self.containers.change()
                continue
            error = await self.containers.make(self._new)
            if error is None:
                setback = Setback()
                continue
            pause_seconds = setback.note()
            _log.warning("no sandbox could be made", error=str(error), pause_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)

    def _choose(self, owner: str) -> Sandbox | None:
        idle = [s for s in self._idle if not self._rules.is_too_old(s)]
        used = [s for s in idle if s.owner is not None and self._rules.may_have(s, owner)]
        fresh = [s for s in idle if s.owner is None]
        # The one used last, so that those which are too many stay idle.
        return used[-1] if used else next(iter(fresh), None)

    def _make_room_for(self, owner: str) -> None:
        """Where the pool is full, let the longest idle one go that ``owner`` may not have."""
        if len(self.containers) >= self._rules.maximum:
            for sandbox in self._idle:
                if not self._rules.may_have(sandbox, owner):
                    self._retire(sandbox, "room for another key")
                    return

    def _is_short(self) -> bool:
        """Tell whether fewer are ready for anybody than there should be, and one more may be."""
        if self._closing or len(self.containers) >= self._rules.maximum:
            return False
        return self._ready() < self._rules.minimum

    def _ready(self) -> int:
        """Count those that anybody may take."""
        return sum(map(self._rules.is_for_anybody, self._idle))

    def _retire_idle(self) -> None:
        ready = self._ready()
        for sandbox, since in list(self._idle.items()):
            is_for_anybody = self._rules.is_for_anybody(sandbox)
            if self._rules.is_too_old(sandbox):
                self._retire(sandbox, "age")
            elif time.monotonic() - since > self._rules.idle_seconds and (
                ready > self._rules.minimum or not is_for_anybody
            ):
                self._retire(sandbox, "not needed")
                ready -= is_for_anybody

    @asynccontextmanager
    async def _new(self, name: str) -> AsyncIterator[Sandbox]:
        assert self._image is not None  # it is there before the first one is made
        body = sandbox_body(await self._image.ensure(), self._policy)
        async with running_sandbox(self._api, name, body) as sandbox:
            yield sandbox

    async def _serve(self, sandbox: Sandbox) -> None:
        self._idle[sandbox] = time.monotonic()
        await sandbox.ended.wait()
        self._forget(sandbox, "ended by itself")

    async def _clean(self, sandbox: Sandbox, container: str) -> None:
        try:
            reason = self._rules.wear(sandbox) or await self._remains(sandbox, container)
        finally:
            self._cleaning.pop(sandbox, None)
        if sandbox.container not in self.containers:
            return  # it ended meanwhile
        if reason:
            self._retire(sandbox, reason)
        else:
            self._idle[sandbox] = time.monotonic()
            self.containers.notify()

    async def _remains(self, sandbox: Sandbox, container: str) -> str:
        """Return what the last task left, or ``""``."""
        try:
            await self._waiter.exit_code(container, timeout_seconds=_TEARDOWN_SECONDS)
        except EngineNotFoundError:
            pass  # it was deleted
        except EngineError:
            return "task not seen to end"
        except Exception:  # noqa: BLE001 - a bug must not take the tasks along
            _log.exception("a task's end was not seen by a bug in ECS", sandbox=sandbox.container)
            return "task not seen to end"
        found = await sandbox.look()
        for _ in range(_SOCKETS_LOOKS):
            if found != SOCKETS:
                break
            await asyncio.sleep(_SOCKETS_PAUSE_SECONDS)
            found = await sandbox.look()
        return "" if found == CLEAN else found

    def _retire(self, sandbox: Sandbox, reason: str) -> None:
        self._forget(sandbox, reason)
        self.containers.end(sandbox)

    def _forget(self, sandbox: Sandbox, reason: str) -> None:
        self._held.discard(sandbox)
        self._idle.pop(sandbox, None)
        self.retired[reason] += 1
        _log.debug("sandbox retired", sandbox=sandbox.container, reason=reason, tasks=sandbox.tasks)


def _is_worth_holding(network: str) -> bool:
    """Tell whether a network takes time to be made, and can be joined."""
    return network not in (NO_NETWORK, "host") and not network.startswith("container:")
