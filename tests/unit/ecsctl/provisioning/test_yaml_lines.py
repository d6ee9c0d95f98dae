import pytest

from ecs.ecsctl.provisioning.yaml_lines import YamlError, read


def test_each_field_has_its_line() -> None:
    document, lines = read("a: 1\nb:\n  - c: x\n  - {d/e: 2.0, f~: 0.5}\n")

    assert document == {"a": 1, "b": [{"c": "x"}, {"d/e": 2, "f~": 0.5}]}
    assert lines == {
        "": 1,
        "/a": 1,
        "/b": 2,
        "/b/0": 3,
        "/b/0/c": 3,
        "/b/1": 4,
        "/b/1/d~1e": 4,
        "/b/1/f~0": 4,
    }


def test_a_whole_number_is_one_however_it_is_written() -> None:
    document, _ = read("a: 2.0")

    assert repr(document) == "{'a': 2}"


def test_nothing_is_nothing() -> None:
    assert read("# a comment alone\n") == (None, {})


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a: 1\nb: [1, 2\n", 3, "is no YAML: expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", 2, "is no YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: 2\na: 3\n", 3, "has /a twice"),
        ("a: &x {k: TOPSECRET}\nb: *x\n", 1, "has an alias of YAML here; write it out"),
        ("a: &x [*x]\n", 1, "has an alias of YAML here; write it out"),
        ("a: *TOPSECRET\n", 1, "is no YAML that is taken here"),
        ("a: 1\nb: !TOPSECRET 2\n", 2, "is no YAML that is taken here"),
        ("a: 1\n---\nb: 2\n", 2, "is no YAML that is taken here"),
        ("a: 1\nb: .nan\n", 1, "is no YAML that is taken here"),
        ("a: 1\nb: 2026-99-99\n", 1, "is no YAML that is taken here"),
        ("a: \x07TOPSECRET\n", 1, "is no YAML that is taken here"),
        ("? [TOPSECRET]\n: 1\n", 1, "is no YAML that is taken here"),
        ("? {a: 1}\n: 1\n", 1, "is no YAML that is taken here"),
    ],
)
def test_what_is_not_taken_is_told_with_its_line_and_no_value(
    text: str, line: int, told: str
) -> None:
    with pytest.raises(YamlError) as refused:
        read(text)

    assert refused.value.line == line
    assert told in str(refused.value)
    assert "TOPSECRET" not in str(refused.value)
