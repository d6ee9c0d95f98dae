import re
from collections.abc import Iterator

import pytest

from ecs import errors
from ecs.errors import AdmissionError, EcsError, FieldError, InvalidRequestError


def classes_below(kind: type[EcsError]) -> Iterator[type[EcsError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from classes_below(subclass)


# The tests' own errors, and those of a room that never leave it, are elsewhere.
CLASSES = [EcsError, *(kind for kind in classes_below(EcsError) if kind.__module__ == "ecs.errors")]


def drawn_tree() -> dict[str, str]:
    """Each class of the tree in the module's docstring, and the one it hangs below."""
    branches: list[str] = []
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if drawn:
            depth = len(drawn[1]) // 4
            branches[depth:] = [drawn[2]]
            parents[drawn[2]] = branches[depth - 1] if depth else "Exception"
    return parents


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_code_for_programs(kind: type[EcsError]) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.code)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_when_it_is_raised(kind: type[EcsError]) -> None:
    assert kind.__doc__


def test_the_tree_is_drawn_with_every_error() -> None:
    assert set(drawn_tree()) == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_is_drawn_below_the_class_that_it_is_one_of(kind: type[EcsError]) -> None:
    assert kind.__base__ is not None
    assert drawn_tree()[kind.__name__] == kind.__base__.__name__


def test_the_text_of_an_error_is_its_detail() -> None:
    fields = (FieldError("/cmd", "is required"),)

    error = InvalidRequestError("the body does not fit", fields)

    assert str(error) == "the body does not fit"
    assert error.fields == fields


@pytest.mark.parametrize("kind", [AdmissionError, *classes_below(AdmissionError)])
def test_who_is_not_admitted_is_told_when_to_try_again(kind: type[AdmissionError]) -> None:
    error = kind("full", retry_after_seconds=7)

    assert (str(error), error.retry_after_seconds) == ("full", 7)
