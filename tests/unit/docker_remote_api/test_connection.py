"""The pure parts: the address, the table from status to error, versions. No engine answers here."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from ecs.docker_remote_api.connection import (
    UNREACHABLE,
    DockerRemoteApi,
    EngineAddress,
    _error_for,
    format_version,
)
from ecs.errors import (
    EngineConflictError,
    EngineError,
    EngineFailedError,
    EngineNotFoundError,
    EngineRefusedError,
    EngineUnreachableError,
)
from tests.fake_engine import fake_engine


@asynccontextmanager
async def connected(address: EngineAddress) -> AsyncIterator[tuple[aiohttp.BaseConnector, str]]:
    connector, base_url = address.connector()
    async with connector:
        yield connector, base_url


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A directory as DOCKER_CERT_PATH names one."""
    authority = trustme.CA()
    identity = authority.issue_cert("client.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    identity.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    identity.private_key_pem.write_to_path(tmp_path / "key.pem")
    return tmp_path


async def test_a_unix_address_is_connected_to_by_its_path() -> None:
    async with connected(EngineAddress("unix:///run/some/docker.sock")) as (connector, base_url):
        assert isinstance(connector, aiohttp.UnixConnector)
        assert connector.path == "/run/some/docker.sock"
        assert base_url == "http://docker"


@pytest.mark.parametrize(
    ("docker_host", "base_url"),
    [
        ("tcp://127.0.0.1", "http://127.0.0.1:2375"),
        ("tcp://engine.example:1234", "http://engine.example:1234"),
        ("tcp://[::1]", "http://[::1]:2375"),
        ("tcp://[::1]:1234", "http://[::1]:1234"),
    ],
)
async def test_a_tcp_address_is_plain_http_on_dockers_port_unless_it_names_one(
    docker_host: str, base_url: str
) -> None:
    async with connected(EngineAddress(docker_host)) as (connector, found):
        assert isinstance(connector, aiohttp.TCPConnector)
        assert found == base_url


@pytest.mark.parametrize(
    ("docker_host", "base_url"),
    [
        ("tcp://127.0.0.1", "https://127.0.0.1:2376"),
        ("tcp://engine.example:1234", "https://engine.example:1234"),
        ("tcp://[::1]", "https://[::1]:2376"),
    ],
)
async def test_a_tcp_address_with_certificates_is_https_on_dockers_tls_port(
    docker_host: str, base_url: str, certificates: Path
) -> None:
    async with connected(EngineAddress(docker_host, certificates)) as (_, found):
        assert found == base_url


def test_tls_demands_the_engines_certificate_and_its_name(certificates: Path) -> None:
    context = EngineAddress("tcp://127.0.0.1", certificates)._tls_context()

    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_certificates_are_not_read_for_a_unix_socket() -> None:
    address = EngineAddress("unix:///run/docker.sock", Path("/nowhere"))

    async with connected(address) as (_, base_url):
        assert base_url == "http://docker"


@pytest.mark.parametrize(
    "docker_host",
    [
        "",
        "/var/run/docker.sock",
        "unix://",
        "unix://docker.sock",
        "127.0.0.1:2375",
        "tcp://",
        "tcp://:2375",
        "http://127.0.0.1:2375",
        "ssh://host",
        "npipe:////./pipe/docker_engine",
    ],
)
def test_an_address_of_another_form_is_refused_with_the_forms_there_are(docker_host: str) -> None:
    with pytest.raises(ValueError, match=r"must be unix:///path/to/socket or tcp://host:port"):
        EngineAddress(docker_host).connector()


@pytest.mark.parametrize("docker_host", ["tcp://host:99999", "tcp://host:x", "tcp://[::1"])
def test_an_address_that_is_no_url_is_refused(docker_host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EngineAddress(docker_host).connector()


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_missing_tls_file_is_told_with_its_directory(certificates: Path, name: str) -> None:
    (certificates / name).unlink()

    with pytest.raises(ValueError, match=f"cannot use the TLS files in {certificates}"):
        EngineAddress("tcp://127.0.0.1", certificates).connector()


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_tls_file_that_is_none_is_told_with_its_directory(certificates: Path, name: str) -> None:
    (certificates / name).write_text("not a certificate\n", encoding="ascii")

    with pytest.raises(ValueError, match=f"cannot use the TLS files in {certificates}"):
        EngineAddress("tcp://127.0.0.1", certificates).connector()


def test_a_key_that_is_not_the_certificates_is_refused(certificates: Path) -> None:
    other = trustme.CA().issue_cert("other.example")
    other.private_key_pem.write_to_path(certificates / "key.pem")

    with pytest.raises(ValueError, match="cannot use the TLS files"):
        EngineAddress("tcp://127.0.0.1", certificates).connector()


def test_an_encrypted_key_is_refused_without_asking_for_its_password(certificates: Path) -> None:
    path = certificates / "key.pem"
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )

    with pytest.raises(ValueError, match=r"^key\.pem is encrypted, .*; decrypt it$"):
        EngineAddress("tcp://127.0.0.1", certificates).connector()


async def test_an_engine_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    address = EngineAddress(f"unix://{tmp_path}/docker.sock")

    async with DockerRemoteApi(address, timeout_seconds=5) as api:
        with pytest.raises(EngineUnreachableError, match="cannot be reached"):
            await api.ping()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, EngineRefusedError),
        (401, EngineRefusedError),
        (403, EngineRefusedError),
        (404, EngineNotFoundError),
        (409, EngineConflictError),
        (499, EngineRefusedError),
        (500, EngineFailedError),
        (503, EngineFailedError),
    ],
)
def test_a_status_becomes_the_error_of_its_kind_with_the_engines_words(
    status: int, kind: type[EngineError]
) -> None:
    error = _error_for(status, "no such thing")

    assert type(error) is kind
    assert str(error) == "no such thing"


def test_a_version_is_written_with_a_dot() -> None:
    assert format_version((1, 41)) == "1.41"


async def test_a_request_that_reached_nobody_is_observed_as_such() -> None:
    observed: list[tuple[str, str, float]] = []

    def observe(operation: str, code: str, seconds: float) -> None:
        observed.append((operation, code, seconds))

    address = EngineAddress("unix:///nowhere/docker.sock")
    async with DockerRemoteApi(address, timeout_seconds=60, observe=observe) as api:
        with pytest.raises(EngineUnreachableError):
            await api.ping()

    [(operation, code, seconds)] = observed
    assert (operation, code) == ("ping", UNREACHABLE)
    assert seconds >= 0


async def test_each_request_is_observed_with_its_operation_and_status() -> None:
    observed: list[tuple[str, str]] = []
    async with (
        fake_engine() as engine,
        DockerRemoteApi(
            EngineAddress(engine.docker_host),
            timeout_seconds=60,
            observe=lambda operation, code, _: observed.append((operation, code)),
        ) as api,
    ):
        with pytest.raises(EngineNotFoundError):
            await api.request("GET", "/containers/nobody/json")
        await api.request("GET", "/info")

    assert observed == [("ping", "200"), ("container_inspect", "404"), ("info", "200")]
