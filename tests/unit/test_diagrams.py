"""The diagrams: drawn from their text as it is, and as the code has it."""

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ecs.tasks.states import TRANSITIONS, RunnerState

DIAGRAMS = Path(__file__).parents[2] / "docs" / "diagrams"
SOURCES = sorted(DIAGRAMS.glob("*.dot"))
SVG = "{http://www.w3.org/2000/svg}"


def shown(svg: str) -> list[str]:
    """What a drawing shows: names of nodes and edges, and every text. Places differ by version."""
    elements = ET.fromstring(svg).iter()
    return sorted(
        element.text or "" for element in elements if element.tag in (f"{SVG}title", f"{SVG}text")
    )


def test_there_are_diagrams_of_a_node_and_of_a_task() -> None:
    assert [source.stem for source in SOURCES] == ["node", "task"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_drawing_shows_what_its_text_says(source: Path) -> None:
    drawn = subprocess.run(
        ["dot", "-Tsvg", source], capture_output=True, text=True, check=True
    ).stdout
    assert shown(source.with_suffix(".svg").read_text()) == shown(drawn)


def test_the_task_goes_the_ways_that_the_machine_has() -> None:
    edges = re.findall(r"^\s*(\w+) -> (\w+)", (DIAGRAMS / "task.dot").read_text(), re.MULTILINE)
    states = set(RunnerState)
    drawn = {(start, end) for start, end in edges if start in states and end in states}
    # From every state there is a way to the end; drawing them all would hide the rest.
    assert drawn == {
        (start, end)
        for start, ends in TRANSITIONS.items()
        for end in ends
        if end is not RunnerState.ENDED or start is RunnerState.COLLECTING
    }
