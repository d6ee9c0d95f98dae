"""The table of the front door's parameters, as docs/front-door.md has it; run to print it."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PARAMETERS = ROOT / "dockerfiles" / "nginx" / "parameters"


def parameters_table() -> str:
    """Return the table in Markdown, made from the file that nginx's image reads."""
    rows = ["| variable | default | takes | meaning |", "|---|---|---|---|"]
    meaning = ""
    for line in PARAMETERS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            meaning = line.removeprefix("#").strip()
        elif line:
            name, kind, default = line.split()
            shown = default.replace("%", "")
            rows.append(f"| `{name}` | `{shown}` | {kind.replace('|', ' or ')} | {meaning} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(parameters_table())
