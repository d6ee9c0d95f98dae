"""Whether a certificate serves a host name with a key: OpenSSL says, by a handshake in memory."""

import re
import ssl
from pathlib import Path

_NOT_YET, _EXPIRED, _OTHER_NAME = 9, 10, 62
"""OpenSSL's X509_V_ERR_ numbers."""
_FLIGHTS = 4
"""Each side has to be heard twice, in TLS 1.2 as in 1.3."""
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"
)


class CertificateError(Exception):
    """The certificate is wrong; the text says how."""


class KeyFileError(Exception):
    """The private key is wrong; the text says how."""


class OtherNameError(Exception):
    """The certificate is not for this host name."""


class Certificate:
    """A certificate with its key, both in PEM files.

    Raises:
        CertificateError: there is no certificate in it.
        KeyFileError: there is no key in it, or one that is not the certificate's.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        found = _CERTIFICATE.search(certificate.read_text(encoding="utf-8"))
        if not found:
            raise CertificateError("holds no PEM certificate")
        if "PRIVATE KEY-----" not in key.read_text(encoding="utf-8"):
            raise KeyFileError("holds no PEM private key")
        self._first = found[0]
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # The callback keeps OpenSSL from asking the terminal for a passphrase.
            self._server.load_cert_chain(certificate, key, password=lambda: "no passphrase")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise KeyFileError("is not the certificate's key") from error
            raise KeyFileError(
                "cannot be used with the certificate: both must be whole, and the key without a "
                "passphrase"
            ) from error

    def check(self, host_name: str) -> None:
        """See that a client that trusts the certificate takes it for the host name.

        Raises:
            CertificateError: it is out of its time, or OpenSSL refuses it for another reason.
            OtherNameError: it is for other host names.
        """
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Who signed it is not asked: only that it is in force, and for this host name.
        client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(cadata=self._first)
        try:
            _shake_hands(self._server, client, host_name)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code == _OTHER_NAME:
                raise OtherNameError from error
            told = {_EXPIRED: "has expired; renew it", _NOT_YET: "is not in force yet"}
            raise CertificateError(
                told.get(error.verify_code, f"is refused: {error.verify_message}")
            ) from error


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host_name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host_name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_FLIGHTS):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
