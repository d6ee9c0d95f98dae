"""Writes YAML for both kinds of cloud-config: file modes quoted, texts as they are read."""

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks; of others it quotes what YAML took for a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def document(content: dict[str, Any]) -> str:
    """Return the user data that holds ``content``."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20)
    return f"#cloud-config\n{text}"
