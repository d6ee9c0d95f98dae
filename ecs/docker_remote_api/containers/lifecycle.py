"""Verbs that make, run and end a container: create, start, rename, wait, kill, delete."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from ecs.docker_remote_api.connection import read_whole
from ecs.docker_remote_api.fields import integer, mapping, parsed, text
from ecs.docker_remote_api.verb import Verb
from ecs.errors import EngineFailedError, EngineUnreachableError


class AsyncContainerCreator(Verb):
    """``POST /containers/create``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
    """

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container from the API's own body and return its id.

        Raises:
            EngineNotFoundError: there is no such image.
            EngineConflictError: the name is taken.
            EngineRefusedError: a bad parameter; the text is the engine's.
            EngineError: no answer, or none of the API.
        """
        answer = await self._api.request(
            "POST", "/containers/create", params={"name": name}, body=body
        )
        return text(answer, "Id")


class AsyncContainerStarter(Verb):
    """``POST /containers/{id}/start``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerStart
    """

    async def start(self, container: str) -> None:
        """Start a created container.

        Raises:
            EngineRefusedError: its command cannot be run (``inspect`` tells 126 or 127), or it
                has no network of that name.
            EngineError: the engine failed, no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/start")


class AsyncContainerRenamer(Verb):
    """``POST /containers/{id}/rename``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerRename
    """

    async def rename(self, container: str, name: str) -> None:
        """Give a container another name; it may be running.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineConflictError: the name is taken.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/rename", params={"name": name})


class AsyncContainerWaiter(Verb):
    """``POST /containers/{id}/wait``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerWait
    """

    async def exit_code(self, container: str, *, timeout_seconds: float) -> int:
        """Return the exit code of a container that was started, as soon as it does not run.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineFailedError: the engine could not wait; the text is its own.
            EngineUnreachableError: it did not end in time, or no answer.
            EngineError: the answer is none of the API.
        """
        answer = await self._api.request(
            "POST",
            f"/containers/{container}/wait",
            params={"condition": "not-running"},
            timeout_seconds=timeout_seconds,
        )
        return _exit_code(answer)

    @asynccontextmanager
    async def next_exit(self, container: str) -> AsyncIterator["ContainerExit"]:
        """Wait for the next exit; entered when the engine has taken the wait.

        Open it before the start: asked after the exit it never answers. Leave it if the start
        fails: it would never answer either.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineError: no answer, or none of the API.
        """
        async with self._api.stream(
            "POST", f"/containers/{container}/wait", params={"condition": "next-exit"}
        ) as response:
            yield ContainerExit(response)


class ContainerExit:
    """An exit that is still to come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def code(self) -> int:
        """Return the exit code, 0 to 255, when the container has exited.

        Raises:
            EngineFailedError: the engine could not wait; the text is its own.
            EngineError: the connection broke, or the answer is none of the API.
        """
        body = await read_whole(self._response)
        if not body:
            raise EngineUnreachableError("the engine ended the wait without an exit code")
        return _exit_code(parsed(body, "the engine's answer to wait is not JSON"))


def _exit_code(answer: object) -> int:
    failure = mapping(answer, "Error")
    if failure:
        raise EngineFailedError(str(failure.get("Message")))
    return integer(answer, "StatusCode")


class AsyncContainerKiller(Verb):
    """``POST /containers/{id}/kill``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerKill
    """

    async def kill(self, container: str, signal: str) -> None:
        """Send ``signal`` (such as ``SIGTERM``) to the container's main process.

        Raises:
            EngineNotFoundError: there is no such container.
            EngineConflictError: it is not running.
            EngineError: no answer, or none of the API.
        """
        await self._api.request("POST", f"/containers/{container}/kill", params={"signal": signal})


class AsyncContainerDeleter(Verb):
    """``DELETE /containers/{id}``.

    https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerDelete
    """

    async def delete(self, container: str) -> None:
        """Kill a container if it runs, and delete it with its anonymous volumes.

        Raises:
            EngineNotFoundError: there is no such container (any more).
            EngineConflictError: it is being deleted already.
            EngineError: no answer, or none of the API.
        """
        await self._api.request(
            "DELETE", f"/containers/{container}", params={"force": "1", "v": "1"}
        )
