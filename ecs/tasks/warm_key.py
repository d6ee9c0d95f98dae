"""Which tasks a container that was started ahead can serve: all that the engine fixed is as asked.

Command, environment, standard input and time limit come with the init's frame; what is fixed when
a container is created makes the key.
"""

from dataclasses import dataclass

from ecs.docker_remote_api.image_reference import ImageReference
from ecs.tasks.container_spec import container_user, has_task_network
from ecs.tasks.model import Network, Profile, Resources, TaskRequest


@dataclass(frozen=True)
class WarmKey:
    """What a container was created with.

    The image is its id: a tag that moves is another key. ``user`` and ``workdir`` are ``None``
    where the image's own count.
    """

    image_id: str
    user: str | None
    workdir: str | None
    resources: Resources
    has_task_network: bool
    profile: Profile

    @classmethod
    def of(cls, request: TaskRequest, image_id: str) -> "WarmKey":
        """Return the key of the containers that can serve ``request``."""
        return cls(
            image_id=image_id,
            user=container_user(request),
            workdir=request.workdir,
            resources=request.resources,
            has_task_network=has_task_network(request),
            profile=request.profile,
        )

    def request(self, image: ImageReference) -> TaskRequest:
        """Return a request that has this key, for the container to be created from."""
        return TaskRequest(
            image=image,
            cmd=(),
            timeout_seconds=0.0,
            resources=self.resources,
            user=self.user,
            workdir=self.workdir,
            network=Network.DEFAULT if self.has_task_network else Network.NONE,
            profile=self.profile,
        )


@dataclass(frozen=True)
class WarmKind:
    """What a number of containers are alike in: made for ``image``, which stands for its id."""

    key: WarmKey
    image: ImageReference


def can_be_warm(request: TaskRequest) -> bool:
    """Tell whether ``request`` asks for nothing that a running container can no longer be given."""
    return not request.labels
