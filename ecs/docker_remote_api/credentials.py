"""A caller's registry credentials and the header in which the engine takes them."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field

_DOCKER_HUB = "docker.io"
_DOCKER_HUB_SERVER_ADDRESS = "https://index.docker.io/v1/"
_FINGERPRINT_KEY = secrets.token_bytes(32)


@dataclass(frozen=True)
class RegistryCredentials:
    """User name and password at one registry; never shown by ``repr`` or ``str``."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    def registry_auth_header(self, registry: str) -> str:
        """Return the value of ``X-Registry-Auth`` for ``registry`` (``host[:port]``).

        It is base64url-encoded JSON with padding, see
        https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication
        """
        server = _DOCKER_HUB_SERVER_ADDRESS if registry == _DOCKER_HUB else registry
        document = {
            "username": self.username,
            "password": self.password,
            "serveraddress": server,
        }
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode("ascii")

    def fingerprint(self) -> str:
        """Return a string that is equal for equal credentials, within this process only."""
        message = json.dumps([self.username, self.password]).encode()
        return hmac.new(_FINGERPRINT_KEY, message, hashlib.sha256).hexdigest()
