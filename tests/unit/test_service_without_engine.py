"""The real program, whose engine does not answer: it is up, and says that it is not ready."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.services import ECService
from tests.waiting import eventually


@pytest.fixture
async def ecservice(tmp_path: Path) -> AsyncIterator[ECService]:
    settings = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock", "ECS_TYPO": "1"}
    service = ECService(tmp_path, "test-without-engine", settings)
    await service.start(ready=False)
    await eventually(lambda: logged(service, "no engine"), timeout=30)
    yield service
    if service.is_running:
        await service.kill()


def logged(service: ECService, event: str) -> list[dict[str, object]]:
    return [line for line in service.log_lines() if line["event"] == event]


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/livez", 200, {"status": "ok"}),
        ("/readyz", 503, {"status": "waiting for the engine"}),
    ],
)
async def test_it_lives_and_is_not_ready(
    path: str, status: int, answer: dict[str, str], ecservice: ECService
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{ecservice.url}{path}") as response,
    ):
        assert (response.status, await response.json()) == (status, answer)


async def test_it_says_once_why_there_is_no_engine(ecservice: ECService) -> None:
    (line,) = logged(ecservice, "no engine")

    assert line["level"] == "error"
    assert "cannot be reached" in str(line["error"])


async def test_it_warns_of_a_variable_that_is_no_setting(ecservice: ECService) -> None:
    names = [line["variable"] for line in ecservice.log_lines() if "variable" in line]

    assert names == ["ECS_TYPO"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_well_when_it_is_told_to(
    number: signal.Signals, ecservice: ECService
) -> None:
    ecservice.process.send_signal(number)

    assert await ecservice.wait(30) == 0
    assert ecservice.log_lines()[-1]["event"] == "stopped"
