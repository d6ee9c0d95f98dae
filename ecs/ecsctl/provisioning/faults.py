"""What is wrong with a deployment file, each fault in one line; reads nothing.

A line shows the refused value only where the schema has one that is no secret (``writeOnly``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from ecs.request_handlers.schema_errors import pointer

_SHOWN_CHARACTERS = 60
_TYPES = {
    "object": "fields of its own",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
}


@dataclass(frozen=True)
class Fault:
    """One bad field: a JSON pointer (RFC 6901), and what is wrong and what to change."""

    pointer: str
    detail: str


@dataclass(frozen=True)
class LocatedFault:
    """A fault in a file; ``line``, from 1, and ``pointer`` are ``None`` where there is none."""

    file: str
    line: int | None
    pointer: str | None
    detail: str

    def __str__(self) -> str:
        at = self.file if self.line is None else f"{self.file}:{self.line}"
        told = self.detail if self.pointer is None else f"{self.pointer} {self.detail}"
        # A field's name may hold what ends a line, or drives the terminal.
        return "".join(c if c.isprintable() else "\ufffd" for c in f"{at}: {told}")


class DeploymentError(Exception):
    """The deployment file cannot be rendered; ``faults`` say why."""

    def __init__(self, faults: list[LocatedFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def schema_faults(validator: Draft202012Validator, document: object) -> list[Fault]:
    """Return every fault that the schema finds, one for each field, in the schema's order."""
    faults = (
        fault
        for error in validator.iter_errors(document)
        for fault in _faults(error, validator.schema)
    )
    return list({fault.pointer: fault for fault in faults}.values())


def not_allowed(value: object, takes: str) -> str:
    """Say that a value is refused, and what would be taken."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}…"
    return f"= {shown} is not allowed: it takes {takes}"


def located(fault: Fault, lines: Mapping[str, int], file_name: str) -> LocatedFault:
    """Return the fault with its line: that of the field, or of what the field is missing in."""
    known = fault.pointer
    while known and known not in lines:
        known = known.rpartition("/")[0]
    return LocatedFault(file_name, lines.get(known, 1), fault.pointer or "/", fault.detail)


def _faults(error: ValidationError, root: Any) -> Iterator[Fault]:
    path = list(error.absolute_path)
    schema: Any = error.schema
    rule: Any = error.validator_value
    document: Any = error.instance
    match error.validator:
        case "required":
            for name in rule:
                if name not in document:
                    wanted = takes(schema["properties"][name], root)
                    yield Fault(pointer([*path, name]), f"is missing: it takes {wanted}")
        case "additionalProperties":
            known = ", ".join(schema["properties"])
            for name in document:
                if name not in schema["properties"]:
                    yield Fault(pointer([*path, name]), f"is no field; known here are {known}")
        case "maxItems":
            yield Fault(pointer(path), f"has too many entries: at most {rule}")
        case _:
            wanted = takes(schema, root)
            if schema.get("writeOnly") or schema["type"] in ("object", "array"):
                yield Fault(pointer(path), f"is not allowed: it takes {wanted}")
            else:
                yield Fault(pointer(path), not_allowed(document, wanted))


def takes(schema: Any, root: Any) -> str:
    """Say what values a field of the schema takes."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "rule" in schema:
        return str(schema["rule"])
    if "enum" in schema:
        return " or ".join(schema["enum"])
    bounds = f" from {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else ""
    names = f": {', '.join(schema['properties'])}" if "properties" in schema else ""
    return f"{_TYPES[schema['type']]}{bounds}{names}"
