"""A directory with everything that a deployment file needs."""

import shutil
from pathlib import Path

import pytest

from tests.deployments import write_named_files


@pytest.fixture(scope="session")
def named_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("named-files")
    write_named_files(directory)
    return directory


@pytest.fixture
def directory(named_files: Path, tmp_path: Path) -> Path:
    """A directory of the test's own, with the files that the example names."""
    return Path(shutil.copytree(named_files, tmp_path / "deployment"))
