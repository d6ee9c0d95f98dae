"""Values that fit the schema and cannot be used, or are against the operator's rules."""

from typing import Any

import pytest

from ecs.errors import FieldError, InvalidRequestError, RequestNotAllowedError
from ecs.tasks.model import Profile, PullPolicy, Resources
from tests.unit.request_handlers.bodies import body, parse


def refused(data: bytes, **rules: Any) -> list[FieldError]:
    """The bad fields of a malformed body."""
    with pytest.raises(InvalidRequestError) as error:
        parse(data, **rules)
    assert type(error.value) is InvalidRequestError
    return list(error.value.fields)


def not_allowed(data: bytes, **rules: Any) -> list[FieldError]:
    """The fields of a body that the operator does not allow."""
    with pytest.raises(RequestNotAllowedError) as error:
        parse(data, **rules)
    assert str(error.value) == error.value.fields[0].detail
    return list(error.value.fields)


@pytest.mark.parametrize(
    "image", ["nginx", "Busybox:1", "busybox:", "busybox@sha256:0", "a b:1", "x:1\r\nHost: y"]
)
def test_an_image_that_is_no_reference_is_refused_with_what_to_change(image: str) -> None:
    (field,) = refused(body(docker_image=image))

    assert field.pointer == "/docker_image"
    assert field.detail
    assert image not in field.detail


@pytest.mark.parametrize(
    "stdin", ["x", "=", "YQ", "YQ=", "YQ==YQ==", "Y Q=", "YQ==\n", "-_==", "ä"]
)
def test_stdin_that_is_no_base64_is_refused(stdin: str) -> None:
    (field,) = refused(body(stdin=stdin))

    assert field == FieldError(
        "/stdin", "must be base64 (RFC 4648, section 4) with padding, in one line"
    )


@pytest.mark.parametrize(
    ("changes", "pointer", "bound"),
    [
        ({"timeout_seconds": 3600.001}, "/timeout_seconds", "3600"),
        ({"resources": {"memory_bytes": 2**31 + 1}}, "/resources/memory_bytes", "2147483648"),
        ({"resources": {"cpus": 4.01}}, "/resources/cpus", "4"),
        ({"resources": {"pids": 1025}}, "/resources/pids", "1024"),
    ],
)
def test_more_than_the_operators_maximum_is_refused_with_the_maximum(
    changes: dict[str, Any], pointer: str, bound: str
) -> None:
    (field,) = refused(body(**changes))

    assert field == FieldError(pointer, f"must be at most {bound}, the operator's maximum")


def test_a_large_maximum_is_told_exactly() -> None:
    tebibyte = 2**40

    (field,) = refused(
        body(resources={"memory_bytes": tebibyte + 1}), max_resources=Resources(tebibyte, 4.0, 10)
    )

    assert str(tebibyte) in field.detail


def test_all_that_is_too_much_is_told_together() -> None:
    fields = refused(
        body(
            docker_image="x",
            stdin="!",
            timeout_seconds=1e9,
            resources={"memory_bytes": 2**50, "cpus": 5, "pids": 2000},
        )
    )

    assert [field.pointer for field in fields] == [
        "/docker_image",
        "/stdin",
        "/timeout_seconds",
        "/resources/memory_bytes",
        "/resources/cpus",
        "/resources/pids",
    ]


PROGRAM_BYTES, STRING_BYTES = 4096, 131_071


@pytest.mark.parametrize(
    "changes",
    [
        {"cmd": ["x" * PROGRAM_BYTES]},
        {"cmd": ["x", "y" * STRING_BYTES]},
        {"entrypoint": ["x" * PROGRAM_BYTES, "y" * STRING_BYTES]},
        {"env": {"NAME": "x" * (STRING_BYTES - 5)}},
        {"env": {"é" * 5: "x" * (STRING_BYTES - 11)}},
    ],
    ids=["program", "argument", "entrypoint", "variable", "name in bytes"],
)
def test_what_the_kernel_takes_is_taken(changes: dict[str, Any]) -> None:
    parse(body(**changes))


