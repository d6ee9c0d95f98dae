"""Breaks a deployment in every way that the schema knows, by walking the schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ecs.ecsctl.provisioning.deployment import schema
from tests.deployments import Document, changed

SECRET = "TOPSECRET\n-----BEGIN PRIVATE KEY-----"
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Broken:
    """One deployment with one fault."""

    pointer: str
    how: str
    document: Document
    is_shown: bool
    """Whether the refused value may stand in the complaint."""
    value: Any = None


def fields(rules: Any, path: Path = ()) -> Iterator[tuple[Path, Any, bool]]:
    """Every field of the schema, with its rules and whether it is required; items are field 0."""
    rules = resolved(rules)
    for name, inner in rules.get("properties", {}).items():
        yield (*path, name), resolved(inner), name in rules.get("required", ())
        yield from fields(inner, (*path, name))
    if "items" in rules:
        yield (*path, 0), resolved(rules["items"]), False
        yield from fields(rules["items"], (*path, 0))


def resolved(rules: Any) -> Any:
    if "$ref" not in rules:
        return rules
    return schema()["$defs"][rules["$ref"].rpartition("/")[2]] | rules


def broken(whole: Document) -> Iterator[Broken]:
    """Each way to break each field of a deployment that has them all."""
    yield Broken("/", "is no object", ["text"], False)  # type: ignore[arg-type]
    yield _unknown(whole, ())
    for path, rules, is_required in fields(schema()):
        if is_required:
            document = changed(whole, lambda all_, path=path: _parent(all_, path).pop(path[-1]))
            yield Broken(_pointer(path), "is missing", document, False)
        is_shown = rules["type"] not in ("object", "array") and not rules.get("writeOnly")
        for how, value in _wrong_values(rules):
            document = changed(
                whole, lambda all_, p=path, v=value: _parent(all_, p).__setitem__(p[-1], v)
            )
            yield Broken(_pointer(path), how, document, is_shown, value)
        if rules["type"] == "object":
            yield _unknown(whole, path)


def _unknown(whole: Document, path: Path) -> Broken:
    document = changed(
        whole, lambda all_: _parent(all_, (*path, "surplus")).__setitem__("surplus", SECRET)
    )
    return Broken(_pointer((*path, "surplus")), "is unknown", document, False)


def _wrong_values(rules: Any) -> Iterator[tuple[str, Any]]:
    match rules["type"]:
        case "object":
            yield "is text", SECRET
        case "array":
            yield "is text", SECRET
            yield "is an object", {"a": 1}
            if "maxItems" in rules:
                yield "is too long", [None] * (rules["maxItems"] + 1)
        case "string":
            yield "is a number", 17
            yield "is a list", ["text"]
            yield "has what no such text has", SECRET
            if "enum" not in rules:
                yield "is too long", "a" * (rules.get("maxLength", 60) + 1)
        case "integer" | "number":
            yield "is text", "many"
            yield "is a boolean", True
            yield "is too small", rules["minimum"] - 1
            yield "is too large", rules["maximum"] + 1
            if rules["type"] == "integer":
                yield "is a fraction", rules["minimum"] + 0.5


def _parent(document: Any, path: Path) -> Any:
    for part in path[:-1]:
        document = document[part]
    return document


def _pointer(path: Path) -> str:
    return "".join(f"/{part}" for part in path) or "/"
