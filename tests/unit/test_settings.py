import ipaddress
import re
import socket
from pathlib import Path

import pytest

from ecs.docker_remote_api import image_reference
from ecs.setting_types import MIN_MEMORY_BYTES
from ecs.settings import Settings
from ecs.settings_help import allowed_text, default_text, environment_variable, flag, unit
from ecs.settings_loading import unknown_variables
from tests.unit.loading import Loader

NAMES = list(Settings.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_says_in_sentences_what_it_is_for(name: str) -> None:
    description = Settings.model_fields[name].description

    assert description is not None
    assert re.fullmatch(r"[A-Z].*\.", description)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_says_what_it_takes(name: str) -> None:
    assert allowed_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_default_is_a_value_that_the_setting_takes(name: str, load_settings: Loader) -> None:
    flag = f"--{name.replace('_', '-')}"

    settings = load_settings(f"{flag}={default_text(name)}")

    assert settings == Settings()


def test_without_file_environment_and_flags_all_settings_are_their_defaults(
    load_settings: Loader,
) -> None:
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("engine_timeout_seconds", "seconds"),
        ("max_output_bytes", "bytes"),
        ("port", ""),
        ("max_cpus", ""),
    ],
)
def test_a_unit_is_what_the_name_ends_with(name: str, expected: str) -> None:
    assert unit(name) == expected


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("port", "ECS_PORT"),
        ("docker_host", "DOCKER_HOST"),
        ("docker_tls_verify", "DOCKER_TLS_VERIFY"),
        ("docker_cert_path", "DOCKER_CERT_PATH"),
    ],
)
def test_dockers_own_variables_keep_their_names(name: str, variable: str) -> None:
    assert environment_variable(name) == variable


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        ("10.0.0.1", ["10.0.0.1/32"]),
        (" 10.0.0.0/8 , ::1 ,", ["10.0.0.0/8", "::1/128"]),
    ],
)
def test_trusted_proxies_are_addresses_and_networks(
    text: str, networks: list[str], load_settings: Loader
) -> None:
    settings = load_settings("--trusted-proxies", text)

    assert settings.trusted_proxies == tuple(map(ipaddress.ip_network, networks))


@pytest.mark.parametrize(
    ("text", "registries"),
    [
        ("", ()),
        ("Docker.io", ("docker.io",)),
        ("index.docker.io, REGISTRY-1.docker.io,quay.io", ("docker.io", "docker.io", "quay.io")),
        ("quay.io, localhost:5000,[::1]:5000,", ("quay.io", "localhost:5000", "[::1]:5000")),
    ],
)
def test_allowed_registries_are_host_names_in_lower_case(
    text: str, registries: tuple[str, ...], load_settings: Loader
) -> None:
    assert load_settings("--allowed-registries", text).allowed_registries == registries


@pytest.mark.parametrize("alias", sorted(image_reference._DOCKER_HUB_ALIASES))
def test_an_allowed_registry_is_called_as_the_images_from_it_are(
    alias: str, load_settings: Loader
) -> None:
    image = image_reference.ImageReference.parse(f"{alias}/library/busybox:latest")

    assert load_settings("--allowed-registries", alias).allowed_registries == (image.registry,)


def test_warm_images_have_a_number_each(load_settings: Loader) -> None:
    settings = load_settings("--warm-images", " busybox:latest=8, registry:5000/a@sha256:0=1 ")

    assert settings.warm_images == (("busybox:latest", 8), ("registry:5000/a@sha256:0", 1))
    assert load_settings("--warm-images", "").warm_images == ()


@pytest.mark.parametrize("name", ["state_directory", "spool_directory", "docker_cert_path"])
@pytest.mark.parametrize(
    ("text", "folder"), [("~", "/home/me"), ("~/x/~", "/home/me/x/~"), ("x/~", "x/~")]
)
@pytest.mark.parametrize("source", ["environment", "flag", "file"])
def test_a_tilde_before_a_folder_is_the_home_directory(
    source: str,
    name: str,
    text: str,
    folder: str,
    load_settings: Loader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    if source == "environment":
        settings = load_settings(environment={environment_variable(name): text})
    elif source == "flag":
        settings = load_settings(flag(name), text)
    else:
        settings = load_settings(file=f'{name} = "{text}"')

    assert getattr(settings, name) == Path(folder)


def test_an_empty_docker_host_is_the_usual_socket(load_settings: Loader) -> None:
    assert load_settings("--docker-host", "").docker_host == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", True),
        ("true", True),
        ("yes", True),
        ("anything", True),
        ("0", False),
        ("false", False),
        ("False", False),
        ("no", False),
        ("off", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("source", ["environment", "flag", "file"])
def test_docker_tls_verify_means_yes_unless_it_is_empty_or_a_no(
    source: str, value: str, expected: bool, load_settings: Loader
) -> None:
    if source == "environment":
        settings = load_settings(environment={"DOCKER_TLS_VERIFY": value})
    elif source == "flag":
        settings = load_settings(f"--docker-tls-verify={value}")
    else:
        settings = load_settings(file=f'docker_tls_verify = "{value}"')

    assert settings.docker_tls_verify is expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], None),
        (["--docker-cert-path="], None),
        (["--docker-tls-verify"], Path("/home/me/.docker")),
        (["--docker-cert-path", "/certs"], Path("/certs")),
        (["--docker-cert-path", "~/certs"], Path("/home/me/certs")),
        (["--docker-cert-path", "/certs", "--docker-tls-verify"], Path("/certs")),
    ],
)
def test_tls_is_spoken_when_certificates_are_named_or_it_is_asked_for(
    flags: list[str],
    expected: Path | None,
    load_settings: Loader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert load_settings(*flags).docker_cert_path == expected


@pytest.mark.parametrize(
    ("instance", "expected"), [("", f"{socket.gethostname()}:127.0.0.1:1234"), ("one", "one")]
)
def test_an_instance_without_a_name_is_called_by_host_and_port(
    instance: str, expected: str
) -> None:
    assert Settings(instance=instance, port=0).instance_name(1234) == expected


def test_a_setting_cannot_be_changed_once_it_is_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_a_request_may_not_ask_for_less_memory_than_the_engine_takes() -> None:
    assert MIN_MEMORY_BYTES == 6 * 1024 * 1024


def test_variables_that_look_like_settings_and_are_none_are_told(
    load_settings: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_settings()
    for name in (
        "ECS_PROT",
        "ECS_DOCKER_HOST",
        "ECS_PORT",
        "ECS_CONFIG",
        "ECS_KEYS_FILE",
        "ECS_PROBE_SECRET",
        "ECS_PROMETHEUS_URL",
        "DOCKER_X",
        "ECSX",
    ):
        monkeypatch.setenv(name, "1")

    assert unknown_variables() == ["ECS_DOCKER_HOST", "ECS_PROT"]


def test_the_headers_for_the_endpoint_are_read_by_name_and_shown_to_nobody() -> None:
    settings = Settings.model_validate({"otlp_headers": "X-SF-Token=s3cret=, b=c"})

    assert settings.otlp_header_fields() == {"X-SF-Token": "s3cret=", "b": "c"}
    assert "s3cret" not in repr(settings)
    assert Settings().otlp_header_fields() == {}


@pytest.mark.parametrize("url", ["", "http://localhost:4318", "https://collector.example/otlp"])
def test_a_slash_behind_the_endpoint_is_dropped(url: str) -> None:
    assert Settings(otlp_endpoint=f"{url}/" if url else url).otlp_endpoint == url
