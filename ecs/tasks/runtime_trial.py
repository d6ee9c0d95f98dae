"""Does another runtime give the same answers as the engine's default, and sooner?

Containers as tasks have them, of the image that holds the init alone: no operator's image is
needed. They come one after the other, each behind everybody else in the engine's lane.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import (
    AsyncContainerDeleter,
    AsyncContainerKiller,
    AsyncContainerWaiter,
)
from ecs.docker_remote_api.images import AsyncImageInspector, LocalImage
from ecs.tasks.admission import Admission
from ecs.tasks.attached_container import attached_container
from ecs.tasks.container_spec import LABEL_INSTANCE, ContainerPolicy, warm_body
from ecs.tasks.ending import INIT_FAILED_EXIT_CODE, SIGKILL_EXIT_CODE
from ecs.tasks.init_frame import InitFrame, new_token
from ecs.tasks.init_mount import InitMount
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Network, Resources, TaskRequest
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime import ENGINES_OWN, EngineRuntime
from ecs.tasks.trailer import Trailer, TrailerDecoder

NAME_PREFIX = "ecs-trial-"
MAX_RATIO = 0.95
"""Of the default's time: what is less gained than this is not told from chance."""
_PAIRS = 7
_CONTAINER_SECONDS = 20.0
"""How long one container may take, from its place in the lane to its end."""
_LIFE_SECONDS = 120.0
"""Then every service's sweep may delete it."""
_SMALL_MEMORY_BYTES = 6 * 1024 * 1024
"""The smallest limit the engine takes."""
_LARGE_ARGUMENT_BYTES = 8 * 1024 * 1024
"""More than that, which the init reads into memory. Where it can, it then fails to start it."""
_GRACE_SECONDS = 1.0


class RuntimeTrialError(Exception):
    """A runtime did not do what tasks rely on; the text says what."""


@dataclass(frozen=True)
class Comparison:
    """Seconds from the creation to the end of the same container, in pairs one after the other."""

    default_seconds: list[float]
    candidate_seconds: list[float]

    @property
    def ratio(self) -> float:
        """The candidate's part of the default's time: the median over the pairs.

        What else the machine does changes from pair to pair, and hardly within one.
        """
        pairs = zip(self.default_seconds, self.candidate_seconds, strict=True)
        return median(candidate / default for default, candidate in pairs)

    @property
    def is_worth_it(self) -> bool:
        """Whether the candidate is faster by what is no chance."""
        return self.ratio <= MAX_RATIO


@dataclass(frozen=True)
class TrialAnswer:
    """What is known of a container at its end."""

    exit_code: int
    trailer: Trailer | None
    output: bytes
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class TrialContainer:
    """What a container is made from."""

    runtime: str
    mount: InitMount
    image: LocalImage
    resources: Resources


