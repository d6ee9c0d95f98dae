from pathlib import Path

import pytest

from ecs.ecsctl.check.disk import check_disk, inodes_finding, space_finding
from ecs.ecsctl.check.findings import Level

GIB = 1024**3


@pytest.mark.parametrize(
    ("free_gib", "total_gib", "level"),
    [
        (16, 100, Level.OK),
        (14, 100, Level.WARNING),
        (4, 100, Level.FAILURE),
        (0.9, 2, Level.FAILURE),
        (0, 0, Level.FAILURE),
    ],
)
def test_too_little_space_is_told(free_gib: float, total_gib: float, level: Level) -> None:
    told = space_finding("x", Path("/x"), int(free_gib * GIB), int(total_gib * GIB), "free some")

    assert told.level == level
    assert bool(told.fix) == (level != Level.OK)


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [(16, 100, Level.OK), (14, 100, Level.WARNING), (4, 100, Level.FAILURE), (0, 0, Level.OK)],
)
def test_too_few_inodes_are_told(free: int, total: int, level: Level) -> None:
    assert inodes_finding("x", Path("/x"), free, total, "free some").level == level


def test_space_and_inodes_are_those_of_the_directorys_file_system(tmp_path: Path) -> None:
    names = [finding.name for finding in check_disk("spool", tmp_path, "free some")]

    assert names == ["spool space", "spool inodes"]


def test_a_directory_that_is_not_there_is_no_reason_to_guess(tmp_path: Path) -> None:
    (told,) = check_disk("spool", tmp_path / "none", "free some")

    assert told.level == Level.WARNING
    assert told.found == f"cannot be checked: {tmp_path}/none: No such file or directory"
