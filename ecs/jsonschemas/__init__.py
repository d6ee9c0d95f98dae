"""The request and response schemas: the one truth for validation, API documents and tests."""

import json
from importlib import resources
from typing import Any


def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) in ``name``.json of this package."""
    text = resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