@pytest.mark.parametrize(
    ("changes", "pointer", "limit"),
    [
        ({"cmd": ["x" * (PROGRAM_BYTES + 1)]}, "/cmd/0", "4096"),
        ({"cmd": ["é" * (PROGRAM_BYTES // 2) + "x"]}, "/cmd/0", "4096"),
        ({"cmd": ["x", "y" * (STRING_BYTES + 1)]}, "/cmd/1", "131071"),
        ({"entrypoint": ["x" * (PROGRAM_BYTES + 1)]}, "/entrypoint/0", "4096"),
        ({"env": {"A/B": "x" * (STRING_BYTES - 3)}}, "/env/A~1B", "131071"),
    ],
)
def test_what_the_kernel_does_not_take_is_refused(
    changes: dict[str, Any], pointer: str, limit: str
) -> None:
    (field,) = refused(body(**changes))

    assert field.pointer == pointer
    assert f"must not be longer than {limit} bytes" in field.detail


def test_a_script_behind_an_entrypoint_may_be_longer_than_a_path() -> None:
    request = parse(body(entrypoint=["sh", "-c"], cmd=["echo hello\n" * 1000]))

    assert len(request.cmd[0]) == 11_000


@pytest.mark.parametrize("operators", Profile)
def test_the_strict_profile_takes_no_user(operators: Profile) -> None:
    (field,) = refused(body(profile="strict", user="1000"), profile=operators)

    assert field.pointer == "/user"
    assert "65534:65534" in field.detail


def test_the_strict_profile_takes_no_network_but_none() -> None:
    (field,) = refused(body(network="default"), profile=Profile.STRICT)

    assert field == FieldError("/network", "must be 'none': the strict profile has no network")


def test_nobody_loosens_the_operators_profile() -> None:
    (field,) = not_allowed(body(profile="standard"), profile=Profile.STRICT)

    assert field.pointer == "/profile"


IMAGES_OF_ANYBODY = ["busybox:1", "quay.io/a:1", "registry.example:5000/a:1"]
IMAGES_OF_THIS_HOST = [
    "localhost/a:1",
    "localhost:5000/a:1",
    "127.0.0.1:5000/a:1",
    "127.1:80/a:1",
    "0x7f.1/a:1",
    "2130706433:80/a:1",
    "10.0.0.1/a:1",
    "[::1]:5000/a:1",
    "[cafe]:5000/a:1",
    "registry:5000/a:1",
    "metadata.google.internal/a:1",
]


@pytest.mark.parametrize("image", IMAGES_OF_ANYBODY)
def test_without_an_allow_list_images_may_come_from_any_public_host(image: str) -> None:
    assert parse(body(docker_image=image)).pull is PullPolicy.MISSING


@pytest.mark.parametrize("image", IMAGES_OF_THIS_HOST)
def test_without_an_allow_list_none_comes_from_an_address_or_this_host(image: str) -> None:
    (field,) = not_allowed(body(docker_image=image))

    assert field.pointer == "/docker_image"
    assert image.partition("/")[0] in field.detail


@pytest.mark.parametrize("image", [*IMAGES_OF_ANYBODY, *IMAGES_OF_THIS_HOST])
def test_what_is_on_the_allow_list_may_be_pulled_wherever_it_is(image: str) -> None:
    registry = image.partition("/")[0] if "/" in image else "docker.io"

    request = parse(body(docker_image=image, pull="always"), allowed_registries=(registry,))

    assert request.pull is PullPolicy.ALWAYS


@pytest.mark.parametrize(
    "image", ["quay.io/a:1", "registry.example:5001/a:1", "registry.example/a:1", "localhost/a:1"]
)
@pytest.mark.parametrize("pull", PullPolicy)
def test_what_is_not_on_the_allow_list_is_not_even_looked_for(image: str, pull: PullPolicy) -> None:
    (field,) = not_allowed(
        body(docker_image=image, pull=pull), allowed_registries=("registry.example:5000",)
    )

    assert field.pointer == "/docker_image"


@pytest.mark.parametrize("pull", ["missing", "never"])
@pytest.mark.parametrize("image", ["busybox:1", "docker.io/a/b:1", "index.docker.io/busybox:1"])
def test_plain_names_run_from_the_engine_alone_when_docker_hub_is_not_on_the_allow_list(
    image: str, pull: str
) -> None:
    request = parse(body(docker_image=image, pull=pull), allowed_registries=("quay.io",))

    assert request.pull is PullPolicy.NEVER


def test_docker_hub_is_not_asked_when_it_is_not_on_the_allow_list() -> None:
    (field,) = not_allowed(body(pull="always"), allowed_registries=("quay.io",))

    assert field.pointer == "/docker_image"
    assert "docker.io" in field.detail


def test_a_malformed_body_is_told_so_before_the_policy_is_asked() -> None:
    (field,) = refused(body(docker_image="localhost/a:1", stdin="!"))

    assert field.pointer == "/stdin"
