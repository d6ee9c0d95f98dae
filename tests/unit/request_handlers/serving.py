"""The service's HTTP side in the test's own process, over runners that follow a script."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import tornado.netutil

from ecs import main
from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.request_handlers.base import Services
from ecs.settings import Settings
from ecs.tasks.model import Task
from ecs.tasks.output import OutputLimits
from tests.unit import builders
from tests.unit.request_handlers.bodies import body
from tests.unit.scripted_runner import LONG_SECONDS, Run, dispatcher_of, succeed

LIMITS = OutputLimits(excerpt_bytes=20, total_bytes=1000, memory_bytes=0, directory=None)


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    document: Any


@dataclass
class Site:
    """A server, and a client of it."""

    port: int
    services: Services
    session: aiohttp.ClientSession
    tasks: list[Task] = field(default_factory=list)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request and read the whole answer."""
        async with self.session.request(method, path, **options) as response:
            data = await response.read()
            is_json = response.content_type.endswith("json")
            document = await response.json(content_type=None) if is_json else None
            return Answer(response.status, response.headers, data, document)

    async def run(
        self, headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> Answer:
        """Post a task."""
        return await self.ask(
            "POST",
            "/v1.1/tasks",
            data=body() if data is None else data,
            headers={"Content-Type": "application/json", **(headers or {})},
        )


@asynccontextmanager
async def serving(
    run: Run = succeed, *, running: int = 10, queued: int = 10, **settings: Any
) -> AsyncIterator[Site]:
    """Serve; the engine, if a handler asks for it, is not there."""
    tasks: list[Task] = []

    async def noted(task: Task) -> None:
        tasks.append(task)
        await run(task)

    docker_host = "unix:///nowhere/docker.sock"
    dispatcher = dispatcher_of(
        noted, running=running, queued=queued, output_limits=LIMITS, drain_timeout_seconds=0.001
    )
    async with (
        DockerRemoteApi(EngineAddress(docker_host), timeout_seconds=LONG_SECONDS) as api,
        dispatcher,
    ):
        services = Services(
            Settings.model_validate(settings),
            api,
            dispatcher,
            builders.request_rules(),
            engine_met=True,
        )
        server = main._server(services.settings, services)
        (listener,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_socket(listener)
        port = listener.getsockname()[1]
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                yield Site(port, services, session, tasks)
        finally:
            server.stop()
            await server.close_all_connections()
