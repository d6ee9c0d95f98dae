"""Chooses between the engine's default runtime and crun, by trying and measuring.

Tasks never wait for it: until crun has proved itself, and whenever it does not, they have the
engine's default.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from statistics import median

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.system import AsyncEngineInfoReader, EngineInfo
from ecs.errors import EcsError, EngineError, EngineUnreachableError
from ecs.tasks.model import Resources
from ecs.tasks.runtime import ENGINES_OWN, EngineRuntime
from ecs.tasks.runtime_trial import Comparison, RuntimeTrialError

_log = structlog.get_logger()

CANDIDATE = "crun"
_REPLACEABLE = ("runc", "io.containerd.runc.v2")
"""Two names of what isolates as the candidate does. Another default was chosen for a reason."""
_LOOK_SECONDS = 30.0
"""Between two looks whether the engine has the same runtimes: it may be started with others."""
_PAUSE_SECONDS = 1.0
"""Between two looks at least: whoever brings what cannot be started causes no more of them."""
_DOUBT_SECONDS = 60.0
"""How often doubts may bring about a trial: a task may be at fault itself."""


def is_to_be_tried(default: str, runtimes: Collection[str]) -> bool:
    """Tell whether the candidate may stand in for ``default`` on an engine with ``runtimes``."""
    return default in _REPLACEABLE and CANDIDATE in runtimes


class RuntimeChoice:
    """The choice on one engine, kept in ``runtime``. Have ``run`` run; it rests until ``meet``."""

    def __init__(
        self,
        api: DockerRemoteApi,
        runtime: EngineRuntime,
        compare: Callable[[str, Resources], Awaitable[Comparison]],
    ) -> None:
        """Take what tries a runtime, as ``RuntimeTrial.compare`` does."""
        self._reader = AsyncEngineInfoReader(api)
        self._runtime = runtime
        self._compare = compare
        self._resources: Resources | None = None
        self._met = asyncio.Event()
        self._seen: tuple[str, frozenset[str]] | None = None
        self._tried_at = time.monotonic() - _DOUBT_SECONDS

    def meet(self, resources: Resources) -> None:
        """Begin, now that the engine is known; ``resources`` are those of a task that names none.

        Prepare the init before: it is what is run.
        """
        self._resources = resources
        self._met.set()

    async def run(self) -> None:
        """Choose now, and again when the engine's runtimes change or a task doubts, for ever."""
        await self._met.wait()
        while True:
            is_doubted = self._runtime.doubted.is_set()
            self._runtime.doubted.clear()
            await self._look(is_doubted=is_doubted)
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._runtime.doubted.wait()
            except TimeoutError:
                continue

    async def _look(self, *, is_doubted: bool) -> None:
        try:
            info = await self._reader.read()
        except EngineError:
            return  # whoever needs the engine tells of it
        seen = info.default_runtime, info.runtimes
        is_overdue = is_doubted and time.monotonic() - self._tried_at > _DOUBT_SECONDS
        if seen == self._seen and not is_overdue:
            return
        self._seen = seen
        if CANDIDATE not in info.runtimes:
            self._runtime.name = ENGINES_OWN  # at once: the engine refuses the other
        self._runtime.name = await self._choose(info)
        self._tried_at = time.monotonic()

    async def _choose(self, info: EngineInfo) -> str:
        default = info.default_runtime
        if not is_to_be_tried(default, info.runtimes):
            _log.info("runtime chosen", runtime=default, engine_has=sorted(info.runtimes))
            return ENGINES_OWN
        assert self._resources is not None  # the engine was met
        try:
            comparison = await self._compare(CANDIDATE, self._resources)
        except (EcsError, RuntimeTrialError) as error:
            if isinstance(error, EngineUnreachableError):
                self._seen = None  # that says nothing of the runtime
            _log.warning(f"{CANDIDATE} is not used", runtime=default, error=str(error))
            return ENGINES_OWN
        chosen = CANDIDATE if comparison.is_worth_it else default
        _log.info(
            "runtime chosen",
            runtime=chosen,
            default_runtime=default,
            default_median_seconds=round(median(comparison.default_seconds), 4),
            crun_median_seconds=round(median(comparison.candidate_seconds), 4),
            ratio=round(comparison.ratio, 3),
        )
        return CANDIDATE if comparison.is_worth_it else ENGINES_OWN
