"""A node as the ``#cloud-config`` with ``coreos.units`` that CoreOS introduced and Flatcar reads.

https://github.com/flatcar/coreos-cloudinit/blob/flatcar-master/Documentation/cloud-config.md
"""

from ecs.ecsctl.provisioning.cloud_yaml import document
from ecs.ecsctl.provisioning.model import Node


def render(node: Node) -> str:
    """Return the user data."""
    # In this order: files, then all units, then what is to be started.
    units: list[dict[str, object]] = [
        {
            "name": unit.name,
            "content": unit.content,
            **({"enable": True, "command": "start"} if unit.is_enabled else {}),
        }
        for unit in node.units
    ]
    restarted: list[dict[str, object]] = [
        {"name": name, "command": "restart"} for name in node.restarted_services
    ]
    return document(
        {
            "hostname": node.host_name,
            **(
                {"ssh_authorized_keys": list(node.ssh_authorized_keys)}
                if node.ssh_authorized_keys
                else {}
            ),
            "write_files": [
                {
                    "path": file.path,
                    "permissions": f"{file.mode:04o}",
                    # Flatcar has no name for nginx's group.
                    "owner": f"0:{file.group_id}",
                    "content": file.content,
                }
                for file in node.files
            ],
            "coreos": {"units": restarted + units},
        }
    )
