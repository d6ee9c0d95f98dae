"""The certificate, the keys and the headers that a deployment file names are checked themselves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.deployments import everything
from tests.unit.ecsctl.provisioning.rendering import assert_refused

CERTIFICATE, KEY, KEYS, HEADERS = (
    "tls/fullchain.pem",
    "tls/privkey.pem",
    "keys/htpasswd",
    "telemetry/headers",
)
POINTERS = {
    CERTIFICATE: "/tls/certificate",
    KEY: "/tls/key",
    KEYS: "/keys_file",
    HEADERS: "/telemetry/otlp_headers_file",
}


def refused(capsys: pytest.CaptureFixture[str], directory: Path) -> str:
    """The one complaint, which has nothing of what is in the files."""
    contents = [
        line
        for name in POINTERS
        if (directory / name).is_file()
        for line in (directory / name).read_bytes().decode(errors="replace").splitlines()
        if len(line) > 3
    ]
    (line,) = assert_refused(capsys, directory, everything())
    assert not [content for content in contents if content in line]
    return line.partition(": ")[2]


@pytest.mark.parametrize("name", POINTERS)
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe\x00TOPSECRET", "holds no text"),
        (b"x" * (1024 * 1024 + 1), "is longer than 1048576 bytes"),
    ],
)
def test_a_file_that_is_none_is_told(
    name: str,
    content: bytes | None,
    told: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)

    assert refused(capsys, directory).startswith(f"{POINTERS[name]} = {name!r} {told}")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (CERTIFICATE, "TOPSECRET\n", "holds no PEM certificate"),
        (KEY, "TOPSECRET\n", "holds no PEM private key"),
        (KEY, "-----BEGIN PRIVATE KEY-----\nTOPSECRET\n", "both must be whole"),
        (KEYS, "# nobody\n\n", "has no key in it"),
        (KEYS, "", "has no key in it"),
        (CERTIFICATE, "", "holds no PEM certificate"),
        (KEY, "", "holds no PEM private key"),
        (HEADERS, "", "must be one line of name=value,name=value"),
        (KEYS, "# made by hand\nkey:TOPSECRET\n", "has no key:hash[:comment] in line 2"),
        (KEYS, "key:{PLAIN}TOPSECRET\n", "has no key:hash[:comment] in line 1"),
        (KEYS, "a:$6$TOP$SECRET\n \n", "has no key:hash[:comment] in line 2"),
        (KEYS, "a:$6$TOP$SECRET\r\n", "has no key:hash[:comment] in line 1"),
        (HEADERS, "Authorization: TOPSECRET\n", "must be one line of name=value,name=value"),
        (HEADERS, "a=TOPSECRET\nb=TOPSECRET\n", "must be one line of name=value,name=value"),
    ],
)
def test_what_a_file_must_hold_is_told(
    name: str,
    content: str,
    told: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (directory / name).write_text(content, newline="")

    line = refused(capsys, directory)

    assert line.startswith(f"{POINTERS[name]} = {name!r} ")
    assert told in line


def test_a_key_of_another_certificate_is_told(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = trustme.CA().issue_cert("ecs.example.org", "docs.ecs.example.org")
    other.private_key_pem.write_to_path(str(directory / KEY))

    assert refused(capsys, directory) == f"/tls/key = {KEY!r} is not the certificate's key"


def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = directory / KEY
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"TOPSECRET"))
    )

    assert "the key without a passphrase" in refused(capsys, directory)


@pytest.mark.parametrize(
    ("names", "pointer", "missing"),
    [
        (["docs.ecs.example.org"], "/domains/api", "ecs.example.org"),
        (["ecs.example.org"], "/domains/docs", "docs.ecs.example.org"),
        (["ecs.example.org", "*.example.org"], "/domains/docs", "docs.ecs.example.org"),
    ],
)
def test_a_certificate_for_other_names_is_told(
    names: list[str],
    pointer: str,
    missing: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace_certificate(directory, *names)

    told = f"{pointer} = {missing!r} is not among the names of {CERTIFICATE!r}"
    assert refused(capsys, directory) == told


@pytest.mark.parametrize(
    ("begins_days", "ends_days", "told"),
    [(-9, -1, "has expired; renew it"), (1, 9, "is not in force yet")],
)
def test_a_certificate_out_of_its_time_is_told(
    begins_days: int,
    ends_days: int,
    told: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = datetime.now(UTC)
    replace_certificate(
        directory,
        "ecs.example.org",
        "docs.ecs.example.org",
        not_before=now + timedelta(days=begins_days),
        not_after=now + timedelta(days=ends_days),
    )

    assert refused(capsys, directory) == f"/tls/certificate = {CERTIFICATE!r} {told}"


def replace_certificate(directory: Path, *names: str, **times: datetime) -> None:
    issued = trustme.CA().issue_cert(*names, **times)  # type: ignore[arg-type]
    (directory / CERTIFICATE).write_bytes(issued.cert_chain_pems[0].bytes())
    (directory / KEY).write_bytes(issued.private_key_pem.bytes())
