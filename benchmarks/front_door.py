"""What the front door adds to a request, and what a guesser of secrets costs the others.

bin/up starts a composed system for this. `_noop` is asked for over one kept connection, one request
after another: of the service itself, through nginx in the quiet, and through nginx while another
host sends 100 wrong guesses for the same key at once, and again a second after the last of them.
"""

import asyncio
import base64
import os
import secrets
import shlex
import signal
import ssl
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.bench import Bench, Section
from benchmarks.noop import NOOP_PATH
from benchmarks.report import median_ratio, table
from benchmarks.service import free_port

TURNS = 5
QUICK_TURNS = 2
REQUESTS = 60
PAUSE_SECONDS = 0.06
"""Between two requests: a key may send 20 a second."""
GUESSES = 100
GUESSER, GATEWAY = "198.18.0.254", "198.18.0.253"
FRONT_PREFIX, DOCS_PREFIX = "172.30.254", "172.30.253"
SERVICE_PORT = 8448
HOST_NAME = "ecs.localhost"

DIRECT = "the service itself"
QUIET = "through nginx"
GUESSED = "through nginx, while secrets are guessed"

BIN = Path(__file__).parents[1] / "bin"


class ScriptError(Exception):
    """A script or command failed; the text is what it wrote."""


@dataclass(frozen=True)
class _FrontDoor:
    port: int
    key: str
    secret: str
    trust: ssl.SSLContext


async def measure(bench: Bench) -> Section:
    """Ask in turn, and compare within each turn."""
    print(f"\n== front_door ==\n{__doc__.strip()}")
    milliseconds: dict[str, list[float]] = {DIRECT: [], QUIET: [], GUESSED: []}
    refused: list[int] = []
    async with _front_door() as door, _guesser() as namespace, aiohttp.ClientSession() as session:
        for _ in range(bench.sized(TURNS, QUICK_TURNS)):
            milliseconds[DIRECT].append(await _median_direct(session))
            milliseconds[QUIET].append(await _median_through(session, door))
            async with _guessing(namespace, door, refused):
                milliseconds[GUESSED].append(await _median_through(session, door))
    section = {
        "noop_milliseconds": milliseconds,
        "guesses_refused": refused,
        "added_milliseconds": statistics.median(milliseconds[QUIET])
        - statistics.median(milliseconds[DIRECT]),
        "guessed_to_quiet": median_ratio(milliseconds[GUESSED], milliseconds[QUIET]),
    }
    _show(section)
    return section


@asynccontextmanager
async def _front_door() -> AsyncIterator[_FrontDoor]:
    with TemporaryDirectory() as name:
        directory = Path(name, "deployment")
        port = free_port()
        environment = {
            "DEPLOYMENT_DIRECTORY": str(directory),
            "DEPLOYMENT_PROJECT": f"ecs-bench-{secrets.token_hex(4)}",
            "DEPLOYMENT_FRONT_PREFIX": FRONT_PREFIX,
            "DEPLOYMENT_DOCS_PREFIX": DOCS_PREFIX,
            "NGINX_HTTPS_PORT": str(port),
            "NGINX_HTTP_PORT": str(free_port()),
        }
        try:
            words = shlex.split((await _run(BIN / "up", environment=environment)).splitlines()[-1])
            key, _, secret = words[words.index("-u") + 1].partition(":")
            trust = ssl.create_default_context(cafile=directory / "tls" / "ca.pem")
            yield _FrontDoor(port, key, secret, trust)
        finally:
            await asyncio.shield(_run(BIN / "down", environment=environment))


@asynccontextmanager
async def _guesser() -> AsyncIterator[str]:
    """Yield the network namespace of another host: the guesser has an address of its own."""
    name = f"ecs-{secrets.token_hex(4)}"
    await _run("ip", "netns", "add", name)
    try:
        await _run("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", name)
        await _run("ip", "address", "add", f"{GATEWAY}/30", "dev", name)
        await _run("ip", "link", "set", name, "up")
        await _run("ip", "-n", name, "address", "add", f"{GUESSER}/30", "dev", "eth0")
        await _run("ip", "-n", name, "link", "set", "eth0", "up")
        await _run("ip", "-n", name, "route", "add", "default", "via", GATEWAY)
        yield name
    finally:
        await asyncio.shield(_run("ip", "netns", "delete", name))


@asynccontextmanager
async def _guessing(namespace: str, door: _FrontDoor, refused: list[int]) -> AsyncIterator[None]:
    """Guess while the context is open, then add to ``refused`` how many guesses were answered."""
    curl = [
        "curl", "--parallel", "--parallel-immediate", "--parallel-max", str(GUESSES), "--http1.1",
        "--insecure", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}\\n",
        "--user", f"{door.key}:guess", "--resolve", f"{HOST_NAME}:{door.port}:{GATEWAY}",
        f"https://{HOST_NAME}:{door.port}{NOOP_PATH}?[1-{GUESSES}]",
    ]  # fmt: skip
    script = f"while :; do {shlex.join(curl)}; sleep 1; done"
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", namespace, "bash", "-c", script,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = await process.communicate()
    statuses = output.decode().split()
    if set(statuses) != {str(HTTPStatus.UNAUTHORIZED.value)}:
        raise ScriptError(f"the guesses were answered with {Counter(statuses)}")
    refused.append(len(statuses))


async def _median_direct(session: aiohttp.ClientSession) -> float:
    url = f"http://{FRONT_PREFIX}.2:{SERVICE_PORT}{NOOP_PATH}"
    return await _median(session, url, headers={})


async def _median_through(session: aiohttp.ClientSession, door: _FrontDoor) -> float:
    shown = base64.b64encode(f"{door.key}:{door.secret}".encode()).decode()
    return await _median(
        session,
        f"https://127.0.0.1:{door.port}{NOOP_PATH}",
        headers={"Host": HOST_NAME, "Authorization": f"Basic {shown}"},
        trust=door.trust,
    )


async def _median(
    session: aiohttp.ClientSession,
    url: str,
    *,
    headers: Mapping[str, str],
    trust: ssl.SSLContext | bool = True,
) -> float:
    milliseconds = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        async with session.get(
            url, headers=headers, ssl=trust, server_hostname=HOST_NAME
        ) as answer:
            await answer.read()
            answer.raise_for_status()
        milliseconds.append(1000 * (time.perf_counter() - begun))
        await asyncio.sleep(PAUSE_SECONDS)
    return statistics.median(milliseconds)


async def _run(*words: str | Path, environment: Mapping[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *words,
        env=os.environ | dict(environment or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    if process.returncode:
        raise ScriptError(output)
    return output


def _show(section: Section) -> None:
    rows = [
        [name, f"{statistics.median(own):.2f}", f"{min(own):.2f}", f"{max(own):.2f}"]
        for name, own in section["noop_milliseconds"].items()
    ]
    title = f"_noop, ms: medians of {REQUESTS} requests, {len(rows)} ways in turn"
    print(table(title, ["way", "median", "min", "max"], rows))
    print(f"the front door adds {section['added_milliseconds']:.2f} ms")
    print(f"guesses refused, each turn: {section['guesses_refused']}")
    print(f"guessed / quiet, median of the turns' ratios: {section['guessed_to_quiet']:.2f}")
