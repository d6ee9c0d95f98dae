"""Renders the table of docs/provisioning.md; run as a module, it prints it.

Copy that between the two markers there; a test compares them.
"""

import json
from collections.abc import Iterator
from typing import Any

from ecs.ecsctl.provisioning.deployment import schema
from ecs.ecsctl.provisioning.faults import takes
from tests.unit.ecsctl.provisioning.broken import resolved

BEGIN_MARKER = "<!-- begin: python -m tests.unit.ecsctl.provisioning.fields_table -->"
END_MARKER = "<!-- end -->"
COLUMNS = ("Field", "Takes", "Default", "Meaning")


def fields_table() -> str:
    """The table of all fields, in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *_rows(schema())]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    )


def _rows(rules: Any, path: str = "") -> Iterator[tuple[str, ...]]:
    for name, inner in resolved(rules)["properties"].items():
        found = resolved(inner)
        if found["type"] == "object":
            yield f"**`{path}{name}`**", "", _default(rules, name, found), found["description"]
            yield from _rows(found, f"{path}{name}.")
        else:
            yield (
                f"`{path}{name}`",
                _takes(found),
                _default(rules, name, found),
                found["description"],
            )
            items = resolved(found.get("items", {}))
            if items.get("type") == "object":
                yield from _rows(items, f"{path}{name}[].")


def _takes(rules: Any) -> str:
    if rules["type"] == "array":
        items = resolved(rules["items"])
        if items["type"] == "object":
            return "a list of the next"
        return f"a list, each {takes(items, schema())}"
    return takes(rules, schema())


def _default(parent: Any, name: str, rules: Any) -> str:
    if name in resolved(parent).get("required", ()):
        return "required"
    if rules.get("default") == []:
        return "none"
    return f"`{json.dumps(rules['default']).strip(chr(34))}`" if "default" in rules else ""


if __name__ == "__main__":
    print(fields_table())
