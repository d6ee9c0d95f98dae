"""A wrong setting is told in one line: its name, its value, what it takes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.settings import Settings, SettingsError
from ecs.settings_help import allowed_text, environment_variable, flag
from ecs.settings_loading import load
from tests.unit.loading import Loader

NOBODYS_ID = 2**31 - 2
NUMBERS = [
    name for name, field in Settings.model_fields.items() if field.annotation in (int, float)
]
WHOLE_NUMBERS = [name for name in NUMBERS if Settings.model_fields[name].annotation is int]
SWITCHES = ["allow_unauthenticated"]
CHOICES = ["profile", "log_level"]
BAD_TEXTS = [
    ("address", ""),
    ("task_network", ""),
    ("instance", "x" * 129),
    ("trusted_proxies", "10.0.0.1/8"),
    ("trusted_proxies", "::1,nobody"),
    ("trusted_proxies", "300.0.0.1"),
    ("allowed_registries", "https://quay.io"),
    ("allowed_registries", "quay.io/library"),
    ("allowed_registries", "quay.io:port"),
    ("allowed_registries", "quay.io:123456"),
    ("allowed_registries", "qu ay.io"),
    ("warm_images", "busybox:latest"),
    ("warm_images", "=2"),
    ("warm_images", "busybox:latest=many"),
    ("warm_images", "busybox:latest=0"),
    ("warm_images", "busybox:latest=-1"),
    ("warm_images", "busybox:latest=257"),
    ("warm_images", "busybox:1=200,busybox:2=57"),
    ("otlp_endpoint", "localhost:4318"),
    ("otlp_endpoint", "grpc://localhost:4317"),
    ("otlp_endpoint", "http://"),
    ("otlp_endpoint", "https://host/?token=1"),
]
BAD = [
    *((name, value) for name in NUMBERS for value in ("", "x", "nan", "inf", "-1", "1e18")),
    *((name, value) for name in WHOLE_NUMBERS for value in ("1.5", "0x10")),
    *((name, value) for name in SWITCHES for value in ("", "2", "maybe")),
    *((name, value) for name in CHOICES for value in ("", "loud", "INFO")),
    *BAD_TEXTS,
]


def bad_part(value: str) -> str:
    """Of a list the bad one of its parts is told."""
    return {"::1,nobody": "nobody"}.get(value, value)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_told_with_name_variable_value_and_what_is_allowed(
    name: str, value: str, load_settings: Loader
) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(f"{flag(name)}={value}")

    assert str(error.value) == (
        f"{name} = {bad_part(value)!r} ({environment_variable(name)}) is not allowed: "
        f"it takes {allowed_text(name)}"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("port = 65536", "port = 65536"),
        ('port = "x"', "port = 'x'"),
        ("port = []", "port = []"),
        ("address = 5", "address = 5"),
        ("docker_host = 5", "docker_host = 5"),
        ("state_directory = 5", "state_directory = 5"),
        ("spool_directory = 5", "spool_directory = 5"),
        ("max_cpus = nan", "max_cpus = nan"),
        ("profile = 1", "profile = 1"),
        ("trusted_proxies = 5.5", "trusted_proxies = 5.5"),
        ('trusted_proxies = ["x"]', "trusted_proxies = 'x'"),
        ('allowed_registries = ["https://x"]', "allowed_registries = 'https://x'"),
        ("allowed_registries = [5]", "allowed_registries = '5'"),
    ],
)
def test_a_bad_value_in_the_file_is_told_in_the_same_words(
    line: str, told: str, load_settings: Loader
) -> None:
    name = told.partition(" ")[0]

    with pytest.raises(SettingsError) as error:
        load_settings(file=line)

    assert str(error.value) == (
        f"{told} ({environment_variable(name)}) is not allowed: it takes {allowed_text(name)}"
    )


@pytest.mark.parametrize("value", ["s3cret", "name: s3cret", "=s3cret", "a=b,s3cret", "a=s3\ncret"])
def test_bad_headers_are_told_without_their_secret(value: str, load_settings: Loader) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(f"--otlp-headers={value}")

    assert str(error.value) == (
        "otlp_headers = '(secret)' (ECS_OTLP_HEADERS) is not allowed: "
        "it takes name=value, separated by commas"
    )


def test_a_boolean_in_the_file_is_no_number(load_settings: Loader) -> None:
    with pytest.raises(SettingsError):
        load_settings(file="port = true")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--default-timeout-seconds=60", "--max-timeout-seconds=59.5"],
            "default_timeout_seconds = 60 is not allowed: at most max_timeout_seconds, 59.5",
        ),
        (
            ["--default-pids=11", "--max-pids=10"],
            "default_pids = 11 is not allowed: at most max_pids, 10",
        ),
        (
            ["--default-cpus=1.5", "--max-cpus=1"],
            "default_cpus = 1.5 is not allowed: at most max_cpus, 1",
        ),
        (
            ["--default-memory-bytes=2147483649", "--max-memory-bytes=2147483648"],
            "default_memory_bytes = 2147483649 is not allowed: at most max_memory_bytes, "
            "2147483648",
        ),
    ],
)
def test_a_default_above_its_maximum_is_told_with_both(
    flags: list[str], told: str, load_settings: Loader
) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(*flags)

    assert str(error.value) == told


def test_a_maximum_that_the_engine_sets_bounds_no_default(load_settings: Loader) -> None:
    assert load_settings("--default-cpus=64", "--max-cpus=0").default_cpus == 64


@pytest.mark.parametrize("text", ["prot = 1", "[ecs]\nport = 1", "config = 'x'"])
def test_an_unknown_name_in_the_file_is_told(text: str, load_settings: Loader) -> None:
    with pytest.raises(
        SettingsError, match=r"^'(prot|ecs|config)' is not a setting; .* lists all$"
    ):
        load_settings(file=text)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "state_directory = '~/.local/state/ecs' (ECS_STATE_DIRECTORY)"),
        (["--state-directory=~/state"], "state_directory = '~/state' (ECS_STATE_DIRECTORY)"),
        (["--spool-directory=~"], "spool_directory = '~' (ECS_SPOOL_DIRECTORY)"),
        (["--docker-cert-path=~/certs"], "docker_cert_path = '~/certs' (DOCKER_CERT_PATH)"),
        (["--docker-tls-verify"], "docker_cert_path = '~/.docker' (DOCKER_CERT_PATH)"),
    ],
)
def test_a_folder_below_a_home_that_there_is_not_is_told(
    flags: list[str], told: str, load_settings: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: NOBODYS_ID)

    with pytest.raises(SettingsError) as error:
        load_settings("--state-directory=/state", *flags) if flags else load_settings()

    assert str(error.value) == (
        f"{told} is not allowed: there is no home directory that ~ could stand for"
    )


def test_an_unknown_name_of_two_lines_is_told_in_one(load_settings: Loader) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(file='"two\\nlines" = 1')

    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "file", ["port", "port = ", "port = 1\nport = 2", 'address = "\n"', "[", b'address = "\xff"']
)
def test_a_file_that_is_not_toml_is_told_with_its_path(
    file: str | bytes, load_settings: Loader, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(file=file)

    assert str(error.value).startswith(f"config = '{tmp_path}/ecs.toml' is not TOML: ")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file or directory"), ("", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_told_with_the_reason(
    name: str, reason: str, load_settings: Loader, tmp_path: Path
) -> None:
    path = f"{tmp_path}/{name}"

    with pytest.raises(SettingsError) as error:
        load_settings("--config", path)

    assert str(error.value) == f"config = {path!r} cannot be read: {reason}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--prot=1"],
        ["extra"],
        ["-p", "1"],
        ["--config"],
        ["--port"],
    ],
)
def test_an_argument_that_is_none_is_told(arguments: list[str], load_settings: Loader) -> None:
    with pytest.raises(SettingsError) as error:
        load_settings(*arguments)

    assert len(str(error.value).splitlines()) == 1


def test_a_value_may_begin_with_a_dash(load_settings: Loader) -> None:
    assert load_settings("--instance=-one-").instance == "-one-"


@given(name=st.sampled_from(list(Settings.model_fields)), value=st.text(max_size=30))
def test_any_text_at_all_is_a_value_or_is_refused_in_one_line(name: str, value: str) -> None:
    try:
        load([f"{flag(name)}={value}"])
    except SettingsError as error:
        told = str(error)
    else:
        return

    assert len(told.splitlines()) == 1
    assert name in told
