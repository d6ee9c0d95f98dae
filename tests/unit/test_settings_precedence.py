"""A flag beats the environment, which beats the file; shown with one setting of each type."""

import ipaddress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ecs.settings import Settings
from ecs.settings_help import environment_variable, flag
from tests.unit.loading import Loader


class Case(NamedTuple):
    """A setting, and for each source what is written there and what it comes to."""

    name: str
    file: tuple[str, Any]
    variable: tuple[str, Any]
    flag: tuple[str, Any]


def network(text: str) -> tuple[Any, ...]:
    return (ipaddress.ip_network(text),)


CASES = [
    Case("address", ('"::1"', "::1"), ("::2", "::2"), ("::3", "::3")),
    Case("port", ("1", 1), ("2", 2), ("3", 3)),
    Case("queue_timeout_seconds", ("1.5", 1.5), ("2.5", 2.5), ("3", 3.0)),
    Case("allow_unauthenticated", ("true", True), ("false", False), ("true", True)),
    Case("log_level", ('"debug"', "debug"), ("error", "error"), ("warning", "warning")),
    Case("state_directory", ('"/a"', Path("/a")), ("/b", Path("/b")), ("/c", Path("/c"))),
    Case("spool_directory", ('"/a"', Path("/a")), ("/b", Path("/b")), ("", None)),
    Case(
        "trusted_proxies",
        ('["10.0.0.0/8"]', network("10.0.0.0/8")),
        ("10.0.0.1", network("10.0.0.1")),
        ("::1", network("::1")),
    ),
    Case("trusted_proxies", ('"::1"', network("::1")), ("::2", network("::2")), ("", ())),
    Case(
        "allowed_registries",
        ('["a.io", "b.io"]', ("a.io", "b.io")),
        ("c.io,d.io", ("c.io", "d.io")),
        ("e.io", ("e.io",)),
    ),
    Case("docker_host", ('"tcp://a"', "tcp://a"), ("tcp://b", "tcp://b"), ("tcp://c", "tcp://c")),
    Case("docker_tls_verify", ("false", False), ("1", True), ("", False)),
]
IDS = [f"{case.name}-{number}" for number, case in enumerate(CASES)]


def value(settings: Settings, case: Case) -> Any:
    return getattr(settings, case.name)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_file_beats_the_default(case: Case, load_settings: Loader) -> None:
    text, expected = case.file

    settings = load_settings(file=f"{case.name} = {text}")

    assert value(settings, case) == expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_environment_beats_the_file(case: Case, load_settings: Loader) -> None:
    text, expected = case.variable

    settings = load_settings(
        file=f"{case.name} = {case.file[0]}", environment={environment_variable(case.name): text}
    )

    assert value(settings, case) == expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_flag_beats_the_environment_and_the_file(case: Case, load_settings: Loader) -> None:
    text, expected = case.flag

    settings = load_settings(
        f"{flag(case.name)}={text}",
        file=f"{case.name} = {case.file[0]}",
        environment={environment_variable(case.name): case.variable[0]},
    )

    assert value(settings, case) == expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_an_empty_variable_is_as_good_as_none(case: Case, load_settings: Loader) -> None:
    text, expected = case.file

    settings = load_settings(
        file=f"{case.name} = {text}", environment={environment_variable(case.name): ""}
    )

    assert value(settings, case) == expected


def test_each_source_may_hold_a_part_of_the_settings(load_settings: Loader) -> None:
    settings = load_settings(
        "--port=3", file='log_level = "debug"', environment={"ECS_INSTANCE": "one"}
    )

    assert (settings.port, settings.instance, settings.log_level) == (3, "one", "debug")


@pytest.mark.parametrize("flags", [["--allow-unauthenticated"], ["--allow-unauthenticated=true"]])
def test_a_flag_that_is_true_or_false_means_true_by_itself(
    flags: list[str], load_settings: Loader
) -> None:
    assert load_settings(*flags).allow_unauthenticated


def test_the_file_may_be_named_by_the_environment(load_settings: Loader, tmp_path: Path) -> None:
    path = tmp_path / "named.toml"
    path.write_text("port = 1", encoding="ascii")

    assert load_settings(environment={"ECS_CONFIG": str(path)}).port == 1
