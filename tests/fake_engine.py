"""An engine that fails on demand: it plays the Docker Remote API well until a test says otherwise.

It speaks HTTP/1.1 on a unix socket, by hand, so that it can also speak it badly. Its containers
are entries of a dict: ``sleep`` runs until it is killed, ``/sandbox`` answers until its input ends,
any other command echoes its arguments. Those that are to start ECS's own init say what that says;
the warm ones among them wait for their command after they have started.
"""

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import json
import re
import secrets
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BUSYBOX = "docker.io/library/busybox:latest"
RAW_STREAM = "application/vnd.docker.raw-stream"
STDOUT, STDERR, DAEMON_ERROR = 1, 2, 3

ROUTES = {
    "ping": r"HEAD /_ping",
    "info": r"GET /info",
    "network": r"GET /networks/(.+)",
    "list_images": r"GET /images/json",
    "inspect_image": r"GET /images/(.+)/json",
    "pull": r"POST /images/create",
    "list": r"GET /containers/json",
    "create": r"POST /containers/create",
    "attach": r"POST /containers/(.+)/attach",
    "wait": r"POST /containers/(.+)/wait",
    "start": r"POST /containers/(.+)/start",
    "rename": r"POST /containers/(.+)/rename",
    "kill": r"POST /containers/(.+)/kill",
    "inspect": r"GET /containers/(.+)/json",
    "delete": r"DELETE /containers/(.+)",
    "put_archive": r"PUT /containers/(.+)/archive",
    "get_archive": r"GET /containers/(.+)/archive",
    "create_volume": r"POST /volumes/create",
    "list_volumes": r"GET /volumes",
}
VERSIONED = re.compile(r"(?:/v([0-9.]+))?(/.*)")


def frame(stream: int, payload: bytes) -> bytes:
    """One frame of an attach."""
    return struct.pack(">BxxxI", stream, len(payload)) + payload


FRAME_HEADER = struct.Struct(">8s16sQIIIII")


async def read_frame(stdin: asyncio.StreamReader) -> tuple[bytes, list[str]]:
    """The token and the command that the init is given."""
    header = FRAME_HEADER.unpack(await stdin.readexactly(FRAME_HEADER.size))
    _, token, _, _, _, arguments, _, size = header
    strings = (await stdin.readexactly(size)).decode().split("\0")
    return token, strings[:arguments]


def image_id(name: str) -> str:
    """An id that belongs to a name."""
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


@dataclasses.dataclass(frozen=True)
class Request:
    """One request; `target` is the container, image or network it names."""

    verb: str
    version: str  # "1.41", or "" where the path has none
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def reference(self) -> str:
        """What a pull asks for."""
        tag = self.query["tag"]
        return f"{self.query['fromImage']}{'@' if ':' in tag else ':'}{tag}"

    @property
    def credentials(self) -> tuple[str, str] | None:
        """What a pull shows to the registry."""
        header = self.headers.get("x-registry-auth")
        if header is None:
            return None
        document = json.loads(base64.urlsafe_b64decode(header))
        return document["username"], document["password"]


class Connection:
    """The engine's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.is_reusable = False

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, **headers: str) -> None:
        """Send the status line and the headers."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "\r\n"]).encode())

    async def answer(self, status: int, document: Any = None, **headers: str) -> None:
        """Send a whole answer."""
        body = b"" if document is None else json.dumps(document).encode()
        await self.head(
            status, Content_Type="application/json", Content_Length=str(len(body)), **headers
        )
        await self.send(body)
        self.is_reusable = True

    async def begin(self) -> None:
        """Begin an answer in chunks."""
        await self.head(200, Content_Type="application/json", Transfer_Encoding="chunked")

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def line(self, **fields: Any) -> None:
        """Send one line of JSON, as a pull does."""
        await self.chunk(json.dumps(fields).encode() + b"\r\n")

    async def end(self) -> None:
        """End an answer in chunks."""
        await self.send(b"0\r\n\r\n")
        self.is_reusable = True

    async def left(self) -> None:
        """Return when the client has closed its end."""
        while await self.reader.read(65536):
            pass


Script = Callable[[Request, Connection], Awaitable[None]]


def answers(status: int, document: Any = None) -> Script:
    """Answer with a status, and a document or nothing."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.answer(status, document)

    return script


def sends(data: bytes) -> Script:
    """Send these bytes, whatever they mean, and close the connection."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.send(data)

    return script


def streams(*chunks: bytes, ends: bool = True) -> Script:
    """Answer 200 in chunks; the last one, which says that this is the end, can be left out."""

    async def script(_: Request, connection: Connection) -> None:
        await connection.begin()
        for chunk in chunks:
            await connection.chunk(chunk)
        if ends:
            await connection.end()

    return script


async def closes(_: Request, connection: Connection) -> None:
    """Close the connection without a word."""


async def hangs(_: Request, connection: Connection) -> None:
    """Say nothing until the client goes away."""
    await connection.left()


async def hangs_after_head(_: Request, connection: Connection) -> None:
    """Send the headers, and then nothing until the client goes away."""
    await connection.begin()
    await connection.left()


