"""The pool of network sandboxes: one for one task at a time, and never a task that waits for one.

A network is the dearest part of a container's start. So some are held ready, each by a sandbox
that the task's container joins. The pool keeps a few that anybody may take, and those that tasks
gave back clean; what nobody takes for a while goes.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Self

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerWaiter
from ecs.errors import EngineError, EngineFailedError, EngineNotFoundError
from ecs.tasks.admission import Admission
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

_LOOK_ROUND_SECONDS = 1.0
"""Between two looks for sandboxes that are too old or that nobody takes."""
_TEARDOWN_SECONDS = 30.0
"""How long the engine may take to end the container of a task that was answered."""
_SOCKETS_LOOKS = 20
_SOCKETS_PAUSE_SECONDS = 0.1
"""Connections that a task closed at its end may take the two seconds of these to go."""
_CLOSE_SECONDS = 10.0
"""How long a sandbox that is just being made may delay the stop; the next start finds it then."""
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
"""Between two attempts at an engine that makes no sandbox."""


class Sandboxes:
    """The pool of one engine. Use as an async context manager, and have ``run`` run.

    ``hits`` and ``misses`` count the tasks that a sandbox was there for, or not; ``made`` and
    ``making_seconds`` the sandboxes made, and the time in the engine's lane that they took;
    ``retired`` those that went, by reason.
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
        self._admission = admission
        self._reaper = reaper
        self._policy = policy
        self._rules = rules
        self._program_for = program_for
        self._waiter = AsyncContainerWaiter(api)
        self._image: SandboxImage | None = None
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._idle: dict[Sandbox, float] = {}
        """Each with the time since when, the latest last."""
        self._held: set[Sandbox] = set()
        self._cleaning: dict[Sandbox, asyncio.Task[None]] = {}
        self._met = asyncio.Event()
        self._changed = asyncio.Event()
        self._closing = False
        self._group = asyncio.TaskGroup()
        self.hits = self.misses = self.made = 0
        self.making_seconds = 0.0
        self.retired: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
        await self._group.__aexit__(None, None, None)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many sandboxes there are, by state."""
        known = {
            "idle": len(self._idle),
            "held": len(self._held),
            "cleaning": len(self._cleaning),
        }
        return {"starting": max(0, len(self._lives) - sum(known.values())), **known}

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
        self._changed.set()
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
        if self._closing or sandbox.name not in self._lives:
            return
        if container is None:
            self._retire(sandbox, "task broken off")
        else:
            work = self._group.create_task(self._clean(sandbox, container))
            self._cleaning[sandbox] = work

    def is_live(self, container_name: str) -> bool:
        """Tell whether a container of this name is a sandbox of this pool."""
        return container_name in self._lives

    async def close(self) -> None:
        """Make no more, and hand all there are to the reaper."""
        self._closing = True
        self._idle.clear()
        self._held.clear()
        work = [*self._lives.values(), *self._cleaning.values()]
        for task in work:
            task.cancel()
        if work:
            await asyncio.wait(work, timeout=_CLOSE_SECONDS)

    async def run(self) -> None:
        """Keep the pool at its size, until cancelled."""
        await self._met.wait()
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            self._retire_idle()
            if not self._wants_another():
                await self._change()
                continue
            error = await self._make()
            if error is None:
                pause_seconds = _FIRST_PAUSE_SECONDS
                continue
            _log.warning("no sandbox could be made", error=str(error), pause_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    async def _change(self) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(_LOOK_ROUND_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return

    def _choose(self, owner: str) -> Sandbox | None:
        used = [s for s in self._idle if s.owner is not None and self._rules.may_have(s, owner)]
        fresh = [s for s in self._idle if s.owner is None]
        # The one used last, so that those which are too many stay idle.
        return used[-1] if used else next(iter(fresh), None)

    def _make_room_for(self, owner: str) -> None:
        """Where the pool is full, let the longest idle one go that ``owner`` may not have."""
        if len(self._lives) >= self._rules.maximum:
            for sandbox in self._idle:
                if not self._rules.may_have(sandbox, owner):
                    self._retire(sandbox, "room for another key")
                    return

    def _wants_another(self) -> bool:
        if self._closing or len(self._lives) >= self._rules.maximum:
            return False
        return sum(map(self._rules.is_for_anybody, self._idle)) < self._rules.minimum

    def _retire_idle(self) -> None:
        ready = sum(map(self._rules.is_for_anybody, self._idle))
        for sandbox, since in list(self._idle.items()):
            if self._rules.is_too_old(sandbox):
                self._retire(sandbox, "age")
            elif time.monotonic() - since > self._rules.idle_seconds and (
                ready > self._rules.minimum or not self._rules.is_for_anybody(sandbox)
            ):
                self._retire(sandbox, "not needed")
                ready -= self._rules.is_for_anybody(sandbox)

    async def _make(self) -> EngineError | None:
        """Make one sandbox; return why there is none."""
        name = NAME_PREFIX + secrets.token_hex(16)
        made: asyncio.Future[EngineError | None] = asyncio.get_running_loop().create_future()
        self._lives[name] = self._group.create_task(self._live(name, made))
        return await asyncio.shield(made)  # its maker goes on when this one does not

    async def _live(self, name: str, made: "asyncio.Future[EngineError | None]") -> None:
        """Make a sandbox, and be there as long as it is."""
        try:
            async with AsyncExitStack() as stack:
                async with self._admission.refill():
                    started = time.monotonic()
                    sandbox = await self._start(stack, name)
                    making_seconds = time.monotonic() - started
                await sandbox.get_ready()
                self.made += 1
                self.making_seconds += making_seconds
                self._idle[sandbox] = time.monotonic()
                made.set_result(None)
                await sandbox.ended.wait()
                self._forget(sandbox, "ended by itself")
        except EngineError as error:
            made.set_result(error)
        except Exception:  # noqa: BLE001 - a bug must not take the tasks along
            _log.exception("sandbox failed by a bug in ECS", sandbox=name)
            if not made.done():
                made.set_result(EngineFailedError("a bug in ECS; its log has the cause"))
        finally:
            made.cancel()  # which is nothing to one that has its result
            del self._lives[name]
            self._changed.set()
            self._reaper.remove(name)

    async def _start(self, stack: AsyncExitStack, name: str) -> Sandbox:
        assert self._image is not None  # it is there before the first one is made
        image = await self._image.ensure()
        return await stack.enter_async_context(
            running_sandbox(self._api, name, sandbox_body(image, self._policy))
        )

    async def _clean(self, sandbox: Sandbox, container: str) -> None:
        try:
            reason = self._rules.wear(sandbox) or await self._remains(sandbox, container)
        finally:
            self._cleaning.pop(sandbox, None)
        if sandbox.name not in self._lives:
            return  # it ended meanwhile
        if reason:
            self._retire(sandbox, reason)
        else:
            self._idle[sandbox] = time.monotonic()
            self._changed.set()

    async def _remains(self, sandbox: Sandbox, container: str) -> str:
        """Return what the last task left, or ``""``."""
        try:
            await self._waiter.exit_code(container, timeout_seconds=_TEARDOWN_SECONDS)
        except EngineNotFoundError:
            pass  # it was deleted
        except EngineError:
            return "task not seen to end"
        except Exception:  # noqa: BLE001 - a bug must not take the tasks along
            _log.exception("a task's end was not seen by a bug in ECS", sandbox=sandbox.name)
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
        self._lives[sandbox.name].cancel()

    def _forget(self, sandbox: Sandbox, reason: str) -> None:
        self._held.discard(sandbox)
        self._idle.pop(sandbox, None)
        self.retired[reason] += 1
        _log.debug("sandbox retired", sandbox=sandbox.name, reason=reason, tasks=sandbox.tasks)


def _is_worth_holding(network: str) -> bool:
    """Tell whether a network takes time to be made, and can be joined."""
    return network not in ("none", "host") and not network.startswith("container:")
