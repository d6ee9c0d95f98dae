"""Whatever the body: it is taken, or refused in words that repeat none of its values."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.errors import InvalidRequestError
from ecs.tasks.model import TaskRequest
from tests.unit.request_handlers.bodies import parse

SECRET = "Hunter2 \u00e9\0\ud800"
EVERYTHING: dict[str, Any] = {
    "docker_image": "busybox:latest",
    "cmd": ["echo", "x"],
    "entrypoint": ["sh"],
    "env": {"A": "1"},
    "workdir": "/srv",
    "user": "u",
    "stdin": "AP8=",
    "timeout_seconds": 1.5,
    "resources": {"memory_bytes": 8388608, "cpus": 1.5, "pids": 7},
    "network": "none",
    "pull": "always",
    "labels": {"team": "a"},
    "profile": "standard",
    "creds": {"username": "u", "password": "p", "email": "e"},
}
FIELDS = sorted(EVERYTHING)
PARTS = ["Hunter2", "hunter2", "\u00e9", "\\u00e9", "\ud800", "\\ud800"]


def said(error: InvalidRequestError) -> str:
    """All that a caller is told."""
    return json.dumps(
        [str(error), *((field.pointer, field.detail) for field in error.fields)],
        ensure_ascii=False,
    )


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in the document, itself among them."""
    found = [path]
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            found += places(value, (*path, key))
    return found


def with_value(path: tuple[Any, ...], value: Any) -> Any:
    """The whole document, with another value at the path."""
    if not path:
        return value
    document = copy.deepcopy(EVERYTHING)
    parent: Any = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return document


secretive = st.recursive(
    st.sampled_from([SECRET, f"{SECRET}{SECRET}", f"/{SECRET}", f"{SECRET}:1", f"x@{SECRET}"]),
    lambda children: (
        st.lists(children, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("ab"), children, min_size=1, max_size=2)
    ),
    max_leaves=5,
)


# No secret fits any field but this one, which nobody reads.
checked_places = st.sampled_from([path for path in places(EVERYTHING) if path[-1:] != ("email",)])


@given(path=checked_places, value=secretive)
def test_no_refusal_repeats_a_value_wherever_a_secret_was_put(
    path: tuple[Any, ...], value: Any
) -> None:
    data = json.dumps(with_value(path, value)).encode()

    with pytest.raises(InvalidRequestError) as error:
        parse(data)

    assert not [part for part in PARTS if part in said(error.value)]


@given(path=st.sampled_from(places(EVERYTHING)), end=st.integers(0, 40))
def test_no_refusal_repeats_a_value_of_a_body_that_was_cut(path: tuple[Any, ...], end: int) -> None:
    data = json.dumps(with_value(path, SECRET)).encode()

    with pytest.raises(InvalidRequestError) as error:
        parse(data[: -1 - end])

    assert not [part for part in PARTS if part in said(error.value)]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(FIELDS), children, max_size=4)
    ),
    max_leaves=20,
)


@given(value=json_values)
def test_any_json_is_a_request_or_is_refused(value: Any) -> None:
    data = json.dumps(value).encode()

    try:
        assert isinstance(parse(data), TaskRequest)
    except InvalidRequestError as error:
        assert said(error)


@given(changes=st.dictionaries(st.sampled_from(FIELDS), json_values, min_size=1, max_size=3))
def test_any_value_of_any_field_is_taken_or_is_refused_with_a_pointer(
    changes: dict[str, Any],
) -> None:
    data = json.dumps(EVERYTHING | changes).encode()

    try:
        assert isinstance(parse(data), TaskRequest)
    except InvalidRequestError as error:
        first = {field.pointer.split("/")[1] for field in error.fields}
        assert first <= set(changes)


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_request_or_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parse(data)
