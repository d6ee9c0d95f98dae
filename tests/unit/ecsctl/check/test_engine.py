"""What is judged of an engine's own words; that they are right is for the integration tests."""

import dataclasses
from typing import Any

import pytest

from ecs.docker_remote_api.system import EngineFacts
from ecs.ecsctl.check.engine import (
    cgroup_finding,
    check_engine,
    data_findings,
    limits_finding,
    runtime_finding,
    seccomp_finding,
    storage_finding,
    strict_runtime_findings,
)
from ecs.ecsctl.check.findings import Finding, Level
from ecs.settings import Settings
from tests.fake_engine import FakeEngine, answers, fake_engine

GOOD = EngineFacts(
    server_version="29.0.0",
    storage_driver="overlay2",
    cgroup_version="2",
    cgroup_driver="systemd",
    data_root="/var/lib/docker",
    runtimes=frozenset({"runc", "runsc"}),
    default_runtime="runc",
    security_options=("name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"),
    missing_limits=(),
)


def changed(**fields: Any) -> EngineFacts:
    return dataclasses.replace(GOOD, **fields)


@pytest.mark.parametrize(
    "judge", [cgroup_finding, limits_finding, seccomp_finding, storage_finding]
)
def test_a_good_engine_is_good(judge: Any) -> None:
    assert judge(GOOD).level == Level.OK


@pytest.mark.parametrize(
    ("judge", "facts", "level", "told"),
    [
        (storage_finding, changed(storage_driver="vfs"), Level.WARNING, "vfs is slow"),
        (cgroup_finding, changed(cgroup_version="1"), Level.WARNING, "version 1"),
        (cgroup_finding, changed(security_options=()), Level.WARNING, "a task sees what else runs"),
        (
            limits_finding,
            changed(missing_limits=("swap", "processes")),
            Level.FAILURE,
            "cannot limit swap, processes",
        ),
        (seccomp_finding, changed(security_options=()), Level.FAILURE, "no system calls"),
    ],
)
def test_what_is_wrong_with_an_engine_is_told_with_the_way_out(
    judge: Any, facts: EngineFacts, level: Level, told: str
) -> None:
    found = judge(facts)

    assert (found.level, told in found.found, bool(found.fix)) == (level, True, True)


def test_the_strict_profiles_runtime_must_be_there_if_one_is_named() -> None:
    assert strict_runtime_findings(GOOD, "") == []
    assert [found.level for found in strict_runtime_findings(GOOD, "runsc")] == [Level.OK]
    (missing,) = strict_runtime_findings(GOOD, "kata")
    assert missing.level == Level.FAILURE
    assert missing.found == "the engine has no runtime 'kata', it has runc, runsc"


@pytest.mark.parametrize(
    ("setting", "facts", "level", "told"),
    [
        ("default", GOOD, Level.OK, "the engine's default, runc"),
        ("runsc", GOOD, Level.OK, "the engine has runsc"),
        ("kata", GOOD, Level.FAILURE, "no runtime 'kata', it has runc, runsc"),
        ("auto", GOOD, Level.OK, "default, runc; crun is tried only"),
        ("auto", changed(default_runtime="crun"), Level.OK, "default, crun; crun is tried only"),
        ("auto", changed(runtimes=frozenset({"runc", "crun"})), Level.OK, "crun or the engine's"),
    ],
)
def test_the_runtime_of_tasks_is_told(
    setting: str, facts: EngineFacts, level: Level, told: str
) -> None:
    found = runtime_finding(facts, setting)

    assert (found.name, found.level) == ("runtime", level)
    assert told in found.found
    assert ("ECS_RUNTIME" in found.fix) == (level == Level.FAILURE)


def test_the_disk_of_an_engine_elsewhere_is_not_looked_at_here() -> None:
    (told,) = data_findings(GOOD, "tcp://198.18.0.1:2376")

    assert told.level == Level.WARNING
    assert "may be on another machine" in told.found


INFO = {
    "ServerVersion": "20.10.24",
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "DockerRootDir": "/",
    "Runtimes": {"runc": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": None,
    "MemoryLimit": True,
    "SwapLimit": False,
    "CpuCfsQuota": True,
    "PidsLimit": False,
}


async def checked(engine: FakeEngine) -> dict[str, Finding]:
    settings = Settings(docker_host=engine.docker_host, engine_timeout_seconds=5.0)
    return {finding.name: finding for finding in await check_engine(settings)}


async def test_limits_and_filters_that_the_engine_lacks_are_named() -> None:
    async with fake_engine() as engine:
        engine.always("info", answers(200, INFO))
        found = await checked(engine)

    assert "cannot limit swap, processes" in found["resource limits"].found
    assert found["seccomp"].level == Level.FAILURE


async def test_a_network_that_cannot_be_inspected_is_not_judged() -> None:
    async with fake_engine() as engine:
        engine.always("info", answers(200, INFO))
        engine.always("network", answers(500, {"message": "no store"}))
        found = await checked(engine)

    assert found["task network"].level == Level.WARNING
    assert found["task network"].found == "cannot be checked: no store"


async def test_an_engines_own_bridge_is_closed_in_its_configuration() -> None:
    async with fake_engine() as engine:
        engine.always("info", answers(200, INFO))
        engine.always("network", answers(200, {"Options": None}))
        found = await checked(engine)

    assert found["task network"].level == Level.FAILURE
    assert found["task network"].fix == '"icc": false in daemon.json'


async def test_what_leaves_its_facts_out_is_no_engine_that_can_be_judged() -> None:
    async with fake_engine() as engine:
        engine.always("info", answers(200, {"ServerVersion": "1"}))
        found = await checked(engine)

    assert found["engine"].level == Level.FAILURE
    assert "has no str 'Driver'" in found["engine"].found
    assert found["seccomp"].level == Level.WARNING
