"""The service's image: what is in it, and that it serves as hardened as it can be run."""

import asyncio
import json
import re
import secrets
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from email.parser import HeaderParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from docker.models.containers import Container
from docker.types import Mount

import ecs
from tests.client import Answer, Caller, calling
from tests.engines import EngineProbe
from tests.network import bridge_gateway
from tests.processes import as_soon_as, blocks_stop, handles_stop, program_of
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
IMAGE = "ecs/services:latest"
PORT = "8448/tcp"
BUILD_TIMEOUT_SECONDS = 900  # a first one fetches Debian and the wheels
PATIENT_SECONDS = 60
STOP_SECONDS = 60
SECOND = 10**9  # the engine's health check counts nanoseconds
UID = 10001
WRITABLE_BY_ALL = {"tmp", "var/tmp", "run/lock"}
TEST_CODE = {"pip", "setuptools", "tests", "pytest", "ensurepip"}

Run = Callable[..., Container]


@pytest.fixture(scope="session")
def image(bare_engine: EngineProbe) -> dict[str, Any]:
    """What the engine says of the image, which stays: an operator may have built it before."""
    subprocess.run(
        [ROOT / "bin" / "build-images", "services"], timeout=BUILD_TIMEOUT_SECONDS, check=True
    )
    document: dict[str, Any] = bare_engine.client.images.get(IMAGE).attrs
    return document


@pytest.fixture(scope="session")
def files(image: dict[str, Any], bare_engine: EngineProbe) -> Iterator[tarfile.TarFile]:
    """The whole root file system of the image."""
    container = bare_engine.client.containers.create(image["Id"])
    try:
        with tempfile.TemporaryFile() as archive:
            chunks: Any = container.export()  # of bytes, whatever its type says
            archive.writelines(chunks)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as tar:
                yield tar
    finally:
        container.remove(v=True)


@pytest.fixture
def run(image: dict[str, Any], engine: EngineProbe, docker_host: str) -> Iterator[Run]:
    """Run the image, as hardened as it can be, with a port of loopback and the engine's socket."""
    assert docker_host.startswith("unix://"), "the container is given the engine's socket"
    engine_socket = Path(docker_host.removeprefix("unix://")).resolve()
    # What reaches a published port of loopback comes from the bridge's own address.
    bridge = engine.client.networks.get("bridge")
    gateway = bridge_gateway(bridge.attrs["IPAM"])
    started: list[Container] = []

    def start(*command: str, engine_in_reach: bool = True, **options: Any) -> Container:
        mounts = list(options.pop("mounts", []))
        if engine_in_reach:
            mounts.append(Mount("/var/run/docker.sock", str(engine_socket), type="bind"))
        environment = {
            "ECS_INSTANCE": f"test-{secrets.token_hex(4)}",
            "ECS_TRUSTED_PROXIES": gateway,
            **options.pop("environment", {}),
        }
        chosen: dict[str, Any] = {
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "group_add": [engine_socket.stat().st_gid],
            "ports": {PORT: ("127.0.0.1", None)},
            "mounts": mounts,
            "environment": environment,
            **options,
        }
        container = engine.client.containers.run(image["Id"], list(command), detach=True, **chosen)
        started.append(container)
        return container

    yield start
    for container in started:
        print(container.logs().decode())  # shown if the test fails
        container.remove(force=True, v=True)
        engine.remove_containers(instance(container))  # sandboxes, if it had no time for that


def url(container: Container) -> str:
    """Where the service is reached from here."""
    container.reload()
    published = container.ports[PORT]
    assert published
    return f"http://127.0.0.1:{published[0]['HostPort']}"


def instance(container: Container) -> str:
    variables = dict(entry.split("=", 1) for entry in container.attrs["Config"]["Env"])
    return str(variables["ECS_INSTANCE"])


async def readiness(caller: Caller, status: int) -> None:
    """Wait until /readyz answers with the status."""

    async def answered() -> bool:
        try:
            async with caller.session.get(f"{caller.url}/readyz") as response:
                return response.status == status
        except aiohttp.ClientError:
            return False

    await eventually(answered, PATIENT_SECONDS)


def check_every_second(retries: int, timeout_seconds: int = 5) -> dict[str, int]:
    """The image's own health check, in a hurry."""
    return {"interval": SECOND, "timeout": timeout_seconds * SECOND, "retries": retries}


