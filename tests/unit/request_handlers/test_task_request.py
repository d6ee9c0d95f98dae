import pytest

from ecs.docker_remote_api.credentials import RegistryCredentials
from ecs.docker_remote_api.image_reference import ImageReference
from ecs.tasks.model import Network, Profile, PullPolicy, Resources, TaskRequest
from tests.unit.builders import MIB, RESOURCES
from tests.unit.request_handlers.bodies import body, parse


def test_what_a_body_does_not_say_is_the_operators_default() -> None:
    request = parse(body(), default_timeout_seconds=12.5)

    assert request == TaskRequest(
        image=ImageReference("docker.io", "library/busybox", "latest", None),
        cmd=("true",),
        timeout_seconds=12.5,
        resources=RESOURCES,
        entrypoint=None,
        env={},
        workdir=None,
        user=None,
        stdin=None,
        network=Network.DEFAULT,
        pull=PullPolicy.MISSING,
        labels={},
        profile=Profile.STANDARD,
        credentials=None,
    )


def test_every_field_of_a_body_is_taken_as_it_is() -> None:
    request = parse(
        body(
            docker_image="quay.io/a:1",
            cmd=["echo", "", "a b", "ä\n"],
            entrypoint=["sh", "-c"],
            env={"A": "1", "B": ""},
            workdir="/srv",
            user="1000:1000",
            stdin="AP8=",
            timeout_seconds=1.5,
            resources={"memory_bytes": 8 * MIB, "cpus": 1.5, "pids": 7},
            network="none",
            pull="always",
            labels={"team": "a"},
            profile="standard",
            creds={"username": "u", "password": "p", "email": "e"},
        )
    )

    assert request == TaskRequest(
        image=ImageReference("quay.io", "a", "1", None),
        cmd=("echo", "", "a b", "ä\n"),
        timeout_seconds=1.5,
        resources=Resources(memory_bytes=8 * MIB, cpus=1.5, pids=7),
        entrypoint=("sh", "-c"),
        env={"A": "1", "B": ""},
        workdir="/srv",
        user="1000:1000",
        stdin=b"\x00\xff",
        network=Network.NONE,
        pull=PullPolicy.ALWAYS,
        labels={"team": "a"},
        profile=Profile.STANDARD,
        credentials=RegistryCredentials("u", "p"),
    )


def test_a_limit_that_is_not_named_is_the_default_beside_those_that_are() -> None:
    request = parse(body(resources={"pids": 7}))

    assert request.resources == Resources(RESOURCES.memory_bytes, RESOURCES.cpus, 7)


def test_an_empty_entrypoint_is_not_none() -> None:
    assert parse(body(entrypoint=[])).entrypoint == ()


def test_an_empty_stdin_is_not_none() -> None:
    assert parse(body(stdin="")).stdin == b""


def test_a_whole_number_may_be_written_as_a_float() -> None:
    request = parse(body(resources={"memory_bytes": 8388608.0, "pids": 1e1}))

    assert (request.resources.memory_bytes, request.resources.pids) == (8388608, 10)
    assert isinstance(request.resources.pids, int)


def test_a_body_may_hold_4096_arguments() -> None:
    assert len(parse(body(cmd=["x"] * 4096)).cmd) == 4096


@pytest.mark.parametrize(
    "resources",
    [{"memory_bytes": 2048 * MIB}, {"cpus": 4}, {"pids": 1024}],
    ids=lambda resources: next(iter(resources)),
)
def test_the_operators_maximum_may_be_asked_for(resources: dict[str, float]) -> None:
    parse(body(resources=resources))


def test_the_longest_time_may_be_asked_for() -> None:
    assert parse(body(timeout_seconds=3600)).timeout_seconds == 3600.0


def test_a_caller_may_tighten_the_profile() -> None:
    assert parse(body(profile="strict")).profile is Profile.STRICT


def test_the_operators_profile_is_the_default() -> None:
    assert parse(body(), profile=Profile.STRICT).profile is Profile.STRICT


def test_the_strict_profile_goes_with_no_network() -> None:
    assert parse(body(profile="strict", network="none")).network is Network.NONE
