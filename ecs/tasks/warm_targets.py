"""How many warm containers of each kind there are to be."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecs.docker_remote_api.image_reference import ImageReference
from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.model import Profile, Resources, TaskRequest
from ecs.tasks.warm_demand import WarmDemand
from ecs.tasks.warm_key import WarmKey, WarmKind

WARM_CONTAINER_BYTES = 4 * 1024 * 1024
"""By how much an idle one lowers the machine's available memory; see docs/decisions/warm.md."""


@dataclass(frozen=True)
class WarmRules:
    """What the operator decides about warm containers."""

    named: Mapping[ImageReference, int]
    """How many are kept of an image, for tasks with the default resources, profile and network."""
    memory_bytes: int
    """For those of other kinds, or beyond these numbers; see ``WARM_CONTAINER_BYTES``."""
    max_age_seconds: float
    max_run_seconds: float
    """How long a task may run in one that has just not reached that age."""

    @property
    def beyond_named(self) -> int:
        """How many the memory is for."""
        return self.memory_bytes // WARM_CONTAINER_BYTES


@dataclass(frozen=True)
class WarmTarget:
    """How many idle containers of one kind there are to be, and what they are made of."""

    image: LocalImage
    count: int


def warm_targets(
    rules: WarmRules,
    images: Mapping[ImageReference, LocalImage],
    demand: WarmDemand,
    *,
    resources: Resources,
    profile: Profile,
) -> dict[WarmKind, WarmTarget]:
    """Return the targets: what is named, and then what is wanted most as far as the memory goes.

    ``images`` are those of the named ones that are there; ``resources`` and ``profile`` what a
    task gets that does not say.
    """
    targets = {}
    for reference, image in images.items():
        request = TaskRequest(reference, (), 0.0, resources, profile=profile)
        kind = WarmKind(WarmKey.of(request, image.image_id), reference)
        targets[kind] = WarmTarget(image, rules.named[reference])
    room = rules.beyond_named
    for kind, image, wanted in demand.kinds():
        named = targets[kind].count if kind in targets else 0
        more = min(wanted - named, room)
        if more > 0:
            targets[kind] = WarmTarget(image, named + more)
            room -= more
    return targets
