"""Verbs that tell of containers: inspect, list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecs.docker_remote_api.fields import boolean, elements, integer, mapping, text
from ecs.docker_remote_api.verb import Verb, label_filter


@dataclass(frozen=True)
class ContainerState:
    """What ``inspect`` says of a container's process."""

    status: str
    exit_code: int
    oom_killed: bool
    error: str


class AsyncContainerInspector(Verb):
    """``GET /containers/{id}/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerInspect
    """

    async def state(self, container: str) -> ContainerState:
        """Return the state of a container's process.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request("GET", f"/containers/{container}/json")
        state = mapping(answer, "State")
        return ContainerState(
            status=text(state, "Status"),
            exit_code=integer(state, "ExitCode"),
            oom_killed=boolean(state, "OOMKilled"),
            error=text(state, "Error"),
        )


@dataclass(frozen=True)
class ListedContainer:
    """One container of a list."""

    container_id: str
    names: Sequence[str]
    labels: Mapping[str, str]
    state: str


class AsyncContainerLister(Verb):
    """``GET /containers/json``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerList
    """

    async def with_label(self, label: str) -> list[ListedContainer]:
        """Return all containers, running or not, that carry ``label`` (``name`` or ``name=value``).

        Raises:
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request(
            "GET",
            "/containers/json",
            params={"all": "1", "filters": label_filter(label)},
        )
        return [
            ListedContainer(
                container_id=text(item, "Id"),
                names=[str(name).removeprefix("/") for name in item.get("Names") or ()],
                labels=mapping(item, "Labels"),
                state=text(item, "State"),
            )
            for item in elements(answer, "containers")
        ]
