"""Listens, and plays at each request the script that a test has laid ready for its verb."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from pathlib import Path

from tests.fake_engine.connection import Connection
from tests.fake_engine.requests import ROUTES, Request, read_request
from tests.fake_engine.scripts import Script, answers


class ScriptedServer(ABC):
    """Scripted per verb: the names of `ROUTES`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.docker_host = f"unix://{path}"
        self.api_version = "1.41"
        self.requests: list[Request] = []
        self._always: dict[str, Script] = {}
        self._next: dict[str, list[Script]] = {}
        self._server: asyncio.Server | None = None
        self._work: set[asyncio.Task[None]] = set()  # connections, and what outlives them

    @abstractmethod
    async def play(self, request: Request, connection: Connection) -> None:
        """Do what a healthy engine does."""

    def always(self, verb: str, script: Script) -> None:
        """Play the script at every request from now on."""
        assert verb in ROUTES
        self._always[verb] = script

    def next(self, verb: str, *scripts: Script) -> None:
        """Play the scripts at the next requests, one each."""
        assert verb in ROUTES
        self._next.setdefault(verb, []).extend(scripts)

    def behave(self) -> None:
        """Play well from now on."""
        self._always.clear()
        self._next.clear()

    def asked(self, verb: str) -> list[Request]:
        """The requests of the verb, in order."""
        assert verb in ROUTES
        return [request for request in self.requests if request.verb == verb]

    def count(self, verb: str) -> int:
        """How often the verb was asked for."""
        return len(self.asked(verb))

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Vanish: nothing listens, every connection breaks. The containers stay."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        work = list(self._work)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)

    def go_on(self, work: Coroutine[None, None, None]) -> None:
        """Do this until it ends or the engine vanishes, whoever hangs up."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._work.add(task)
        try:
            while request := await read_request(reader):
                self.requests.append(request)
                connection = Connection(reader, writer)
                await self._script(request)(request, connection)
                if not connection.is_reusable:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        except asyncio.CancelledError:
            pass  # by stop(), which waits for it; asyncio's streams cannot bear a cancelled task
        finally:
            self._work.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _script(self, request: Request) -> Script:
        if self._next.get(request.verb):
            return self._next[request.verb].pop(0)
        if request.verb in self._always:
            return self._always[request.verb]
        if _numbers(request.version) > _numbers(self.api_version):
            message = f"client version {request.version} is too new. Maximum supported API version"
            return answers(400, {"message": f"{message} is {self.api_version}"})
        return self.play


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number)
