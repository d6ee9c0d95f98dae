"""Asks a Docker engine itself, past ECS and its client, what it holds."""

from typing import Any

from docker import DockerClient
from docker.errors import ImageNotFound, NotFound

INSTANCE_LABEL = "ecs.instance"
INIT_LABEL = "ecs.init"
TASK_PREFIX = "ecs-task-"


class EngineProbe:
    """What tests want to know of an engine; `client` is there for everything else."""

    def __init__(self, client: DockerClient) -> None:
        self.client = client

    def containers(self, instance: str) -> list[str]:
        """Names of all containers, in whatever state, that belong to this ECS instance."""
        # The low-level call: the other inspects each one, and fails when it is just removed.
        found = self.client.api.containers(
            all=True, filters={"label": f"{INSTANCE_LABEL}={instance}"}
        )
        return sorted(container["Names"][0].removeprefix("/") for container in found)

    def tasks(self, instance: str) -> list[str]:
        """Names of those that have run a task or are to: none that a pool holds ready."""
        return [name for name in self.containers(instance) if name.startswith(TASK_PREFIX)]

    def inspected(self, container: str) -> dict[str, Any]:
        """What the engine says of a container; nothing where it is not there.

        Nor is one that is listed already, for the moment until its creation has come so far.
        """
        try:
            found: dict[str, Any] = self.client.api.inspect_container(container)
        except NotFound:
            return {}
        return found

    def remove_containers(self, instance: str) -> None:
        for name in self.containers(instance):
            try:
                self.client.api.remove_container(name, force=True, v=True)
            except NotFound:
                continue

    def dangling_volumes(self) -> set[str]:
        """Names of the volumes that no container uses, but for the init's, which stays."""
        volumes = self.client.api.volumes(filters={"dangling": True})["Volumes"]
        return {
            volume["Name"] for volume in volumes or () if INIT_LABEL not in (volume["Labels"] or {})
        }

    def networks(self) -> set[str]:
        return {network["Name"] for network in self.client.api.networks()}

    def has_image(self, reference: str) -> bool:
        try:
            self.client.images.get(reference)
        except ImageNotFound:
            return False
        return True

    def remove_images(self, prefix: str) -> None:
        """Remove every tag and digest reference that begins with the prefix."""
        for image in self.client.api.images():
            references = (image["RepoTags"] or []) + (image["RepoDigests"] or [])
            for reference in filter(lambda name: name.startswith(prefix), references):
                try:
                    self.client.api.remove_image(reference, force=True)
                except ImageNotFound:  # the last tag took the digest reference with it
                    continue
