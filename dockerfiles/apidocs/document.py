"""The API's description (OpenAPI 3.1), put together from what the project has in one place each.

It still has a %NAME% for each value that the operator configures.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from performance import performance_markdown, sla_markdown

import ecs
from ecs.jsonschemas import load_schema
from ecs.settings import Settings
from ecs.settings_help import allowed_text, default_text, environment_variable

_HERE = Path(__file__).parent
_ROOT = Path(ecs.__file__).parent.parent
_PERFORMANCE_MARK = "<!-- performance -->"
_PLACEHOLDER = re.compile(r"%([A-Z][A-Z_]+)%")
_SCHEMAS = {
    "TaskRequest": "task_request",
    "TaskResult": "task_result",
    "Problem": "problem",
    "Health": "health",
    "Version": "version",
    "Noop": "noop",
}
"""The schema files of ecs/jsonschemas, by their names in the document."""


def openapi_template() -> str:
    """Return the document as JSON."""
    text = (_HERE / "openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    info = document["info"]
    info["version"] = ecs.__version__
    info["description"] = _with_performance(info["description"])
    document["components"]["schemas"] = {
        name: _moved(load_schema(file_name), f"#/components/schemas/{name}")
        for name, file_name in _SCHEMAS.items()
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def parameters() -> str:
    """Return the placeholders' kinds and defaults, as the program ``render`` reads them."""
    front_door = (_HERE.parent / "nginx" / "parameters").read_text(encoding="utf-8")
    named = set(_PLACEHOLDER.findall(openapi_template()))
    service = [_parameter(name) for name in Settings.model_fields if _is_named(name, named)]
    return front_door + "".join(service)


def _with_performance(text: str) -> str:
    before, mark, after = text.partition(_PERFORMANCE_MARK)
    if not mark:
        raise ValueError(f"openapi.yaml has no place for the figures: {_PERFORMANCE_MARK}")
    return before + _performance(_ROOT / "docs") + after


def _performance(directory: Path) -> str:
    figures = json.loads((directory / "performance.json").read_text(encoding="utf-8"))
    sections = [performance_markdown(figures)]
    sla = directory / "sla.json"
    if sla.exists():  # written by `ecsctl sla --json` once a node has been measured
        sections.append(sla_markdown(json.loads(sla.read_text(encoding="utf-8"))))
    return "\n\n".join(sections)


def _moved(schema: Any, place: str) -> Any:
    """Let the references within a schema file hold where it stands now."""
    if isinstance(schema, dict):
        return {
            key: place + value.removeprefix("#") if key == "$ref" else _moved(value, place)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    return schema


def _is_named(setting: str, placeholders: set[str]) -> bool:
    return environment_variable(setting) in placeholders


def _parameter(setting: str) -> str:
    description = Settings.model_fields[setting].description
    name, default = environment_variable(setting), default_text(setting)
    return f"# {description}\n{name} {_kind(setting)} {default}\n"


def _kind(setting: str) -> str:
    allowed = allowed_text(setting)
    if allowed.startswith(("a number", "a whole number")):
        return "number"
    return "|".join(allowed.split(" or "))
