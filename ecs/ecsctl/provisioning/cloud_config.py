"""A node as the ``#cloud-config`` with ``coreos.units`` that CoreOS introduced and Flatcar reads.

https://github.com/flatcar/coreos-cloudinit/blob/flatcar-master/Documentation/cloud-config.md
"""

from ecs.ecsctl.provisioning.cloud_yaml import document, identity
from ecs.ecsctl.provisioning.model import Node, Unit


def render(node: Node) -> str:
    """Return the user data."""
    # All files are written before the commands are given in this order: the firewall is up before
    # the engine is, and the target is last, since its start waits for the images.
    units = [_unit(unit) for unit in node.units if not unit.name.endswith(".target")]
    units += [{"name": name, "command": "restart"} for name in node.restarted_services]
    units += [_unit(unit) for unit in node.units if unit.name.endswith(".target")]
    return document(
        {
            **identity(node),
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
            "coreos": {"units": units},
        }
    )


def _unit(unit: Unit) -> dict[str, object]:
    started = {"enable": True, "command": "start"} if unit.is_enabled else {}
    return {"name": unit.name, "content": unit.content, **started}
