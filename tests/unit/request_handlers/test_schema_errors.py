from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ecs.errors import FieldError
from ecs.jsonschemas import load_schema
from ecs.request_handlers.schema_errors import field_errors, pointer

VALIDATOR = Draft202012Validator(load_schema("task_request"))
GOOD: dict[str, Any] = {"docker_image": "busybox:latest", "cmd": ["true"]}
CREDS = {"username": "u", "password": "p"}


def errors_of(document: object) -> tuple[FieldError, ...]:
    return field_errors(VALIDATOR, document)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([], ""),
        (["cmd"], "/cmd"),
        (["cmd", 0], "/cmd/0"),
        (["env", "A/B"], "/env/A~1B"),
        (["env", "A~B"], "/env/A~0B"),
        (["env", "~1"], "/env/~01"),
        (["env", "~/"], "/env/~0~1"),
        (["env", ""], "/env/"),
    ],
)
def test_a_pointer_is_written_as_rfc_6901_has_it(path: list[str | int], expected: str) -> None:
    assert pointer(path) == expected


def test_a_good_document_has_no_errors() -> None:
    everything = {
        **GOOD,
        "entrypoint": [],
        "env": {"A": "", "B_1": "x=y\n", "ä": "ö"},
        "workdir": "/",
        "user": "1000:staff",
        "stdin": "",
        "timeout_seconds": 0.1,
        "resources": {"memory_bytes": 6291456, "cpus": 0.01, "pids": 1},
        "network": "none",
        "pull": "never",
        "labels": {"a.b/c-d_e": "x", "ecs": "x", "my.ecs.x": "x"},
        "profile": "strict",
        "creds": {**CREDS, "email": "u@example.com"},
    }

    assert errors_of(everything) == ()


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"docker_image": 1}, "/docker_image", "must be a string"),
        ({"docker_image": ""}, "/docker_image", "must not be empty"),
        ({"docker_image": "x" * 513}, "/docker_image", "must not be longer than 512 characters"),
        ({"cmd": "ls"}, "/cmd", "must be a list"),
        ({"cmd": []}, "/cmd", "must not be empty"),
        ({"cmd": ["x"] * 4097}, "/cmd", "must not have more than 4096 entries"),
        ({"cmd": ["ls", 1]}, "/cmd/1", "must be a string"),
        ({"cmd": ["\0"]}, "/cmd/0", "must not hold NUL or half of a surrogate pair"),
        ({"cmd": ["\ud800"]}, "/cmd/0", "must not hold NUL or half of a surrogate pair"),
        ({"env": []}, "/env", "must be an object"),
        ({"env": {"A": None}}, "/env/A", "must be a string"),
        ({"env": {"A/B~C": 1}}, "/env/A~1B~0C", "must be a string"),
        ({"env": {"": "x"}}, "/env/", "a name must not be empty and must not hold '=' or NUL"),
        ({"env": {"A=": ""}}, "/env/A=", "a name must not be empty and must not hold '=' or NUL"),
        (
            {"env": {str(number): "" for number in range(1025)}},
            "/env",
            "must not have more than 1024 entries",
        ),
        ({"workdir": "tmp"}, "/workdir", "must be an absolute path without NUL"),
        ({"workdir": "/a\0"}, "/workdir", "must be an absolute path without NUL"),
        ({"user": "-1"}, "/user", "must be user or user:group, by name or number"),
        ({"user": "root\n"}, "/user", "must be user or user:group, by name or number"),
        ({"user": "a:b:c"}, "/user", "must be user or user:group, by name or number"),
        ({"stdin": 1}, "/stdin", "must be a string"),
        ({"timeout_seconds": "1"}, "/timeout_seconds", "must be a number"),
        ({"timeout_seconds": True}, "/timeout_seconds", "must be a number"),
        ({"timeout_seconds": 0}, "/timeout_seconds", "must be at least 0.1"),
        ({"timeout_seconds": -1}, "/timeout_seconds", "must be at least 0.1"),
        ({"resources": []}, "/resources", "must be an object"),
        ({"resources": {"cpus": 0}}, "/resources/cpus", "must be at least 0.01"),
        ({"resources": {"pids": 0}}, "/resources/pids", "must be at least 1"),
        ({"resources": {"pids": 1.5}}, "/resources/pids", "must be a whole number"),
        (
            {"resources": {"memory_bytes": 6291455}},
            "/resources/memory_bytes",
            "must be at least 6291456",
        ),
        ({"resources": {"disk": 1}}, "/resources/disk", "is not known here; known are memory_"),
        ({"network": "host"}, "/network", "must be one of default, none"),
        ({"pull": "sometimes"}, "/pull", "must be one of missing, always, never"),
        ({"profile": "privileged"}, "/profile", "must be one of standard, strict"),
        ({"labels": {"ecs.task": "x"}}, "/labels/ecs.task", "a label's name must be"),
        ({"labels": {"a\n": "x"}}, "/labels/a\n", "a label's name must be"),
        ({"labels": {"a" * 129: ""}}, f"/labels/{'a' * 129}", "must not be longer than 128 char"),
        ({"labels": {"a": "x" * 1025}}, "/labels/a", "must not be longer than 1024 characters"),
        ({"creds": {"username": "u"}}, "/creds/password", "is required"),
        ({"creds": {**CREDS, "username": ""}}, "/creds/username", "must not be empty"),
        ({"creds": {**CREDS, "token": "t"}}, "/creds/token", "is not known here; known are user"),
        ({"docker-image": "x"}, "/docker-image", "is not known here; known are docker_image, cmd"),
        ({"~/": "x"}, "/~0~1", "is not known here; known are docker_image, cmd"),
    ],
)
def test_a_bad_field_is_told_by_its_pointer_and_in_words(
    changes: dict[str, Any], where: str, what: str
) -> None:
    (error,) = errors_of({**GOOD, **changes})

    assert error.pointer == where
    assert error.detail.startswith(what)


def test_all_that_is_missing_is_told_once() -> None:
    assert errors_of({}) == (
        FieldError("/docker_image", "is required"),
        FieldError("/cmd", "is required"),
    )


def test_all_that_is_unknown_is_told() -> None:
    errors = errors_of({**GOOD, "a": 1, "b": 2})

    assert [error.pointer for error in errors] == ["/a", "/b"]


def test_several_bad_fields_are_told_together() -> None:
    errors = errors_of({"cmd": [], "network": "host", "user": ""})

    assert {error.pointer for error in errors} == {"/docker_image", "/cmd", "/network", "/user"}


def test_of_a_list_that_is_too_long_the_items_are_not_looked_at() -> None:
    errors = errors_of({"cmd": [1] * 4097, "env": {str(number): 1 for number in range(1025)}})

    assert errors == (
        FieldError("/cmd", "must not have more than 4096 entries"),
        FieldError("/env", "must not have more than 1024 entries"),
    )


@pytest.mark.parametrize("document", [None, [], "x", 1, True])
def test_a_document_that_is_no_object_is_told(document: object) -> None:
    assert errors_of(document) == (FieldError("", "must be an object"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"cmd": [1] * 4096},
        {str(number): 1 for number in range(10_000)},
        {"labels": {f"ecs.{number}": 1 for number in range(64)}},
    ],
    ids=["arguments", "unknown fields", "labels"],
)
def test_no_more_than_twenty_bad_fields_are_told(changes: dict[str, Any]) -> None:
    assert len(errors_of({**GOOD, **changes})) == 20
