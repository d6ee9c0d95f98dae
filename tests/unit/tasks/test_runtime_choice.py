"""When crun is chosen, with figures that are made up, and when the choice is made again."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from ecs.docker_remote_api.connection import DockerRemoteApi, EngineAddress
from ecs.errors import EngineError, EngineFailedError, EngineUnreachableError
from ecs.tasks import runtime_choice
from ecs.tasks.model import Resources
from ecs.tasks.runtime import EngineRuntime, check_runtime
from ecs.tasks.runtime_choice import RuntimeChoice
from ecs.tasks.runtime_trial import Comparison, RuntimeTrialError
from tests.fake_engine import FakeEngine, answers, fake_engine
from tests.waiting import eventually

RESOURCES = Resources(memory_bytes=2**26, cpus=1.0, pids=32)
FASTER = Comparison([1.0, 1.1, 2.0], [0.9, 0.95, 1.9])
SLOWER = Comparison([1.0, 1.1, 2.0], [1.1, 1.0, 2.1])


def has(engine: FakeEngine, *runtimes: str, default: str = "runc") -> None:
    """Have the engine say that it has these."""
    known = {"ServerVersion": "fake", "NCPU": 2, "MemTotal": 2**30, "Architecture": "x86_64"}
    said = {"Runtimes": {name: {} for name in runtimes}, "DefaultRuntime": default}
    engine.always("info", answers(200, known | said))


class Choice:
    """A choice that is being made, and what it was told."""

    def __init__(self, engine: FakeEngine, runtime: EngineRuntime) -> None:
        self.engine = engine
        self.runtime = runtime
        self.found: Comparison | Exception = FASTER
        self.tried: list[tuple[str, Resources]] = []

    async def compare(self, candidate: str, resources: Resources) -> Comparison:
        self.tried.append((candidate, resources))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def looked(self) -> None:
        """Return when it has looked once more, and has begun to wait again."""
        count = self.engine.count("info")
        await eventually(lambda: self.engine.count("info") >= count + 2)


@asynccontextmanager
async def choosing(*runtimes: str, default: str = "runc") -> AsyncIterator[Choice]:
    async with (
        fake_engine() as engine,
        DockerRemoteApi(EngineAddress(engine.docker_host), timeout_seconds=5) as api,
    ):
        has(engine, *runtimes, default=default)
        choice = Choice(engine, EngineRuntime())
        choosing = RuntimeChoice(api, choice.runtime, choice.compare)
        choosing.meet(RESOURCES)
        work = asyncio.create_task(choosing.run())
        yield choice
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_choice, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(runtime_choice, "_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("default_seconds", "candidate_seconds", "is_worth_it"),
    [
        ([1.0, 1.0, 1.0], [0.95, 0.95, 0.95], True),
        ([1.0, 1.0, 1.0], [0.96, 0.96, 0.96], False),
        # The machine became slower meanwhile; within each pair the candidate is the faster one.
        ([1.0, 2.0, 4.0], [0.9, 1.8, 3.6], True),
        # One pair that was disturbed decides nothing.
        ([1.0, 1.0, 1.0], [0.9, 9.0, 0.9], True),
        ([1.0, 9.0, 1.0], [1.0, 0.9, 1.0], False),
    ],
)
def test_a_candidate_is_worth_it_when_the_middle_pair_says_so(
    default_seconds: list[float], candidate_seconds: list[float], is_worth_it: bool
) -> None:
    assert Comparison(default_seconds, candidate_seconds).is_worth_it is is_worth_it


async def test_a_faster_crun_is_chosen_and_both_medians_are_told() -> None:
    with capture_logs() as logs:
        async with choosing("runc", "crun") as choice:
            await eventually(lambda: choice.runtime.name == "crun")

    assert choice.tried == [("crun", RESOURCES)]
    (line,) = logs
    assert line["event"] == "runtime chosen"
    assert line["runtime"] == "crun"
    assert (line["default_median_seconds"], line["crun_median_seconds"]) == (1.1, 0.95)
    assert line["ratio"] == 0.9


async def test_a_crun_that_gains_nothing_leaves_the_default() -> None:
    with capture_logs() as logs:
        async with choosing("runc", "crun") as choice:
            choice.found = SLOWER
            await eventually(lambda: logs)

    assert (logs[0]["event"], logs[0]["runtime"]) == ("runtime chosen", "runc")
    assert choice.runtime.name == ""


@pytest.mark.parametrize(
    ("runtimes", "default"),
    [
        (("runc", "runsc"), "runc"),
        (("runc", "crun"), "crun"),
        # Its isolation is another one, and not to be traded for speed.
        (("runc", "crun", "runsc"), "runsc"),
    ],
)
async def test_where_there_is_no_choice_nothing_is_tried(
    runtimes: tuple[str, ...], default: str
) -> None:
    with capture_logs() as logs:
        async with choosing(*runtimes, default=default) as choice:
            await eventually(lambda: logs)
            await choice.looked()

    assert [line["runtime"] for line in logs] == [default]
    assert (choice.tried, choice.runtime.name) == ([], "")


@pytest.mark.parametrize(
    "error", [RuntimeTrialError("the limit has no effect"), EngineFailedError("no such file")]
)
async def test_a_crun_that_does_wrong_is_told_in_one_warning(error: Exception) -> None:
    with capture_logs() as logs:
        async with choosing("runc", "crun") as choice:
            choice.found = error
            await eventually(lambda: logs)
            await choice.looked()

    (line,) = logs
    assert (line["log_level"], line["runtime"], line["error"]) == ("warning", "runc", str(error))
    assert (len(choice.tried), choice.runtime.name) == (1, "")


async def test_an_engine_that_vanishes_in_the_middle_is_asked_once_more() -> None:
    async with choosing("runc", "crun") as choice:
        choice.found = EngineUnreachableError("no answer")
        await eventually(lambda: choice.tried)
        choice.found = FASTER

        await eventually(lambda: choice.runtime.name == "crun")


async def test_the_choice_is_made_again_when_the_engine_has_other_runtimes() -> None:
    async with choosing("runc", "crun") as choice:
        await eventually(lambda: choice.runtime.name == "crun")

        has(choice.engine, "runc")
        await eventually(lambda: choice.runtime.name == "")
        choice.engine.always("info", answers(500))  # as while it is started anew
        await choice.looked()
        has(choice.engine, "runc", "crun")

        await eventually(lambda: choice.runtime.name == "crun")
    assert len(choice.tried) == 2


async def test_a_doubt_has_the_runtime_tried_again_but_not_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime_choice, "_DOUBT_SECONDS", 0.0)
    async with choosing("runc", "crun") as choice:
        await eventually(lambda: choice.runtime.name == "crun")
        choice.found = RuntimeTrialError("broken")

        choice.runtime.doubt()
        await eventually(lambda: choice.runtime.name == "")
        assert len(choice.tried) == 2

        monkeypatch.setattr(runtime_choice, "_DOUBT_SECONDS", 60.0)
        choice.runtime.name = "crun"
        choice.runtime.doubt()
        await eventually(lambda: not choice.runtime.doubted.is_set())
        await choice.looked()

    assert len(choice.tried) == 2


@pytest.mark.parametrize("setting", ["default", "auto"])
def test_without_a_name_it_is_the_engines_to_choose(setting: str) -> None:
    runtime = EngineRuntime.of(setting)

    assert (runtime.host_config(), runtime.is_required) == ({}, False)
    check_runtime(setting, {"runc"})


def test_a_runtime_that_is_named_is_never_left() -> None:
    runtime = EngineRuntime.of("kata")

    runtime.doubt()

    assert runtime.host_config() == {"Runtime": "kata"}
    assert not runtime.may_be_left
    assert not runtime.doubted.is_set()


def test_a_runtime_that_the_engine_lacks_is_told_with_those_it_has() -> None:
    check_runtime("kata", {"runc", "kata"})

    told = "no runtime 'kata' (ECS_RUNTIME), it has crun, runc; add it to \"runtimes\""
    with pytest.raises(EngineError, match=re.escape(told)):
        check_runtime("kata", {"runc", "crun"})


@pytest.mark.parametrize(
    ("setting", "engines_default", "may_join"),
    [
        ("default", "runc", True),
        ("default", "runsc", False),
        ("auto", "runc", True),
        ("auto", "runsc", False),
        ("runc", "runsc", True),
        ("crun", "runc", True),
        ("runsc", "runc", False),
    ],
)
def test_a_runtime_that_may_bring_its_own_network_stack_joins_none(
    setting: str, engines_default: str, may_join: bool
) -> None:
    runtime = EngineRuntime.of(setting)
    runtime.engines_default = engines_default

    assert runtime.has_kernels_network is may_join
