"""Are the front door's TLS files good? Reads them with openssl, as bin/up does."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok, warning

_WARNING_DAYS = 21
"""Let's Encrypt's clients renew 30 days ahead: then the renewal has failed for nine days."""
_DAY_SECONDS = 86_400
_OPENSSL_SECONDS = 30
_FILES, _KEY, _NAMES, _EXPIRY = "TLS files", "TLS key", "TLS names", "TLS expiry"


@dataclass(frozen=True)
class _Certificate:
    names: tuple[str, ...]
    begins: datetime
    ends: datetime


def check_tls(
    certificate: Path, key: Path, domains: Sequence[str], *, now: datetime
) -> list[Finding]:
    """Look at certificate and key; ``domains`` are the names that the certificate must cover."""
    if unusable := _unusable([certificate, key]):
        return [failure(_FILES, unusable, "put them there, and let nginx's user read them")]
    if shutil.which("openssl") is None:
        return [not_checked(_FILES, "there is no program openssl", "install openssl")]
    read = _read(certificate)
    if read is None:
        return [
            failure(_FILES, f"{certificate} holds no PEM certificate", "put the certificate there")
        ]
    return [
        ok(_FILES, f"{certificate} and {key} are there"),
        _key_finding(certificate, key),
        _names_finding(certificate, read, domains),
        _expiry_finding(read, now),
    ]


def not_after(certificate: Path) -> datetime | None:
    """Return when the certificate expires, or ``None`` where none can be read."""
    read = _read(certificate) if shutil.which("openssl") else None
    return read.ends if read else None


def _unusable(paths: Sequence[Path]) -> str:
    for path in paths:
        if not path.is_file():
            return f"there is no file {path}"
        if not os.access(path, os.R_OK):
            return f"{path} cannot be read"
    return ""


def _openssl(*arguments: str | Path) -> str | None:
    """Return what openssl prints, or ``None`` when it refuses."""
    ended = subprocess.run(
        ["openssl", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_OPENSSL_SECONDS,
        check=False,
    )
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None


def _read(certificate: Path) -> _Certificate | None:
    """Return what the first certificate of a file says, or ``None`` when there is none in it."""
    text = _openssl("x509", "-in", certificate, "-noout", "-dates", "-ext", "subjectAltName")
    return None if text is None else _parsed(text)


def _parsed(text: str) -> _Certificate:
    dates = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = [part.strip() for line in text.splitlines() for part in line.split(",")]
    return _Certificate(
        tuple(name.partition(":")[2] for name in names if name.startswith(("DNS:", "IP Address:"))),
        _time(dates["notBefore"]),
        _time(dates["notAfter"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _key_finding(certificate: Path, key: Path) -> Finding:
    # An empty passphrase, so that openssl asks no terminal for one.
    public = _openssl("pkey", "-in", key, "-pubout", "-passin", "pass:")
    if public is None:
        return failure(
            _KEY,
            f"{key} holds no PEM private key without a passphrase",
            "put the key there; nobody can type its passphrase when nginx starts",
        )
    if public != _openssl("x509", "-in", certificate, "-noout", "-pubkey"):
        return failure(
            _KEY, f"{key} is not the key of {certificate}", "put the two that belong together there"
        )
    return ok(_KEY, "matches the certificate")


def _names_finding(path: Path, read: _Certificate, domains: Sequence[str]) -> Finding:
    covered = ", ".join(read.names) or "no name"
    missing = [domain for domain in domains if not _covers(path, domain)]
    if missing or not read.names:
        return failure(
            _NAMES,
            f"the certificate is for {covered}, not for {', '.join(missing) or 'any host'}",
            "get one for all host names of the front door",
        )
    return ok(_NAMES, f"the certificate is for {covered}")


def _covers(path: Path, domain: str) -> bool:
    told = _openssl("x509", "-in", path, "-noout", "-checkhost", domain)
    return told is not None and "does match" in told


def _expiry_finding(read: _Certificate, now: datetime) -> Finding:
    days = (read.ends - now).total_seconds() / _DAY_SECONDS
    date = f"{read.ends:%Y-%m-%d %H:%M} UTC"
    renew = "renew the certificate and reload nginx"
    if days < 0:
        return failure(_EXPIRY, f"the certificate expired on {date}", renew)
    if now < read.begins:
        begins = f"{read.begins:%Y-%m-%d %H:%M} UTC"
        return failure(_EXPIRY, f"the certificate begins on {begins} only", "set the clock right")
    found = f"the certificate expires in {int(days)} days, on {date}"
    return warning(_EXPIRY, found, renew) if days < _WARNING_DAYS else ok(_EXPIRY, found)
