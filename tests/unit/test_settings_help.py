import pytest

import ecs
from ecs.settings import Settings
from ecs.settings_help import default_text, environment_variable, flag, unit
from tests.unit.loading import Loader


@pytest.fixture
def help_text(load_settings: Loader, capsys: pytest.CaptureFixture[str]) -> str:
    """What --help prints, without its line breaks and indentation."""
    with pytest.raises(SystemExit) as ended:
        load_settings("--help")
    assert ended.value.code == 0
    return squeezed(capsys.readouterr().out)


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_help_tells_of_every_setting_flag_meaning_unit_default_and_variable(
    name: str, help_text: str
) -> None:
    described_unit = f"[{unit(name)}]" if unit(name) else ""
    told = (
        f"{flag(name)} VALUE {Settings.model_fields[name].description} {described_unit}"
        f"Default: {default_text(name) or 'empty'}. [env var: {environment_variable(name)}"
    )

    assert squeezed(told) in help_text


def test_help_tells_how_to_name_a_file_and_what_beats_what(help_text: str) -> None:
    assert "--configFILE" in help_text
    assert squeezed("A flag beats the environment, which beats the file.") in help_text


def test_version_is_the_packages(load_settings: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load_settings("--version")

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{ecs.__version__}\n"
