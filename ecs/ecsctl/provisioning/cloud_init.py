"""A node as the user data of cloud-init, for Debian and Ubuntu.

https://cloudinit.readthedocs.io/en/latest/reference/modules.html
"""

from ecs.ecsctl.provisioning.cloud_yaml import document, identity
from ecs.ecsctl.provisioning.model import WWW_DATA, Node

_GROUPS = {0: "root", WWW_DATA: "www-data"}
"""cloud-init takes names alone."""
_UNITS = "/etc/systemd/system"


def render(node: Node) -> str:
    """Return the user data."""
    files = [(file.path, file.mode, file.group_id, file.content) for file in node.files]
    files += [(f"{_UNITS}/{unit.name}", 0o644, 0, unit.content) for unit in node.units]
    return document(
        {
            **identity(node),
            # Before the packages are there: the engine's first start is with our daemon.json.
            "write_files": [
                {
                    "path": path,
                    "permissions": f"{mode:04o}",
                    "owner": f"root:{_GROUPS[group_id]}",
                    "content": content,
                }
                for path, mode, group_id, content in files
            ],
            "ntp": {
                "enabled": True,
                "ntp_client": "chrony",
                **({"servers": list(node.time_servers)} if node.time_servers else {}),
            },
            "package_update": True,
            "packages": list(node.packages),
            "runcmd": _commands(node),
        }
    )


def _commands(node: Node) -> list[list[str]]:
    enabled = [unit.name for unit in node.units if unit.is_enabled]
    return [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", *enabled],
        # The firewall is up before the engine is.
        ["systemctl", "restart", *(name for name in enabled if name.endswith(".service"))],
        ["systemctl", "restart", *node.restarted_services],
        # Images may take their time, and cloud-init is not to wait for them.
        ["systemctl", "start", "--no-block", *enabled],
    ]