@dataclasses.dataclass
class Container:
    """One container."""

    container_id: str
    name: str
    body: dict[str, Any]
    status: str = "created"
    exit_code: int = 0
    oom_killed: bool = False
    output: bytes = b""
    archive: bytes = b""
    answers: asyncio.Queue[bytes] = dataclasses.field(default_factory=asyncio.Queue)  # a sandbox's
    stdin: asyncio.StreamReader = dataclasses.field(default_factory=asyncio.StreamReader)
    started: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    token: bytes = b""
    """Of the frame that the init was given."""

    @property
    def has_init(self) -> bool:
        """Whether it starts ECS's own program."""
        return bool(self.body["HostConfig"].get("Mounts"))

    def trailers(self, *, flags: int = 2, wait_status: int = 0, oom_kills: int = 0) -> bytes:
        """What the init says at the end, on both streams; nothing where there is none."""
        if not self.has_init:
            return b""
        said = self.token + struct.pack(">IIII", flags, wait_status, 0, oom_kills)
        return frame(STDOUT, said) + frame(STDERR, said)

    @property
    def is_sandbox(self) -> bool:
        return self.body.get("Entrypoint") == ["/sandbox"]

    def end(self, exit_code: int) -> None:
        """Let its process end."""
        self.status, self.exit_code = "exited", exit_code
        self.started.set()
        self.ended.set()
        self.answers.put_nowait(b"")


class FakeEngine:
    """Scripted per verb: the names of `ROUTES`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.docker_host = f"unix://{path}"
        self.api_version = "1.41"
        self.containers: dict[str, Container] = {}  # by name
        self.images = {BUSYBOX: image_id(BUSYBOX)}  # by reference
        self.registry: dict[str, str] = {}  # ids by reference: what can be pulled
        self.passwords: dict[str, tuple[str, str]] = {}  # by reference: who may pull it
        self.looks: list[str] = []  # what sandboxes answer next; "clean" when there is nothing here
        self.requests: list[Request] = []
        self._always: dict[str, Script] = {}
        self._next: dict[str, list[Script]] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

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

    def count(self, verb: str) -> int:
        """How often the verb was asked for."""
        return sum(request.verb == verb for request in self.requests)

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Vanish: nothing listens, every connection breaks. The containers stay."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def play(self, request: Request, connection: Connection) -> None:
        """Do what a healthy engine does."""
        await getattr(self, f"_{request.verb}")(request, connection)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while request := await self._read(reader):
                connection = Connection(reader, writer)
                await self._script(request)(request, connection)
                if not connection.is_reusable:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        except asyncio.CancelledError:
            pass  # by stop(), which waits for it; asyncio's streams cannot bear a cancelled task
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, address, _ = first.split(" ")
        parts = urlsplit(address)
        version, path = VERSIONED.fullmatch(unquote(parts.path)).groups("")
        matches = (
            (verb, re.fullmatch(route, f"{method} {path}")) for verb, route in ROUTES.items()
        )
        verb, target = next((verb, "".join(found.groups())) for verb, found in matches if found)
        query = dict(parse_qsl(parts.query))
        is_json = headers.get("content-type") == "application/json"
        document = json.loads(body) if is_json else body
        request = Request(verb, version, target, query, headers, document)
        self.requests.append(request)
        return request

    def _script(self, request: Request) -> Script:
        if self._next.get(request.verb):
            return self._next[request.verb].pop(0)
        if request.verb in self._always:
            return self._always[request.verb]
        if _numbers(request.version) > _numbers(self.api_version):
            message = f"client version {request.version} is too new. Maximum supported API version"
            return answers(400, {"message": f"{message} is {self.api_version}"})
        return self.play

    async def _ping(self, _: Request, connection: Connection) -> None:
        await connection.head(200, Api_Version=self.api_version, Content_Length="0")
        connection.is_reusable = True

    async def _info(self, _: Request, connection: Connection) -> None:
        size = {"NCPU": 2, "MemTotal": 8 * 2**30}
        await connection.answer(
            200, {"ServerVersion": "fake", "Runtimes": {"runc": {}}, "Architecture": "fake", **size}
        )

    async def _network(self, _: Request, connection: Connection) -> None:
        options = {"com.docker.network.bridge.enable_icc": "false"}
        await connection.answer(200, {"Options": options})

    async def _list_images(self, _: Request, connection: Connection) -> None:
        await connection.answer(200, [{"Id": found} for found in set(self.images.values())])

    async def _inspect_image(self, request: Request, connection: Connection) -> None:
        if request.target in self.images:
            document = {"Id": self.images[request.target], "Config": {"Volumes": None}}
            await connection.answer(200, document)
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
            await connection.head(101, Connection="Upgrade", Upgrade="tcp")
            if container.is_sandbox:
                await self._look(container, connection)
                return
            while data := await connection.reader.read(65536):
                container.stdin.feed_data(data)
            container.stdin.feed_eof()
            return
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
        if container is not None:
            container.status = "running"
            if container.name.startswith("ecs-warm-"):
                waiting = asyncio.create_task(self._serve_warm(container))
                self._connections.add(waiting)
                waiting.add_done_callback(self._connections.discard)
                await connection.answer(204)
                return
            if container.has_init:
                container.token, command = await read_frame(container.stdin)
            else:
                command = container.body.get("Cmd") or ["sleep"]
            _execute(container, command)
            await connection.answer(204)

    async def _serve_warm(self, container: Container) -> None:
        try:
            container.token, command = await read_frame(container.stdin)
        except asyncio.IncompleteReadError:
            container.end(125)
        else:
            _execute(container, command)

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
        await connection.answer(201, {"Name": request.body["Name"]})

    async def _list_volumes(self, _: Request, connection: Connection) -> None:
        await connection.answer(200, {"Volumes": None})

    async def _found(self, request: Request, connection: Connection) -> Container | None:
        for container in self.containers.values():
            if request.target in (container.name, container.container_id):
                return container
        await connection.answer(404, {"message": f"No such container: {request.target}"})
        return None


def _execute(container: Container, command: Sequence[str]) -> None:
    program, *arguments = command
    if program != "sleep":
        container.output = frame(STDOUT, " ".join(arguments).encode() + b"\n")
        container.output += container.trailers()
        container.end(0)
    container.started.set()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number)


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
