"""The service is told to stop while it starts, as the first process of a namespace.

So it is in a container, and there the kernel drops what a process neither handles nor blocks.
"""

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.processes import as_soon_as, blocks_stop, handles_stop, program_of
from tests.services import PROGRAM, ECService

DOCKERFILE = Path(__file__).parents[2] / "dockerfiles" / "services" / "Dockerfile"
STOP_SECONDS = 15


def entry_point() -> list[str]:
    """The image's, with the program that is installed here."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    found = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    assert found
    *before, program = json.loads(found[1])
    assert Path(program).name == PROGRAM.name
    return [*before, str(PROGRAM)]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ECService]:
    """One without an engine; it is in a process namespace of its own, and the first there."""
    settings = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    service = ECService(tmp_path, "test-early-stop", settings)
    service.command = ["unshare", "--pid", "--fork", "--kill-child", *entry_point()]
    await service.start(ready=False)
    yield service
    if service.is_running:
        await service.kill()


def first_process(service: ECService) -> int:
    """The number that the service's process has outside of its namespace."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children")
    as_soon_as(lambda: children.read_text(encoding="ascii"))
    pid = int(children.read_text(encoding="ascii"))
    as_soon_as(lambda: program_of(pid) != "unshare")
    return pid


MOMENTS: dict[str, Callable[[ECService, int], object]] = {
    "before Python runs": lambda _, pid: blocks_stop(pid),
    "Python runs": lambda _, pid: program_of(pid).startswith("python"),
    "it has a handler": lambda _, pid: handles_stop(pid),
    "it is importing": lambda _, pid: "pydantic_core" in Path(f"/proc/{pid}/maps").read_text(),
    "it listens": lambda service, _: "listening" in service.log_path.read_text(),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_it_stops_well_whenever_it_is_told_to(
    service: ECService, moment: str, number: signal.Signals
) -> None:
    pid = first_process(service)
    as_soon_as(lambda: MOMENTS[moment](service, pid))

    os.kill(pid, number)

    assert await service.wait(STOP_SECONDS) == 0
