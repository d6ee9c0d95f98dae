"""docs/configuration.md says what the settings are."""

import re
from pathlib import Path

import pytest

import ecs
from ecs.settings import Settings
from tests.unit.configuration_table import BEGIN_MARKER, END_MARKER, configuration_table
from tests.unit.loading import Loader


@pytest.fixture
def document() -> str:
    path = Path(ecs.__file__).parent.parent / "docs" / "configuration.md"
    return path.read_text(encoding="utf-8")


def test_the_table_is_the_one_that_the_settings_make(document: str) -> None:
    _, _, behind = document.partition(f"{BEGIN_MARKER}\n")
    table, _, _ = behind.partition(f"\n{END_MARKER}\n")

    assert table == configuration_table()


def test_the_table_has_a_row_for_each_setting() -> None:
    head_rows = 2

    assert len(configuration_table().splitlines()) == head_rows + len(Settings.model_fields)


def test_the_example_is_a_file_that_loads(document: str, load_settings: Loader) -> None:
    example = re.search(r"```toml\n(.*?)```", document, re.DOTALL)
    assert example

    settings = load_settings(file=example[1])

    assert settings.allowed_registries == ("docker.io", "registry.example:5000")
    assert settings.profile == "strict"
