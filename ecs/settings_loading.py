"""Reads the settings from the command line, the environment and a file.

A flag beats the environment, which beats the TOML file named by ``--config`` or ``ECS_CONFIG``.
"""

import functools
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from ecs import __version__
from ecs.setting_types import NO_HOME_DIRECTORY
from ecs.settings import Settings, SettingsError
from ecs.settings_help import allowed_text, default_text, environment_variable, flag, unit

_CONFIG_VARIABLE = "ECS_CONFIG"
_ECSCTL_VARIABLES = frozenset(
    {
        "ECS_KEYS_FILE",
        "ECS_PROBE_KEY",
        "ECS_PROBE_KEY_FILE",
        "ECS_PROBE_SECRET",
        "ECS_PROBE_URL",
        "ECS_PROMETHEUS_URL",
    }
)


def load(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings from file, environment and flags.

    Raises:
        SettingsError: the first thing that is wrong, in one line.
        SystemExit: after ``--help`` or ``--version``.
    """
    try:
        values = _command().main(args=arguments, prog_name="ecservice", standalone_mode=False)
    except click.ClickException as error:
        raise SettingsError(" ".join(error.format_message().split())) from error
    if not isinstance(values, dict):  # --help and --version have printed their text
        raise SystemExit(0)
    config = values.pop("config")
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return Settings.model_validate({**_from_file(config), **given})
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from error


def unknown_variables() -> list[str]:
    """Return the ``ECS_`` variables of the environment that are none of the service's."""
    settings = {environment_variable(name) for name in Settings.model_fields}
    known = settings | {_CONFIG_VARIABLE} | _ECSCTL_VARIABLES
    return sorted(name for name in os.environ if name.startswith("ECS_") and name not in known)


def _from_file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"config = {path!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config = {path!r} is not TOML: {error}") from error


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    name = str(first["loc"][0])
    if name not in Settings.model_fields:
        return f"{name!r} is not a setting; `ecservice --help` lists all"
    value = first["input"] if len(first["loc"]) == 1 else str(first["input"])
    if Settings.model_fields[name].annotation is SecretStr:
        value = "(secret)"
    variable, allowed = environment_variable(name), allowed_text(name)
    if first["type"] == NO_HOME_DIRECTORY:
        return f"{name} = {str(value)!r} ({variable}) is not allowed: {first['msg']}"
    return f"{name} = {value!r} ({variable}) is not allowed: it takes {allowed}"


def _command() -> click.Command:
    options: list[click.Parameter] = [
        click.Option(
            ["--config"], envvar=_CONFIG_VARIABLE, metavar="FILE", help="TOML file of settings."
        ),
    ]
    for name, field in Settings.model_fields.items():
        options.append(_option(name, field))
    command = click.Command(
        "ecservice",
        params=options,
        callback=lambda **values: values,
        help="Run the Ephemeral Container Service. A flag beats the environment, which beats the "
        "file.",
        context_settings={"max_content_width": 100},
    )
    return click.version_option(__version__, message="%(version)s")(command)


def _option(name: str, field: FieldInfo) -> click.Option:
    described_unit = f" [{unit(name)}]" if unit(name) else ""
    default = default_text(name) or "empty"
    help_text = f"{field.description}{described_unit} Default: {default}."
    option = functools.partial(
        click.Option,
        [flag(name), name],
        envvar=environment_variable(name),
        show_envvar=True,
        help=help_text,
        metavar="VALUE",
    )
    # A switch may be given without a value; whatever else is given without one is a mistake.
    return option(is_flag=False, flag_value="true") if field.annotation is bool else option()
