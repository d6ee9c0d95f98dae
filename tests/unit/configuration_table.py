"""Renders the table of docs/configuration.md; `python -m tests.unit.configuration_table` prints it.

Copy what it prints between the two markers there; a test compares them.
"""

from collections.abc import Sequence

from ecs.settings import Settings
from ecs.settings_help import allowed_text, default_text, environment_variable, flag, unit

BEGIN_MARKER = "<!-- begin: python -m tests.unit.configuration_table -->"
END_MARKER = "<!-- end -->"
COLUMNS = ("Setting (flag)", "Environment variable", "Unit", "Default", "Allowed", "Meaning")


def configuration_table() -> str:
    """The table of all settings, in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, Settings.model_fields)]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _row(name: str) -> Sequence[str]:
    default = default_text(name)
    return (
        f"`{flag(name)}`",
        f"`{environment_variable(name)}`",
        unit(name),
        f"`{default}`" if default else "empty",
        allowed_text(name),
        Settings.model_fields[name].description or "",
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(configuration_table())
