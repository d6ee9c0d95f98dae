"""A node as Ignition 3.3.0, for Fedora CoreOS.

https://coreos.github.io/ignition/configuration-v3_3/
"""

import base64
import json
from typing import Any

from ecs.ecsctl.provisioning.model import File, Node

_VERSION = "3.3.0"
_USER = "core"


def render(node: Node) -> str:
    """Return the configuration."""
    host_name = File("/etc/hostname", f"{node.host_name}\n")
    document: dict[str, Any] = {
        "ignition": {"version": _VERSION},
        "storage": {"files": [_file(file) for file in (host_name, *node.files)]},
        "systemd": {
            "units": [
                {
                    "name": unit.name,
                    "contents": unit.content,
                    **({"enabled": True} if unit.is_enabled else {}),
                }
                for unit in node.units
            ]
        },
    }
    if node.ssh_authorized_keys:
        user = {"name": _USER, "sshAuthorizedKeys": list(node.ssh_authorized_keys)}
        document["passwd"] = {"users": [user]}
    return json.dumps(document, indent=2) + "\n"


def _file(file: File) -> dict[str, Any]:
    content = base64.b64encode(file.content.encode()).decode()
    return {
        "path": file.path,
        # The distribution's own may be there.
        "overwrite": True,
        # JSON has no octal numbers.
        "mode": file.mode,
        "user": {"id": 0},
        "group": {"id": file.group_id},
        "contents": {"source": f"data:;base64,{content}"},
    }
