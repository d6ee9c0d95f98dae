"""The same command, once through ``docker run --rm --init`` and once through ECS."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests import images
from tests.client import Caller

# What ECS gives every task; see ecs/tasks/container_spec.py.
HARDENED = [
    *("--memory=512m", "--memory-swap=512m", "--cpus=1", "--security-opt=no-new-privileges"),
    *("--ulimit=nofile=4096:4096", "--ulimit=core=0:0", "--no-healthcheck", "--log-driver=none"),
]
STANDARD = [f"--cap-drop={name}" for name in ("NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT")]
STRICT = [
    *("--cap-drop=ALL", "--read-only", "--network=none", "--user=65534:65534"),
    "--tmpfs=/tmp:rw,nosuid,nodev,size=67108864,mode=1777",
]


@dataclass(frozen=True)
class Case:
    """A command and what is asked of its container."""

    name: str
    cmd: Sequence[str]
    image: str = images.BUSYBOX
    stdin: bytes | None = None
    env: dict[str, str] = field(default_factory=dict)
    workdir: str | None = None
    user: str | None = None
    entrypoint: Sequence[str] | None = None
    profile: str = "standard"
    cannot_run: bool = False
    """Docker's init then writes a line of its own to the task's stderr; ECS says it in `detail`."""


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    def __str__(self) -> str:
        streams = f"stdout {_shown(self.stdout)}, stderr {_shown(self.stderr)}"
        return f"exit code {self.exit_code}, {streams}"


def _shown(data: bytes) -> str:
    return f"{len(data)} bytes: {data[:100]!r}"


async def by_docker(case: Case) -> Ran:
    """Run it with the docker command."""
    options = [*HARDENED, *(STRICT if case.profile == "strict" else STANDARD)]
    for name, value in case.env.items():
        options += ["--env", f"{name}={value}"]
    if case.workdir is not None:
        options += ["--workdir", case.workdir]
    if case.user is not None:
        options += ["--user", case.user]
    entrypoint = list(case.entrypoint or ())
    if case.entrypoint is not None:
        options += ["--entrypoint", entrypoint[0] if entrypoint else ""]
    if case.stdin is not None:
        options.append("--interactive")
    command = ["docker", "run", "--rm", "--init", *options, case.image, *entrypoint[1:], *case.cmd]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate(case.stdin or b"")
    assert process.returncode is not None
    return Ran(process.returncode, stdout, b"" if case.cannot_run else stderr)


async def by_ecs(case: Case, caller: Caller) -> Ran:
    """Run it through the service."""
    fields = {
        "stdin": None if case.stdin is None else base64.b64encode(case.stdin).decode(),
        "env": case.env,
        "workdir": case.workdir,
        "user": case.user,
        "entrypoint": None if case.entrypoint is None else list(case.entrypoint),
        "profile": None if case.profile == "standard" else case.profile,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    answer = await caller.run(*case.cmd, image=case.image, **given)
    assert answer.status == 201, f"{case.name}: {answer.document}"
    if case.cannot_run:
        assert answer.document["outcome"] in {"not_found", "not_executable"}, answer.document
        assert answer.document["detail"]
    else:
        assert answer.document["outcome"] == "exited", answer.document
    return Ran(answer.document["exitCode"], answer.stdout, answer.stderr)
