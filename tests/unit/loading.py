"""Loads settings from a file, an environment and flags that a test names, and from nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ecs.settings import Settings
from ecs.settings_help import environment_variable
from ecs.settings_loading import load

VARIABLES = [environment_variable(name) for name in Settings.model_fields]


class Loader:
    """`load` in an environment of its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        for variable in [*VARIABLES, "ECS_CONFIG"]:
            monkeypatch.delenv(variable, raising=False)

    def __call__(
        self,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        file: str | bytes | None = None,
    ) -> Settings:
        """Load; `file` is the text of the TOML file, if there is one."""
        for name, value in (environment or {}).items():
            self._monkeypatch.setenv(name, value)
        return load([*self._config(file), *flags])

    def _config(self, file: str | bytes | None) -> Sequence[str]:
        if file is None:
            return []
        path = self._directory / "ecs.toml"
        path.write_bytes(file if isinstance(file, bytes) else file.encode())
        return ["--config", str(path)]
