"""Bodies that are no JSON object, and such as hold what JSON does not allow."""

import json

import pytest

from ecs.errors import FieldError, InvalidRequestError
from tests.unit.request_handlers.bodies import GOOD, body, parse


def raw(field: str, text: str) -> bytes:
    """A good body with one more field, whose value is written as it is."""
    return json.dumps(GOOD)[:-1].encode() + f', "{field}": {text}}}'.encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the body is not JSON: Expecting value, line 1, column 1"),
        (b"  ", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"{'a': 1}", "the body is not JSON: .* line 1, column 2"),
        (b'{"cmd": []}}', "the body is not JSON: Extra data"),
        (b'{"cmd": [],}', "the body is not JSON"),
        (b'{"cmd": "\n"}', "the body is not JSON: Invalid control character"),
        (b'{\n"cmd": tru}', "the body is not JSON: .* line 2, column 8"),
        (b"docker_image=busybox", "the body is not JSON"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: .*BOM"),
        (b'{"cmd": ["\xff"]}', "the body is not UTF-8: byte 10 is not"),
        (json.dumps(GOOD).encode("utf-16"), "the body is not UTF-8"),
        (b'{"cmd": ["\xed\xa0\x80"]}', "the body is not UTF-8"),
        (b'{"a": NaN}', "the body holds NaN, which is not JSON"),
        (b'{"a": Infinity}', "the body holds Infinity, which is not JSON"),
        (b'{"a": -Infinity}', "the body holds -Infinity, which is not JSON"),
        (b'{"a": 1, "a": 1}', 'the body names "a" twice in one object'),
        (b'{"a": {"b\\u00e9": 1, "b\\u00e9": 2}}', "twice in one object"),
        (b"[" * 10_000 + b"]" * 10_000, "the body is nested too deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "the body is nested too deep"),
        (b"[" * 100_000, "the body is nested too deep"),
        (b"1" * 5001, "the body holds a number with too many digits"),
        (raw("timeout_seconds", "1" + "0" * 5000), "a number with too many digits"),
        (raw("resources", '{"pids": -' + "9" * 5000 + "}"), "a number with too many digits"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place_or_the_reason(
    data: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidRequestError, match=sentence) as error:
        parse(data)

    assert error.value.fields == ()


@pytest.mark.parametrize("data", [b"null", b"[]", b'"{}"', b"1", b"true"])
def test_json_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError) as error:
        parse(data)

    assert error.value.fields == (FieldError("", "must be an object"),)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (raw("timeout_seconds", "1e999"), "/timeout_seconds"),
        (raw("timeout_seconds", "-1e999"), "/timeout_seconds"),
        (raw("timeout_seconds", "1e-999"), "/timeout_seconds"),
        (raw("timeout_seconds", "9" * 4000), "/timeout_seconds"),
        (raw("timeout_seconds", "-" + "9" * 4000), "/timeout_seconds"),
        (raw("resources", '{"memory_bytes": 1e999}'), "/resources/memory_bytes"),
        (raw("resources", '{"memory_bytes": 1e300}'), "/resources/memory_bytes"),
        (raw("resources", '{"cpus": 1e999}'), "/resources/cpus"),
        (raw("resources", '{"cpus": ' + "9" * 4000 + "}"), "/resources/cpus"),
        (raw("resources", '{"pids": ' + "9" * 4000 + "}"), "/resources/pids"),
        (raw("env", '{"A": "\\u0000"}'), "/env/A"),
        (raw("env", '{"A\\u0000": ""}'), "/env/A\0"),
        (raw("env", '{"A": "\\ud800"}'), "/env/A"),
        (raw("env", '{"A": "\\udfff\\ud800"}'), "/env/A"),
        (body(cmd=["x"] * 100_000), "/cmd"),
        (body(cmd=[]), "/cmd"),
        (body(nope=1), "/nope"),
        (body(stdin=None), "/stdin"),
        (body(docker_image=None), "/docker_image"),
    ],
)
def test_json_with_a_field_that_cannot_be_is_refused_with_its_pointer(
    data: bytes, pointer: str
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        parse(data)

    assert [field.pointer for field in error.value.fields] == [pointer]


def test_a_whole_pair_of_surrogates_is_a_character() -> None:
    assert parse(raw("user", '"u"')[:-1] + b', "env": {"A": "\\ud83d\\ude00"}}').env == {"A": "😀"}


def test_no_depth_at_all_is_a_bug_in_ecs() -> None:
    for depth in range(900, 1000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            text = opening * depth + "1" + closing * depth

            with pytest.raises(InvalidRequestError):
                parse(raw("env", f'{{"A": {text}}}'))
