"""What both kinds of cloud-config share: YAML whose file modes are quoted; the node's identity."""

from typing import Any

import yaml

from ecs.ecsctl.provisioning.model import Node


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks; of others it quotes what YAML took for a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def identity(node: Node) -> dict[str, Any]:
    """Return the keys with which both begin: the node's name, and who may log in."""
    keys = list(node.ssh_authorized_keys)
    return {"hostname": node.host_name, **({"ssh_authorized_keys": keys} if keys else {})}


def document(content: dict[str, Any]) -> str:
    """Return the user data that holds ``content``."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)
    return f"#cloud-config\n{text}"
