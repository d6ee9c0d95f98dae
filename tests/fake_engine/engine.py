"""A Docker Engine that is well: what it answers when no script says otherwise."""

import asyncio
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fake_engine.connection import RAW_STREAM, Connection
from tests.fake_engine.containers import STDOUT, Container, execute, frame, read_init_frame
from tests.fake_engine.requests import Request
from tests.fake_engine.server import ScriptedServer

BUSYBOX = "docker.io/library/busybox:latest"
REMOTE_IMAGE = "registry.example/team/image:1"
"""An image that the engine has not, but can pull."""
WARM_NAME_PREFIX = "ecs-warm-"


def image_id(name: str) -> str:
    """An id that belongs to a name."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


class FakeEngine(ScriptedServer):
    """Its containers and images are entries of dicts."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.containers: dict[str, Container] = {}  # by name
        self.images = {BUSYBOX: image_id(BUSYBOX)}  # by reference
        self.registry = {REMOTE_IMAGE: image_id(REMOTE_IMAGE)}  # by reference: what can be pulled
        self.passwords: dict[str, tuple[str, str]] = {}  # by reference: who may pull it
        self.looks: list[str] = []  # what sandboxes answer next; "clean" when there is nothing here
        self.execute = execute

    def container(self, name_or_id: str) -> Container | None:
        """The container of that name or id."""
        for container in self.containers.values():
            if name_or_id in (container.name, container.container_id):
                return container
        return None

    async def play(self, request: Request, connection: Connection) -> None:
        """Do what a healthy engine does."""
        await getattr(self, f"_{request.verb}")(request, connection)

    async def _ping(self, _: Request, connection: Connection) -> None:
        await connection.head(200, Api_Version=self.api_version, Content_Length="0")
        connection.is_reusable = True

    async def _info(self, _: Request, connection: Connection) -> None:
        runtimes = {"Runtimes": {"runc": {}}, "DefaultRuntime": "runc"}
        size = {"NCPU": 2, "MemTotal": 8 * 2**30}
        await connection.answer(
            200, {"ServerVersion": "fake", "Architecture": "fake", **runtimes, **size}
        )

    async def _network(self, _: Request, connection: Connection) -> None:
        options = {"com.docker.network.bridge.enable_icc": "false"}
        await connection.answer(200, {"Options": options})

    async def _list_images(self, request: Request, connection: Connection) -> None:
        if "filters" in request.query:
            await connection.answer(200, [])  # none has a label
            return
        await connection.answer(200, [{"Id": found} for found in set(self.images.values())])

    async def _inspect_image(self, request: Request, connection: Connection) -> None:
        if request.target in self.images:
            document = {"Id": self.images[request.target], "Config": {"Volumes": None}}
            await connection.answer(200, document)
        else:
            await connection.answer(404, {"message": f"No such image: {request.target}"})

    async def _delete_image(self, request: Request, connection: Connection) -> None:
        if self.images.pop(request.target, None):
            await connection.answer(200, [{"Untagged": request.target}])
        else:
            await connection.answer(404, {"message": f"No such image: {request.target}"})

    async def _pull(self, request: Request, connection: Connection) -> None:
        if "fromSrc" in request.query:
            reference = f"{request.query['repo']}:{request.query['tag']}"
            self.images[reference] = image_id(reference)
            await connection.answer(200, {"status": image_id(reference)})
            return
        reference = request.reference
        if reference not in self.registry:
            message = f"manifest for {reference} not found: manifest unknown"
            await connection.answer(404, {"message": message})
        elif request.credentials != self.passwords.get(reference, request.credentials):
            message = "unauthorized: authentication required"
            await connection.answer(500, {"message": message})
        else:
            await connection.begin()
            await connection.line(status=f"Pulling from {reference}", id="latest")
            self.images[reference] = self.registry[reference]
            await connection.line(status=f"Status: Downloaded newer image for {reference}")
            await connection.end()

    async def _list(self, request: Request, connection: Connection) -> None:
        (label,) = json.loads(request.query["filters"])["label"]
        documents = [
            {
                "Id": container.container_id,
                "Names": [f"/{container.name}"],
                "Labels": container.body["Labels"],
                "State": container.status,
            }
            for container in self.containers.values()
            if label in container.body["Labels"]
        ]
        await connection.answer(200, documents)

    async def _create(self, request: Request, connection: Connection) -> None:
        container = Container(secrets.token_hex(32), request.query["name"], request.body)
        self.containers[container.name] = container
        await connection.answer(201, {"Id": container.container_id, "Warnings": []})

    async def _attach(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is None:
            return
        if request.query.get("stdin"):
            await self._attach_input(container, connection)
        else:
            await self._attach_output(container, connection)

    async def _attach_input(self, container: Container, connection: Connection) -> None:
        await connection.head(101, Connection="Upgrade", Upgrade="tcp")
        if container.is_sandbox:
            await self._look(container, connection)
            return
        while data := await connection.reader.read(65536):
            container.stdin.feed_data(data)
        container.stdin.feed_eof()

    async def _attach_output(self, container: Container, connection: Connection) -> None:
        await connection.head(200, Content_Type=RAW_STREAM)
        while container.is_sandbox and (answer := await container.answers.get()):
            await connection.send(frame(STDOUT, answer))
        await container.started.wait()
        await connection.send(container.output)
        await container.ended.wait()

    async def _look(self, container: Container, connection: Connection) -> None:
        is_first = True
        while await connection.reader.read(1):
            answer = "ready" if is_first else self.looks.pop(0) if self.looks else "clean"
            container.answers.put_nowait(f"{answer}\n".encode())
            is_first = False
        container.end(0)

    async def _wait(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None:
            await connection.begin()
            await container.ended.wait()
            await connection.line(StatusCode=container.exit_code)
            await connection.end()

    async def _start(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is None:
            return
        container.status = "running"
        if container.name.startswith(WARM_NAME_PREFIX):
            self.go_on(self._serve_warm(container))
        elif container.has_init:
            container.token, command = await read_init_frame(container.stdin)
            self.execute(container, command)
        else:
            self.execute(container, container.body.get("Cmd") or ["sleep"])
        await connection.answer(204)

    async def _serve_warm(self, container: Container) -> None:
        try:
            container.token, command = await read_init_frame(container.stdin)
        except asyncio.IncompleteReadError:
            container.end(125)
        else:
            self.execute(container, command)

    async def _rename(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None:
            del self.containers[container.name]
            container.name = request.query["name"]
            self.containers[container.name] = container
            await connection.answer(204)

    async def _kill(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is None:
            return
        if container.status != "running":
            await connection.answer(409, {"message": f"{container.name} is not running"})
            return
        container.end({"SIGTERM": 143, "SIGKILL": 137}[request.query["signal"]])
        await connection.answer(204)

    async def _inspect(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None:
            state = {
                "Status": container.status,
                "ExitCode": container.exit_code,
                "OOMKilled": container.oom_killed,
                "Error": "",
            }
            await connection.answer(200, {"Id": container.container_id, "State": state})

    async def _delete(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None:
            del self.containers[container.name]
            container.end(137)
            await connection.answer(204)

    async def _put_archive(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None:
            container.archive = request.body
            await connection.answer(200)

    async def _get_archive(self, request: Request, connection: Connection) -> None:
        container = await self._found(request, connection)
        if container is not None and container.archive:
            size = str(len(container.archive))
            await connection.head(200, Content_Type="application/x-tar", Content_Length=size)
            await connection.send(container.archive)
            connection.is_reusable = True
        elif container is not None:
            await connection.answer(404, {"message": f"no such file: {request.query['path']}"})

    async def _create_volume(self, request: Request, connection: Connection) -> None:
        name = request.body["Name"]
        await connection.answer(201, {"Name": name, "Mountpoint": f"/volumes/{name}"})

    async def _list_volumes(self, _: Request, connection: Connection) -> None:
        await connection.answer(200, {"Volumes": None})

    async def _found(self, request: Request, connection: Connection) -> Container | None:
        container = self.container(request.target)
        if container is None:
            await connection.answer(404, {"message": f"No such container: {request.target}"})
        return container


@asynccontextmanager
async def fake_engine() -> AsyncIterator[FakeEngine]:
    """Run one, on a socket of its own."""
    # A short path: one of a unix socket is limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="ecs-fake-"))
    engine = FakeEngine(directory / "docker.sock")
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
        shutil.rmtree(directory)
