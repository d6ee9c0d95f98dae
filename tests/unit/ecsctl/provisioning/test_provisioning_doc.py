"""docs/provisioning.md says what a deployment file may hold, and the example is one."""

import re
from pathlib import Path

from ecs.ecsctl.provisioning.deployment import load, schema
from tests.deployments import ROOT, example, write
from tests.unit.ecsctl.provisioning.broken import fields
from tests.unit.ecsctl.provisioning.fields_table import BEGIN_MARKER, END_MARKER, fields_table

DOCUMENT = ROOT / "docs" / "provisioning.md"


def test_the_table_is_the_one_that_the_schema_makes() -> None:
    _, _, behind = DOCUMENT.read_text(encoding="utf-8").partition(f"{BEGIN_MARKER}\n")
    table, _, _ = behind.partition(f"\n{END_MARKER}\n")

    assert table == fields_table()


def test_the_table_has_a_row_for_each_field() -> None:
    names = re.findall(r"^\| \*{0,2}`([a-z_.\[\]]+)`", fields_table(), re.MULTILINE)

    assert names == [
        ".".join(str(part) for part in path).replace(".0.", "[].")
        for path, _, _ in fields(schema())
        if path[-1] != 0
    ]


def test_the_example_is_a_right_deployment(directory: Path) -> None:
    assert load(write(directory, example())).nodes == 2


def test_each_field_is_described() -> None:
    assert all(rules["description"] for path, rules, _ in fields(schema()) if path[-1] != 0)