def has_health(container: Container, health: str) -> bool:
    container.reload()
    return bool(container.attrs["State"]["Health"]["Status"] == health)


def refusal(container: Container) -> str:
    """The one line with which a container that does not start ends."""
    assert container.wait(timeout=PATIENT_SECONDS)["StatusCode"] == 1
    (line,) = container.logs().decode().splitlines()
    return str(line)


def names(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for entry in tar.getmembers():
        yield entry.name.removeprefix("./"), entry


def normalized(name: str) -> str:
    """A distribution's name as requirements.txt writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_image_holds_what_the_lock_names_and_the_service(files: tarfile.TarFile) -> None:
    installed = {}
    for name, entry in names(files):
        if re.fullmatch(r"opt/ecs/.*\.dist-info/METADATA", name):
            content = files.extractfile(entry)
            assert content
            metadata = HeaderParser().parsestr(content.read().decode())
            installed[normalized(metadata["Name"])] = metadata["Version"]

    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9._-]+)(?:\[.+\])?==(\S+)", lock, re.MULTILINE))
    assert installed == {**locked, "ecs": ecs.__version__}


def test_the_image_holds_neither_tools_nor_tests(files: tarfile.TarFile) -> None:
    packages = re.compile(r"(?:.*/)?(?:site-packages|dist-packages|python3[.0-9]*)/([^/]+)")
    programs = re.compile(r"(?:.*/)?bin/(pip[0-9.]*|gcc|cc|ld|git|docker)")
    found = {
        name
        for name, _ in names(files)
        if ((package := packages.fullmatch(name)) and package[1] in TEST_CODE)
        or programs.fullmatch(name)
    }
    assert not found


def test_nobody_can_change_the_image_s_files_or_gain_rights_by_them(files: tarfile.TarFile) -> None:
    links = (tarfile.SYMTYPE, tarfile.LNKTYPE)
    entries = [(name, entry) for name, entry in names(files) if entry.type not in links]
    in_devices = re.compile(r"(dev|proc|sys)(/|$)")  # the engine's, not the image's

    by_all = {
        name for name, entry in entries if entry.mode & stat.S_IWOTH and not in_devices.match(name)
    }
    assert by_all <= WRITABLE_BY_ALL
    assert not [
        name
        for name, entry in entries
        if entry.mode & (stat.S_ISUID | stat.S_ISGID) and entry.isfile()
    ]
    assert {name for name, entry in entries if entry.uid == UID} == {"var/lib/ecs", "var/spool/ecs"}


def test_every_module_of_the_service_is_compiled(files: tarfile.TarFile) -> None:
    present = {name for name, _ in names(files)}
    modules = [
        Path(name)
        for name in present
        if re.fullmatch(r"opt/ecs/lib/.*/site-packages/ecs/.*\.py", name)
    ]
    compiled = [
        str(path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc") for path in modules
    ]
    assert modules
    assert set(compiled) <= present


def test_the_labels_tell_what_the_image_is(image: dict[str, Any]) -> None:
    prefix = "org.opencontainers.image."
    labels = {
        name.removeprefix(prefix): value
        for name, value in image["Config"]["Labels"].items()
        if name.startswith(prefix)
    }

    assert labels.keys() == {"title", "description", "version", "revision", "licenses"}
    assert (labels["title"], labels["licenses"]) == ("ECS service", "MIT")
    assert labels["version"] == ecs.__version__
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert f"ecs/services:{ecs.__version__}" in image["RepoTags"]


async def test_a_task_runs_through_the_hardened_container(run: Run, engine: EngineProbe) -> None:
    container = run()
    async with calling(url(container)) as caller:
        await readiness(caller, HTTPStatus.OK)
        answer = await caller.run("echo", "hello")

    assert (answer.status, answer.document["exitCode"]) == (201, 0)
    assert answer.stdout == b"hello\n"
    _, output = container.exec_run(["cat", "/proc/1/status"])
    assert isinstance(output, bytes)
    status = output.decode()
    assert re.search(r"^Uid:\s+10001\s+10001\s+10001\s+10001$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    await eventually(lambda: not running_tasks(engine, container), PATIENT_SECONDS)


async def test_output_beyond_memory_goes_to_the_spool(run: Run) -> None:
    written_bytes = 2**20
    container = run(environment={"ECS_SPOOL_MEMORY_BYTES": "1024"})
    async with calling(url(container)) as caller:
        await readiness(caller, HTTPStatus.OK)
        answer = await caller.run("head", "-c", str(written_bytes), "/dev/zero")

    assert answer.document["outcome"] == "exited"
    assert answer.stdout == bytes(written_bytes)


async def test_docker_stop_lets_a_task_finish_and_leaves_nothing(
    run: Run, engine: EngineProbe
) -> None:
    container = run()
    async with calling(url(container)) as caller:
        await readiness(caller, HTTPStatus.OK)
        task = asyncio.create_task(
            caller.run("sh", "-c", "echo begun; until [ -e /go ]; do sleep 0.1; done; echo done")
        )
        await eventually(lambda: running_tasks(engine, container), PATIENT_SECONDS)
        stop = asyncio.create_task(asyncio.to_thread(container.stop, timeout=STOP_SECONDS))
        await readiness(caller, HTTPStatus.SERVICE_UNAVAILABLE)  # it drains
        (task_id,) = running_tasks(engine, container)
        engine.client.containers.get(task_id).exec_run(["touch", "/go"])
        answer: Answer = await task
        await stop

    assert (answer.status, answer.stdout) == (201, b"begun\ndone\n")
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    assert engine.containers(instance(container)) == []
    assert json.loads(container.logs().decode().splitlines()[-1])["event"] == "stopped"


def running_tasks(engine: EngineProbe, service: Container) -> list[str]:
    """The ids of the containers of tasks that run; the service's sandboxes are none."""
    label = f"ecs.instance={instance(service)}"
    filters = {"label": label, "name": "^ecs-task-", "status": "running"}
    return [found["Id"] for found in engine.client.api.containers(filters=filters)]


def test_docker_stop_is_heard_before_the_service_is_imported(run: Run) -> None:
    container = run(engine_in_reach=False)
    container.reload()
    pid = container.attrs["State"]["Pid"]
    as_soon_as(lambda: program_of(pid).startswith(("env", "python")))
    as_soon_as(lambda: blocks_stop(pid) or handles_stop(pid))

    container.stop(timeout=STOP_SECONDS)

    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        pytest.param((), {}, id="as it is"),
        pytest.param((), {"ECS_PORT": "9001"}, id="a port from the environment"),
        pytest.param(("--port", "9002"), {"ECS_PORT": "9001"}, id="a port from a flag"),
        pytest.param(("--address", "127.0.0.1"), {}, id="loopback alone"),
        pytest.param(("--address", "::1"), {}, id="loopback of IPv6"),
    ],
)
async def test_it_is_healthy_without_an_engine_wherever_it_listens(
    run: Run, command: tuple[str, ...], environment: dict[str, str]
) -> None:
    container = run(
        *command,
        engine_in_reach=False,
        environment=environment,
        healthcheck=check_every_second(retries=60),
        sysctls={"net.ipv6.conf.lo.disable_ipv6": "0"},
    )

    await eventually(lambda: has_health(container, "healthy"), PATIENT_SECONDS)


async def test_a_service_that_hangs_turns_unhealthy(run: Run) -> None:
    container = run(healthcheck=check_every_second(retries=2, timeout_seconds=2))
    await eventually(lambda: has_health(container, "healthy"), PATIENT_SECONDS)

    container.kill("SIGSTOP")

    await eventually(lambda: has_health(container, "unhealthy"), PATIENT_SECONDS)


def test_it_refuses_a_state_directory_that_cannot_be_written_to(run: Run) -> None:
    line = refusal(run(tmpfs={"/var/lib/ecs": f"ro,uid={UID},mode=0700"}))

    assert line.startswith("ecservice: state_directory = '/var/lib/ecs' (ECS_STATE_DIRECTORY)")
    assert "Read-only file system" in line


def test_it_refuses_to_listen_without_a_trusted_proxy(run: Run) -> None:
    line = refusal(run(environment={"ECS_TRUSTED_PROXIES": ""}))

    assert line.startswith("ecservice: address = '0.0.0.0' (ECS_ADDRESS) is not allowed")
    assert "ECS_TRUSTED_PROXIES" in line
