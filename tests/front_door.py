"""The composed system, as bin/up starts it: nginx, documentation, service, on a real engine."""

import base64
import json
import os
import re
import secrets
import shlex
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from jsonschema import Draft202012Validator

from ecs.jsonschemas import load_schema
from tests.network import free_port

ROOT = Path(__file__).parents[1]
UP_TIMEOUT_SECONDS = 900  # a first one builds the images
DOWN_TIMEOUT_SECONDS = 180
API = "ecs.localhost"
DOCS = "docs.ecs.localhost"


class ToLoopback(AbstractResolver):
    """Resolves every name to 127.0.0.1, as curl's --resolve does for one."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def authorization(key: str, secret: str) -> dict[str, str]:
    """The header that shows a key and its secret (RFC 7617)."""
    return {"Authorization": f"Basic {base64.b64encode(f'{key}:{secret}'.encode()).decode()}"}


@dataclass(frozen=True)
class FrontDoor:
    """One composed system, and how it is reached."""

    environment: dict[str, str]
    directory: Path
    project: str
    line: str
    output: str

    @property
    def port(self) -> int:
        return int(self.environment["NGINX_HTTPS_PORT"])

    @property
    def url(self) -> str:
        return f"https://{API}:{self.port}"

    @property
    def docs_url(self) -> str:
        return f"https://{DOCS}:{self.port}"

    @property
    def ca(self) -> Path:
        return self.directory / "tls" / "ca.pem"

    @property
    def credentials(self) -> dict[str, str]:
        words = shlex.split(self.line)
        key, _, secret = words[words.index("-u") + 1].partition(":")
        return authorization(key, secret)

    def session(self, *, with_key: bool = True, **options: Any) -> aiohttp.ClientSession:
        """A client that trusts the certificate, and sends the key unless told not to."""
        trust = ssl.create_default_context(cafile=self.ca)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, resolver=ToLoopback(), limit=0),
            headers=self.credentials if with_key else None,
            timeout=aiohttp.ClientTimeout(total=120),
            **options,
        )

    def client(self, *cmd: str, **fields: Any) -> list[str]:
        """The printed line, with another task."""
        task = {"docker_image": "busybox:latest", "cmd": cmd, **fields}
        return [*shlex.split(self.line)[:-1], json.dumps(task)]

    def script(self, name: str, *arguments: str) -> str:
        """Run a script of bin/ for this system, and return what it wrote."""
        return run_script(name, self.environment, *arguments)

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return docker(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}",
            "--filter", f"label=com.docker.compose.service={service}",
        ).strip()  # fmt: skip


def run_script(name: str, environment: dict[str, str], *arguments: str) -> str:
    """Run a script of bin/; its complaint is the failure's text."""
    done = subprocess.run(
        [ROOT / "bin" / name, *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=UP_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"bin/{name} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def docker(*arguments: str) -> str:
    """Run the docker command, and return what it wrote to standard output."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def inspect(container: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(docker("inspect", container))[0]
    return document


def environment_for(directory: Path) -> dict[str, str]:
    """Names, ports and addresses that no other composed system on this machine has."""
    third = secrets.randbelow(120) * 2
    return {
        "DEPLOYMENT_DIRECTORY": str(directory),
        "DEPLOYMENT_PROJECT": f"ecs-test-{secrets.token_hex(4)}",
        "DEPLOYMENT_FRONT_PREFIX": f"172.30.{third}",
        "DEPLOYMENT_DOCS_PREFIX": f"172.30.{third + 1}",
        "NGINX_HTTPS_PORT": str(free_port()),
        "NGINX_HTTP_PORT": str(free_port()),
    }


@contextmanager
def running_front_door(directory: Path, **settings: str) -> Iterator[FrontDoor]:
    """Start the composed system with the settings; afterwards take it down."""
    environment = environment_for(directory) | settings
    try:
        output = run_script("up", environment)
        line = output.splitlines()[-1]
        yield FrontDoor(environment, directory, environment["DEPLOYMENT_PROJECT"], line, output)
    finally:
        if directory.exists():
            run_script("down", environment)


def left_behind(project: str) -> list[str]:
    """What the engine still has of a composed system and of its tasks."""
    label = f"label=com.docker.compose.project={project}"
    return [
        f"{kind}: {name}"
        for kind, command in {
            "container": ["ps", "-aq", "--filter", label],
            "task": ["ps", "-aq", "--filter", f"label=ecs.instance={project}"],
            "network": ["network", "ls", "-q", "--filter", label],
            "volume": ["volume", "ls", "-q", "--filter", label],
        }.items()
        for name in docker(*command).split()
    ]


def version_numbers(text: str) -> list[str]:
    """What looks like a version of a server in a header."""
    return re.findall(r"\w+/\d+\.\d+", text)


def assert_problem(document: dict[str, Any], status: int) -> None:
    Draft202012Validator(load_schema("problem")).validate(document)
    assert document["status"] == status
