"""What a trial makes of answers, and that none of its containers stays; the engine is made up."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.docker_remote_api.images import LocalImage
from ecs.errors import EngineUnreachableError
from ecs.tasks import runtime_trial
from ecs.tasks.admission import Admission
from ecs.tasks.init_mount import InitMount
from ecs.tasks.init_volume import InitVolume
from ecs.tasks.model import Resources
from ecs.tasks.reaper import Reaper
from ecs.tasks.runtime_trial import RuntimeTrial, RuntimeTrialError, TrialAnswer, TrialContainer
from ecs.tasks.trailer import Trailer
from tests.fake_engine import FakeEngine, fake_engine, hangs
from tests.unit import builders

MOUNT = InitMount("0123456789ab")
RESOURCES = Resources(memory_bytes=64 * builders.MIB, cpus=1.0, pids=32)
FAILED = Trailer(timed_out=False, wait_status=125 << 8, error=0, oom_kills=0)
GOOD = TrialAnswer(125, trailer=FAILED, output=b"not PID 1", seconds=0.2)
"""Of a container under either runtime."""
KILLED = TrialAnswer(137, trailer=None, output=b"")


@dataclass
class Runs:
    """Answers in place of containers; ``wrong`` are those of what is named."""

    wrong: dict[str, TrialAnswer]

    async def __call__(
        self, wanted: TrialContainer, *, argument: str = "", is_killed: bool = False
    ) -> TrialAnswer:
        if not wanted.runtime:
            return self.wrong.get("default", GOOD)
        if is_killed:
            return self.wrong.get("kill", KILLED)
        if argument:
            assert wanted.resources.memory_bytes < len(argument)
            return self.wrong.get("memory", KILLED)
        if wanted.resources.pids == 0:
            return self.wrong.get("processes", replace(GOOD, trailer=None))
        assert wanted.resources == RESOURCES
        return self.wrong.get("answer", replace(GOOD, seconds=0.1))


@asynccontextmanager
async def trial(*, has_init: bool = True) -> AsyncIterator[tuple[RuntimeTrial, FakeEngine, Reaper]]:
    async with (
        fake_engine() as engine,
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=1) as api,
    ):
        engine.images[str(MOUNT.image)] = "sha256:0"
        admission = Admission(max_starting=2, max_running=2, max_queued=2)
        async with Reaper(api, admission) as reaper:
            init = InitVolume(api, reaper, lambda _: None)
            init.mount = MOUNT if has_init else None
            policy = builders.container_policy()
            yield RuntimeTrial(api, admission, reaper, init, policy=policy), engine, reaper


async def test_figures_of_two_runtimes_that_do_alike_come_in_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with trial() as (tried, _, _):
        monkeypatch.setattr(tried, "_run", Runs({}))
        comparison = await tried.compare("crun", RESOURCES)

    assert comparison.default_seconds == [0.2] * 7
    assert comparison.candidate_seconds == [0.1] * 7
    assert comparison.is_worth_it


@pytest.mark.parametrize(
    ("of", "wrong", "told"),
    [
        ("default", replace(GOOD, trailer=None), "default runtime answers"),
        ("default", replace(GOOD, exit_code=0), "default runtime answers"),
        ("answer", replace(GOOD, exit_code=0), "instead of"),
        ("answer", replace(GOOD, output=b""), "instead of"),
        ("answer", replace(GOOD, trailer=replace(FAILED, oom_kills=None)), "instead of"),
        ("memory", GOOD, "limit of memory has no effect"),
        ("processes", GOOD, "limit of processes has no effect"),
        ("kill", GOOD, "SIGKILL has no effect"),
    ],
)
async def test_whatever_is_not_as_under_the_default_runtime_ends_the_trial(
    monkeypatch: pytest.MonkeyPatch, of: str, wrong: TrialAnswer, told: str
) -> None:
    async with trial() as (tried, _, _):
        monkeypatch.setattr(tried, "_run", Runs({of: wrong}))
        with pytest.raises(RuntimeTrialError, match=told):
            await tried.compare("crun", RESOURCES)


@pytest.mark.parametrize("verb", ["create", "start", "delete"])
async def test_a_container_that_does_not_end_is_handed_to_the_reaper(
    monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(runtime_trial, "_CONTAINER_SECONDS", 0.2)
    async with trial() as (tried, engine, reaper):
        engine.next(verb, hangs)
        with pytest.raises((RuntimeTrialError, EngineUnreachableError)):
            await tried.compare("crun", RESOURCES)
        await reaper.drained()

        assert engine.containers == {}


async def test_the_containers_are_nobodys_and_have_an_end() -> None:
    async with trial() as (tried, _, _):
        body = tried._body(
            TrialContainer("crun", MOUNT, LocalImage("sha256:0", frozenset()), RESOURCES)
        )

    assert body["HostConfig"]["Runtime"] == "crun"
    assert body["HostConfig"]["NetworkMode"] == "none"
    assert body["HostConfig"]["Memory"] == RESOURCES.memory_bytes
    assert "ecs.instance" not in body["Labels"]
    assert float(body["Labels"]["ecs.deadline"]) > time.time()


async def test_without_the_init_there_is_no_trial() -> None:
    async with trial(has_init=False) as (tried, engine, _):
        with pytest.raises(RuntimeTrialError, match="no init"):
            await tried.compare("crun", RESOURCES)

        assert engine.count("create") == 0
