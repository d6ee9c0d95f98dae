"""Real certificates, read by the real openssl."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ecs.ecsctl.check.findings import Finding, Level
from ecs.ecsctl.check.tls import check_tls

NOW = datetime.now(UTC)
CERTIFICATE, KEY = "fullchain.pem", "privkey.pem"


def issue(
    directory: Path,
    *names: str,
    begins: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=60, hours=1),
) -> None:
    """Put a certificate for these names, with its chain, and its key there."""
    directory.mkdir(exist_ok=True)
    issued = trustme.CA().issue_cert(
        *(names or ("ecs.example",)), not_before=NOW + begins, not_after=NOW + ends
    )
    (directory / CERTIFICATE).write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(directory / KEY)


def checked(directory: Path, *domains: str) -> dict[str, Finding]:
    found = check_tls(directory / CERTIFICATE, directory / KEY, domains, now=NOW)
    return {finding.name: finding for finding in found}


def test_good_files_are_good(tmp_path: Path) -> None:
    issue(tmp_path, "ecs.example", "*.docs.example", "198.18.0.1")

    found = checked(tmp_path, "ecs.example", "api.docs.example")

    assert {finding.level for finding in found.values()} == {Level.OK}
    assert list(found) == ["TLS files", "TLS key", "TLS names", "TLS expiry"]
    for name in ("ecs.example", "*.docs.example", "198.18.0.1"):
        assert name in found["TLS names"].found
    assert "in 60 days" in found["TLS expiry"].found


@pytest.mark.parametrize(
    ("begins", "ends", "level", "told"),
    [
        (-1, 22, Level.OK, "expires in 22 days"),
        (-1, 20, Level.WARNING, "expires in 20 days"),
        (-1, 0, Level.WARNING, "expires in 0 days"),
        (-9, -1, Level.FAILURE, "expired on "),
        (1, 90, Level.FAILURE, "begins on "),
    ],
)
def test_the_days_to_the_expiry_are_told(
    begins: int, ends: int, level: Level, told: str, tmp_path: Path
) -> None:
    issue(tmp_path, begins=timedelta(days=begins), ends=timedelta(days=ends, hours=1))

    found = checked(tmp_path)["TLS expiry"]

    assert (found.level, told in found.found) == (level, True)


def test_a_name_that_is_not_covered_is_told(tmp_path: Path) -> None:
    issue(tmp_path, "ecs.example")

    found = checked(tmp_path, "ecs.example", "docs.ecs.example")["TLS names"]

    assert found.level == Level.FAILURE
    assert found.found == "the certificate is for ecs.example, not for docs.ecs.example"


def test_another_certificates_key_is_told(tmp_path: Path) -> None:
    issue(tmp_path)
    issue(tmp_path / "other")
    shutil.copy(tmp_path / "other" / KEY, tmp_path / KEY)

    found = checked(tmp_path)["TLS key"]

    assert found.level == Level.FAILURE
    assert "is not the key of" in found.found


def test_a_key_with_a_passphrase_is_told_and_none_is_asked_for(tmp_path: Path) -> None:
    issue(tmp_path)
    subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in", KEY, "-out", "locked"],
        cwd=tmp_path,
        check=True,
    )
    (tmp_path / "locked").replace(tmp_path / KEY)

    found = checked(tmp_path)["TLS key"]

    assert found.level == Level.FAILURE
    assert "without a passphrase" in found.found


@pytest.mark.parametrize("name", [CERTIFICATE, KEY])
def test_a_file_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    issue(tmp_path)
    (tmp_path / name).unlink()

    found = checked(tmp_path)

    assert list(found) == ["TLS files"]
    assert found["TLS files"].level == Level.FAILURE
    assert found["TLS files"].found == f"there is no file {tmp_path}/{name}"


def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / KEY)  # root may all

    assert checked(tmp_path)["TLS files"].found == f"{tmp_path}/{KEY} cannot be read"


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    issue(tmp_path)
    (tmp_path / CERTIFICATE).write_text("nothing")

    assert "holds no PEM certificate" in checked(tmp_path)["TLS files"].found


def test_a_certificate_without_a_name_is_for_no_host(tmp_path: Path) -> None:
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(
        [*new, "-nodes", "-subj", "/CN=ecs.example", "-keyout", KEY, "-out", CERTIFICATE],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    found = checked(tmp_path)["TLS names"]

    assert found.level == Level.FAILURE
    assert found.found == "the certificate is for no name, not for any host"


def test_without_openssl_nothing_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    found = checked(tmp_path)

    assert list(found) == ["TLS files"]
    assert found["TLS files"].level == Level.WARNING
    assert "cannot be checked" in found["TLS files"].found
