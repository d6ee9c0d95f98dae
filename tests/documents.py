"""The commands of a document: what stands in its blocks of ``sh``."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OTHER_WAY = re.compile(r"With\s+`bin/up`")


def blocks(document: Path) -> list[str]:
    """Return all of its blocks."""
    return _BLOCK.findall(document.read_text(encoding="utf-8"))


def section(document: Path, title: str) -> list[str]:
    """Return the blocks of a section (``## title``), up to where it turns to bin/up."""
    _, found, rest = document.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    assert found, f"{document.name} has no section {title!r}"
    return _BLOCK.findall(_OTHER_WAY.split(rest.partition("\n## ")[0])[0])
