"""Where the ECS init is in a container: in a volume named after its content, under a path likewise.

Both are bound to the content, so that one version is never taken for another, and an image is
unlikely to have a file of its own there.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from ecs.docker_remote_api.image_reference import ImageReference

LABEL_INIT = "ecs.init"
LABEL_PURPOSE = "ecs.purpose"
_PURPOSE = "the program that starts the tasks of ECS; made again when it is missing"
PROGRAM_NAME = "init"
HOSTS_NAME = "hosts"
HOSTS = b"""\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
"""What the engine writes for a container without a network, in the volume beside the program."""
VOLUME_NAME_PREFIX = "ecs-init-"
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True)
class InitMount:
    """The volume that holds one version of the init; ``digest`` is the beginning of its SHA-256.

    ``mountpoint`` is where the volume is on the engine's host, empty until that is known.
    """

    digest: str
    mountpoint: str = ""

    @classmethod
    def of(cls, program: bytes) -> "InitMount":
        """Return the mount for a program."""
        return cls(hashlib.sha256(program + HOSTS).hexdigest()[:_DIGEST_CHARACTERS])

    @property
    def volume(self) -> str:
        """The volume's name."""
        return f"{VOLUME_NAME_PREFIX}{self.digest}"

    @property
    def image(self) -> ImageReference:
        """An image that holds the program alone, under a name that no registry can ever have."""
        return ImageReference.parse(f"ecs.invalid/init:{self.digest}")

    @property
    def path(self) -> str:
        """Where the volume is in a container."""
        return f"/.ecs-{self.digest}"

    @property
    def program(self) -> str:
        """Where the init is in a container."""
        return f"{self.path}/{PROGRAM_NAME}"

    @property
    def labels(self) -> dict[str, str]:
        """What tells an operator the volume and its image from others."""
        return {LABEL_INIT: self.digest, LABEL_PURPOSE: _PURPOSE}

    def as_engine_mount(self, *, read_only: bool = True) -> dict[str, Any]:
        """Return one of a container's ``HostConfig.Mounts``.

        The engine makes a missing volume itself, empty: then with the labels at least.
        """
        return {
            "Type": "volume",
            "Source": self.volume,
            "Target": self.path,
            "ReadOnly": read_only,
            "VolumeOptions": {"NoCopy": True, "Labels": self.labels},
        }

    def hosts_as_engine_mount(self) -> dict[str, Any]:
        """Return another one, for a container that the engine gives no hosts file."""
        return {
            "Type": "bind",
            "Source": f"{self.mountpoint}/{HOSTS_NAME}",
            "Target": "/etc/hosts",
            "ReadOnly": True,
        }
