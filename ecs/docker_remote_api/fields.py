"""Typed look-ups in the engine's answers: a missing or mistyped field is a protocol error."""

import json
from typing import Any, TypeVar

from ecs.errors import EngineProtocolError

T = TypeVar("T")


def parsed(body: bytes, complaint: str) -> Any:
    """Return a JSON document; ``complaint`` is the text of the error where there is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EngineProtocolError(complaint) from error


def elements(answer: object, of: str) -> list[Any]:
    """Return a list ``of`` something, the whole of an answer."""
    if not isinstance(answer, list):
        raise EngineProtocolError(f"the engine's list of {of} is not a list")
    return answer


def text(answer: object, name: str) -> str:
    """Return the string field ``name``."""
    return _field(answer, name, str)


def integer(answer: object, name: str) -> int:
    """Return the integer field ``name``."""
    return _field(answer, name, int)


def boolean(answer: object, name: str) -> bool:
    """Return the boolean field ``name``."""
    return _field(answer, name, bool)


def mapping(answer: object, name: str) -> dict[str, Any]:
    """Return the object field ``name``; the engine writes an empty one as ``null``."""
    if isinstance(answer, dict) and answer.get(name) is None:
        return {}
    return _field(answer, name, dict)


def texts(answer: object, name: str) -> list[str]:
    """Return the field ``name``, a list of strings; the engine writes an empty one as ``null``."""
    if isinstance(answer, dict) and answer.get(name) is None:
        return []
    values = _field(answer, name, list)
    if not all(isinstance(value, str) for value in values):
        raise EngineProtocolError(f"the engine's answer has no list of strings {name!r}")
    return values


def _field(answer: object, name: str, kind: type[T]) -> T:
    value = answer.get(name) if isinstance(answer, dict) else None
    # To Python a boolean is a whole number, to the engine it is not.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise EngineProtocolError(f"the engine's answer has no {kind.__name__} {name!r}")
    return value