class RuntimeTrial:
    """Tries runtimes on one engine."""

    def __init__(
        self,
        api: DockerRemoteApi,
        admission: Admission,
        reaper: Reaper,
        init: InitVolume,
        *,
        policy: ContainerPolicy,
    ) -> None:
        self._api = api
        self._admission = admission
        self._reaper = reaper
        self._init = init
        self._policy = policy
        self._inspector = AsyncImageInspector(api)
        self._killer = AsyncContainerKiller(api)
        self._waiter = AsyncContainerWaiter(api)
        self._deleter = AsyncContainerDeleter(api)

    async def compare(self, candidate: str, resources: Resources) -> Comparison:
        """Try ``candidate`` with these limits, and time it against the engine's default.

        Raises:
            RuntimeTrialError: it gives another answer, or a limit or a signal has no effect.
            EcsError: the engine refused, failed or vanished, or lacks the image.
        """
        mount = self._init.mount
        if mount is None:
            raise RuntimeTrialError("there is no init to try it with")
        image = await self._inspector.image(mount.image)
        default = TrialContainer(ENGINES_OWN, mount, image, resources)
        other = replace(default, runtime=candidate)
        # The first of each also reads into memory what the others find there.
        expected = await self._run(default)
        if expected.trailer is None or expected.exit_code != INIT_FAILED_EXIT_CODE:
            raise RuntimeTrialError(f"the engine's default runtime answers {expected}")
        await self._same(other, expected)
        await self._check_limits(other)
        comparison = Comparison([], [])
        pair = ((default, comparison.default_seconds), (other, comparison.candidate_seconds))
        for number in range(_PAIRS):
            # Neither has the place behind the other for itself.
            for wanted, seconds in pair if number % 2 else reversed(pair):
                seconds.append(await self._same(wanted, expected))
        return comparison

    async def _same(self, wanted: TrialContainer, expected: TrialAnswer) -> float:
        answer = await self._run(wanted)
        if answer != expected:
            raise RuntimeTrialError(f"a container ended with {answer} instead of {expected}")
        return answer.seconds

    async def _check_limits(self, wanted: TrialContainer) -> None:
        small = replace(wanted.resources, memory_bytes=_SMALL_MEMORY_BYTES)
        answer = await self._run(
            replace(wanted, resources=small), argument="x" * _LARGE_ARGUMENT_BYTES
        )
        if answer.exit_code != SIGKILL_EXIT_CODE:
            raise RuntimeTrialError(f"the limit of memory has no effect: {answer}")
        # The init's own process is one more than these.
        alone = replace(wanted.resources, pids=0)
        answer = await self._run(replace(wanted, resources=alone))
        if answer.exit_code != INIT_FAILED_EXIT_CODE or answer.trailer is not None:
            raise RuntimeTrialError(f"the limit of processes has no effect: {answer}")
        answer = await self._run(wanted, is_killed=True)
        if answer.exit_code != SIGKILL_EXIT_CODE:
            raise RuntimeTrialError(f"SIGKILL has no effect: {answer}")

    async def _run(
        self, wanted: TrialContainer, *, argument: str = "", is_killed: bool = False
    ) -> TrialAnswer:
        """Run one container to its end; one that ``is_killed`` is given no command before."""
        name = NAME_PREFIX + secrets.token_hex(16)
        try:
            # Not while tasks wait: they would wait longer, and the figures be theirs.
            refill = self._admission.refill(patience_seconds=math.inf)
            async with refill, asyncio.timeout(_CONTAINER_SECONDS):
                started = time.monotonic()
                frame = None if is_killed else _frame(wanted.mount, argument)
                answer = await self._answer(name, self._body(wanted), frame)
                seconds = time.monotonic() - started
                await self._deleter.delete(name)
                return replace(answer, seconds=seconds)
        except TimeoutError as error:
            raise RuntimeTrialError("a container did not end") from error
        finally:
            self._reaper.remove(name)

    def _body(self, wanted: TrialContainer) -> dict[str, Any]:
        request = TaskRequest(
            image=wanted.mount.image,
            cmd=(),
            timeout_seconds=_CONTAINER_SECONDS,
            resources=wanted.resources,
            network=Network.NONE,
        )
        policy = replace(self._policy, runtime=EngineRuntime(wanted.runtime))
        body = warm_body(request, wanted.image, policy, wanted.mount, life_seconds=_LIFE_SECONDS)
        # Nobody's: to its own service's sweep it would be an orphan.
        del body["Labels"][LABEL_INSTANCE]
        return body

    async def _answer(
        self, name: str, body: Mapping[str, Any], frame: InitFrame | None
    ) -> TrialAnswer:
        """Make a container and see it to its end; without a frame, kill it."""
        decoder = TrailerDecoder(frame.token if frame else new_token())
        written = b""
        async with attached_container(self._api, name, body) as attached:
            if frame is None:
                await self._killer.kill(name, "SIGKILL")
            else:
                attached.stdin.send(frame.pieces())
            async for pieces in attached.output:
                written += b"".join(data for _, data in decoder.feed(pieces))
        exit_code = await self._waiter.exit_code(name, timeout_seconds=_CONTAINER_SECONDS)
        return TrialAnswer(exit_code, decoder.trailer, written)


def _frame(mount: InitMount, argument: str) -> InitFrame:
    return InitFrame(
        token=new_token(),
        # Not as PID 1 it says so and fails: there is output, and an exit code that is not 0.
        argv=[mount.program, argument],
        environment={},
        timeout_seconds=_CONTAINER_SECONDS,
        grace_seconds=_GRACE_SECONDS,
    )
