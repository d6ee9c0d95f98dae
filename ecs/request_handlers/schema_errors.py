"""What a JSON Schema says against a document, in sentences that tell what to change.

No sentence repeats a value: it may be a password.
"""

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
    # A dict for its order without duplicates: the library tells each missing field on its own.
    errors: dict[FieldError, None] = {}
    for error in validator.iter_errors(document):
        errors.update(dict.fromkeys(_field_errors(error)))
        if len(errors) >= _MAX_ERRORS:
            break
    return tuple(errors)[:_MAX_ERRORS]


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
