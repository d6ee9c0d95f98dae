"""The pool of warm containers: started ahead, each for one task, never a task that waits for one.

For images that the operator names, and for what was asked for lately as far as the memory for that
goes. Whoever finds none takes the next way at once.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import structlog

from ecs.docker_remote_api.connection import DockerRemoteApi
from ecs.docker_remote_api.containers import AsyncContainerRenamer
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import AsyncImageInspector, LocalImage
from ecs.errors import EngineError, EngineFailedError, EngineRefusedError, ImageNotFoundError
from ecs.tasks.admission import Admission
from ecs.tasks.container_spec import ContainerPolicy, warm_body
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Profile, PullPolicy, Resources, TaskRequest
from ecs.tasks.pooled_containers import PooledContainers, Setback
from ecs.tasks.reaper import Reaper
from ecs.tasks.warm_container import NAME_PREFIX, WarmContainer, waiting_container
from ecs.tasks.warm_demand import WarmDemand
from ecs.tasks.warm_key import WarmKey, WarmKind, can_be_warm
from ecs.tasks.warm_targets import WarmRules, WarmTarget, warm_targets

_log = structlog.get_logger()

_DEADLINE_MARGIN_SECONDS = 600.0
_GIVE_WAY_SECONDS = 0.05
"""From a hand-over to the refill: a short command has ended by then, and had the CPU to itself."""
_LOOK_AT_IMAGES_SECONDS = 5.0
"""Between two looks where the tags of the named images point."""


class WarmPool:
    """The pool of one engine. Use as an async context manager, and have ``run`` run.

    ``hits`` and ``misses`` count the tasks that a container was there for, or not; ``retired`` the
    containers that went without a task, by reason.
    """

    def __init__(
        self,
        api: DockerRemoteApi,
        admission: Admission,
        reaper: Reaper,
        init: InitVolume,
        *,
        policy: ContainerPolicy,
        rules: WarmRules,
    ) -> None:
        self._api = api
        self._admission = admission
        self._init = init
        self._policy = policy
        self._rules = rules
        self._renamer = AsyncContainerRenamer(api)
        self._inspector = AsyncImageInspector(api)
        self._defaults: tuple[Resources, Profile] | None = None
        self._images: dict[ImageReference, LocalImage] = {}
        self._looked_at = -_LOOK_AT_IMAGES_SECONDS
        self._demand = WarmDemand()
        self.containers: PooledContainers[WarmContainer] = PooledContainers(
            admission,
            reaper,
            name_prefix=NAME_PREFIX,
            # Each one serves a single task: those that wait would win nothing by it.
            patience_seconds=math.inf,
            serve=self._serve,
        )
        self._idle: list[WarmContainer] = []
        """The oldest first."""
        self._held: set[WarmContainer] = set()
        self._setbacks: dict[WarmKind, Setback] = {}
        self._met = asyncio.Event()
        self._closing = False
        self.hits = self.misses = 0
        self.retired: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self.containers.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
        await self.containers.__aexit__(*exc_info)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many containers there are, by state."""
        known = {
            "starting": self.containers.making,
            "idle": len(self._idle),
            "held": len(self._held),
        }
        return {**known, "leaving": len(self.containers) - sum(known.values())}

    def meet(self, resources: Resources, profile: Profile) -> None:
        """Begin, now that the engine is known; the arguments are those of a task that names none.

        There are no warm containers before the init is there.
        """
        if not self._rules.named and not self._rules.beyond_named:
            return
        if self._init.mount is None:
            _log.warning("no warm containers as long as there is no init")
        self._defaults = resources, profile
        self._met.set()

    def has_one_for(self, request: TaskRequest) -> bool:
        """Tell whether ``reserve`` would return a container now."""
        return self._likely(request) is not None

    def reserve(self, request: TaskRequest) -> WarmContainer | None:
        """Return a container that will likely do, for a task whose image is still to be resolved.

        It need not wait for a place in the engine's lane then. Have ``take`` decide, or give it
        back with ``release``.
        """
        return self._hold(self._likely(request))

    def take(
        self, request: TaskRequest, image: LocalImage, reserved: WarmContainer | None
    ) -> WarmContainer | None:
        """Return a container for a task that may run ``image``, or ``None`` at once if none is.

        Give it back with ``release``; what was ``reserved`` is taken or given back here.
        """
        if not self._met.is_set() or not can_be_warm(request):
            return None
        key = WarmKey.of(request, image.image_id)
        if self._rules.beyond_named:
            self._demand.note(WarmKind(key, request.image), image)
        self.containers.notify()
        found = reserved
        if found is None or found.kind.key != key:
            if found is not None:
                self.release(found)
            found = self._hold(next((w for w in self._usable() if w.kind.key == key), None))
        self._see(request.image, image)
        self.hits += found is not None
        self.misses += found is None
        return found

    def release(self, warm: WarmContainer) -> None:
        """Take a container back: an unused one for another task, any other to be deleted."""
        self._held.discard(warm)
        if warm.used or warm.has_ended or self._closing:
            warm.release()
        else:
            self._idle.insert(0, warm)

    async def close(self) -> None:
        """Make no more, and hand all there are to the reaper. Have ``run`` cancelled before."""
        self._closing = True
        self._idle.clear()
        await self.containers.close()

    async def run(self) -> None:
        """Keep the pool at its size, until cancelled."""
        await self._met.wait()
        while True:
            await self._look_at_images()
            targets = self._targets()
            self._retire_surplus(targets)
            kind = self._next_kind(targets) if self._init.mount else None
            # Not while a task waits: it would wait longer, be it for the engine alone.
            if kind is None or self._admission.queue_length:
                if await self.containers.change():
                    await asyncio.sleep(_GIVE_WAY_SECONDS)
            else:
                await self._make(kind, targets[kind].image)

    def _likely(self, request: TaskRequest) -> WarmContainer | None:
        if not can_be_warm(request) or request.pull is PullPolicy.ALWAYS:
            return None
        for warm in self._usable():
            kind = warm.kind
            if kind.image == request.image and kind.key == WarmKey.of(request, kind.key.image_id):
                return warm
        return None

    def _usable(self) -> list[WarmContainer]:
        # One that is too old may still be there while the pool waits for its turn to make another.
        return [warm for warm in self._idle if warm.age_seconds <= self._rules.max_age_seconds]

    def _hold(self, warm: WarmContainer | None) -> WarmContainer | None:
        if warm is not None:
            self._idle.remove(warm)
            self._held.add(warm)
        return warm

    async def _look_at_images(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_AT_IMAGES_SECONDS:
            return
        self._looked_at = now
        for reference in self._rules.named:
            try:
                self._see(reference, await self._inspector.image(reference))
            except ImageNotFoundError:
                self._images.pop(reference, None)
            except EngineError as error:
                _log.warning("a warm image cannot be looked at", error=str(error))

    def _see(self, reference: ImageReference, image: LocalImage) -> None:
        """Know what ``reference`` is now, and let go what was made of something else."""
        if reference in self._rules.named:
            self._images[reference] = image
        for warm in list(self._idle):
            if warm.kind.image == reference and warm.kind.key.image_id != image.image_id:
                self._demand.forget(warm.kind)
                self._retire(warm, "image replaced")

    def _targets(self) -> dict[WarmKind, WarmTarget]:
        assert self._defaults is not None  # the engine was met
        resources, profile = self._defaults
        return warm_targets(
            self._rules, self._images, self._demand, resources=resources, profile=profile
        )

    def _retire_surplus(self, targets: Mapping[WarmKind, WarmTarget]) -> None:
        counts: Counter[WarmKind] = Counter()
        for warm in reversed(self._idle[:]):
            kind = warm.kind
            counts[kind] += 1
            if warm.age_seconds > self._rules.max_age_seconds:
                self._retire(warm, "age")
            elif kind not in targets or counts[kind] > targets[kind].count:
                self._retire(warm, "not needed")

    def _next_kind(self, targets: Mapping[WarmKind, WarmTarget]) -> WarmKind | None:
        """Return of which kind the least share is there, ``None`` if all are."""
        self._setbacks = {kind: it for kind, it in self._setbacks.items() if kind in targets}
        paused = {kind for kind, it in self._setbacks.items() if not it.is_over}
        idle = Counter(warm.kind for warm in self._idle)
        shares = {
            kind: idle[kind] / target.count
            for kind, target in targets.items()
            if idle[kind] < target.count and kind not in paused
        }
        return min(shares, key=lambda kind: shares[kind], default=None)

    async def _make(self, kind: WarmKind, image: LocalImage) -> None:
        error = await self.containers.make(lambda name: self._new(name, kind, image))
        if error is None:
            self._setbacks.pop(kind, None)
            return
        _log.warning("no warm container could be made", image=str(kind.image), error=str(error))
        self._setbacks.setdefault(kind, Setback()).note()
        if isinstance(error, EngineRefusedError | EngineFailedError):
            self._init.doubt()  # its volume may be gone

    @asynccontextmanager
    async def _new(
        self, name: str, kind: WarmKind, image: LocalImage
    ) -> AsyncIterator[WarmContainer]:
        assert self._init.mount is not None  # none is made before
        body = warm_body(
            kind.key.request(kind.image),
            image,
            self._policy,
            self._init.mount,
            life_seconds=self._rules.max_age_seconds
            + self._rules.max_run_seconds
            + _DEADLINE_MARGIN_SECONDS,
        )
        async with waiting_container(self._api, name, body, kind) as warm:
            yield warm

    async def _serve(self, warm: WarmContainer) -> None:
        self._idle.append(warm)
        warm.first_output.add_done_callback(lambda _: self._ended(warm))
        await warm.left_pool.wait()
        if warm.task_name:
            # Beside the task, which does not wait for its container's name.
            try:
                await self._renamer.rename(warm.container, warm.task_name)
            except EngineError as error:
                _log.warning("a warm container kept its name", error=str(error))
        await warm.released.wait()

    def _ended(self, warm: WarmContainer) -> None:
        if warm in self._idle:
            self._retire(warm, "ended by itself")

    def _retire(self, warm: WarmContainer, reason: str) -> None:
        self._idle.remove(warm)
        self.retired[reason] += 1
        _log.debug("warm container retired", image=str(warm.kind.image), reason=reason)
        warm.release()
