"""Reads YAML, and remembers the line of each field; takes no field twice, and no aliases."""

import math
from typing import Any

import yaml

from ecs.request_handlers.schema_errors import pointer

Path = tuple[str | int, ...]


class YamlError(Exception):
    """It is no YAML that is taken here; the text says why, ``line`` where."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(told)
        self.line = line


def read(text: str) -> tuple[Any, dict[str, int]]:
    """Return the document, and the line of each JSON pointer into it.

    Raises:
        YamlError: no YAML, a field twice, an alias, a number that is none.
    """
    try:
        return _read(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        # What PyYAML says of a tag or of a value would repeat it, and it may be a secret.
        is_syntax = isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError)
        raise YamlError(line, f"is no YAML: {error.problem}" if is_syntax else _STRANGE) from None
    except (yaml.YAMLError, ValueError):
        raise YamlError(1, _STRANGE) from None


_STRANGE = "is no YAML that is taken here: plain fields, lists, text and numbers"


def _read(text: str) -> tuple[Any, dict[str, int]]:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines: dict[str, int] = {}
        _look(node, (), lines, set())
        return _with_whole_numbers(loader.construct_document(node)), lines
    finally:
        loader.dispose()


def _look(node: yaml.Node, path: Path, lines: dict[str, int], seen: set[int]) -> None:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise YamlError(line, "has an alias of YAML here; write it out")
    seen.add(id(node))
    lines.setdefault(pointer(path), line)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            key_line = key.start_mark.line + 1
            if pointer(inner) in lines:
                raise YamlError(key_line, f"has {pointer(inner)} twice")
            lines[pointer(inner)] = key_line
            _look(value, inner, lines, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _look(item, (*path, index), lines, seen)


def _with_whole_numbers(value: Any) -> Any:
    """Return the document with each 1.0 as 1, so that both are written alike."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError
        return int(value) if value.is_integer() else value
    return value
