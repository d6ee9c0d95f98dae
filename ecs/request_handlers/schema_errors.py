"""What a JSON Schema says against a document, in sentences that tell what to change.

No sentence repeats a value: it may be a password.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ecs.errors import FieldError

_MAX_ERRORS = 20
_TYPE_NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
}


def field_errors(validator: Draft202012Validator, document: object) -> tuple[FieldError, ...]:
    """Return every bad field of ``document``, up to a bound, in the schema's order."""
    # First what is too long to be looked at item by item.
    errors = too_long(validator.schema, document) or _distinct(
        error for found in validator.iter_errors(document) for error in _field_errors(found)
    )
    return tuple(itertools.islice(errors, _MAX_ERRORS))


def too_long(schema: Any, document: object) -> list[FieldError]:
    """Return the top-level lists and objects of ``document`` with more entries than allowed."""
    if not isinstance(document, dict):
        return []
    return [
        FieldError(pointer([name]), _BOUNDS[keyword].format(rules[keyword]))
        for name, rules in schema["properties"].items()
        for keyword, kind in (("maxItems", list), ("maxProperties", dict))
        if isinstance(document.get(name), kind) and len(document[name]) > rules.get(keyword, 2**31)
    ]


def _distinct(errors: Iterator[FieldError]) -> Iterator[FieldError]:
    # The library tells each missing field on its own, and with each of them all.
    seen: set[FieldError] = set()
    for error in errors:
        if error not in seen:
            seen.add(error)
            yield error


def pointer(path: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of ``path``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _field_errors(error: ValidationError) -> Iterator[FieldError]:
    path = list(error.absolute_path)
    rule: Any = error.validator_value
    schema: Any = error.schema
    document: Any = error.instance
    match error.validator:
        case "required":
            for name in rule:
                if name not in document:
                    yield FieldError(pointer([*path, name]), "is required")
        case "additionalProperties":
            known = schema["properties"]
            for name in document:
                if name not in known:
                    detail = f"is not known here; known are {', '.join(known)}"
                    yield FieldError(pointer([*path, name]), detail)
        case keyword:
            is_name = "propertyNames" in error.absolute_schema_path
            where = pointer([*path, document] if is_name else path)
            yield FieldError(where, _sentence(str(keyword), rule, schema))


def _sentence(keyword: str, rule: Any, schema: Any) -> str:
    if keyword == "type":
        return f"must be {_TYPE_NAMES[rule]}"
    if keyword == "pattern":
        return str(schema["rule"])
    if keyword == "enum":
        return f"must be one of {', '.join(rule)}"
    return _BOUNDS[keyword].format(rule)


_BOUNDS = {
    "minimum": "must be at least {}",
    "minItems": "must not be empty",
    "minLength": "must not be empty",
    "maxItems": "must not have more than {} entries",
    "maxProperties": "must not have more than {} entries",
    "maxLength": "must not be longer than {} characters",
}
