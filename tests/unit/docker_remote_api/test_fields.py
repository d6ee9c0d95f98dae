from collections.abc import Callable
from typing import Any

import pytest

from ecs.docker_remote_api.fields import (
    boolean,
    elements,
    integer,
    mapping,
    parsed,
    text,
    texts,
)
from ecs.errors import EngineProtocolError

GOOD: list[tuple[Callable[[object, str], Any], Any]] = [
    (text, "x"),
    (text, ""),
    (integer, 0),
    (integer, -1),
    (boolean, False),
    (mapping, {"a": 1}),
    (mapping, {}),
    (texts, ["a", "b"]),
]
BAD: list[tuple[Callable[[object, str], Any], Any]] = [
    (text, 1),
    (text, None),
    (text, ["x"]),
    (integer, "1"),
    (integer, 1.0),
    (integer, None),
    (boolean, 0),
    (boolean, "true"),
    (boolean, None),
    (mapping, []),
    (mapping, "x"),
    (texts, "x"),
    (texts, ["a", 1]),
]


@pytest.mark.parametrize(("look_up", "value"), GOOD)
def test_a_field_of_the_right_type_is_returned(
    look_up: Callable[[object, str], Any], value: Any
) -> None:
    assert look_up({"Name": value}, "Name") == value


@pytest.mark.parametrize(("look_up", "value"), BAD)
def test_a_field_of_another_type_is_a_protocol_error_that_names_it(
    look_up: Callable[[object, str], Any], value: Any
) -> None:
    with pytest.raises(EngineProtocolError, match="'Name'"):
        look_up({"Name": value}, "Name")


@pytest.mark.parametrize("look_up", [text, integer, boolean])
def test_a_missing_field_is_a_protocol_error(look_up: Callable[[object, str], Any]) -> None:
    with pytest.raises(EngineProtocolError, match="'Name'"):
        look_up({}, "Name")


@pytest.mark.parametrize("answer", [None, [], "x", 1])
@pytest.mark.parametrize("look_up", [text, integer, boolean, mapping, texts])
def test_an_answer_that_is_no_object_is_a_protocol_error(
    look_up: Callable[[object, str], Any], answer: object
) -> None:
    with pytest.raises(EngineProtocolError):
        look_up(answer, "Name")


@pytest.mark.parametrize("answer", [{"Name": None}, {}])
def test_what_is_empty_may_come_as_null_or_not_at_all(answer: dict[str, object]) -> None:
    assert mapping(answer, "Name") == {}
    assert texts(answer, "Name") == []


def test_a_boolean_is_no_whole_number() -> None:
    with pytest.raises(EngineProtocolError):
        integer({"StatusCode": True}, "StatusCode")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "half", "no text", "deep"]
)
def test_what_is_no_document_is_a_protocol_error_in_the_callers_words(body: bytes) -> None:
    with pytest.raises(EngineProtocolError, match=r"^the answer is not JSON$"):
        parsed(body, "the answer is not JSON")


@pytest.mark.parametrize("answer", [None, {}, "x"])
def test_what_is_no_list_is_a_protocol_error_that_says_of_what(answer: object) -> None:
    with pytest.raises(EngineProtocolError, match="the engine's list of volumes is not a list"):
        elements(answer, "volumes")
