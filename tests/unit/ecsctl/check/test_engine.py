"""What is judged of an engine's own words; that they are right is for the integration tests."""

import dataclasses
from typing import Any

import pytest

from ecs.docker_remote_api.system import EngineFacts
from ecs.ecsctl.check.engine import (
    cgroup_finding,
    limits_finding,
    runtime_findings,
    seccomp_finding,
    storage_finding,
)
from ecs.ecsctl.check.findings import Level

GOOD = EngineFacts(
    server_version="29.0.0",
    storage_driver="overlay2",
    cgroup_version="2",
    cgroup_driver="systemd",
    data_root="/var/lib/docker",
    runtimes=frozenset({"runc", "runsc"}),
    security_options=("name=apparmor", "name=seccomp,profile=builtin"),
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
    assert runtime_findings(GOOD, "") == []
    assert [found.level for found in runtime_findings(GOOD, "runsc")] == [Level.OK]
    (missing,) = runtime_findings(GOOD, "kata")
    assert missing.level == Level.FAILURE
    assert missing.found == "the engine has no runtime 'kata', it has runc, runsc"
