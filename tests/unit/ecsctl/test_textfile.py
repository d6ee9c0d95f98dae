from pathlib import Path

import pytest

from ecs.ecsctl.textfile import write


def test_a_file_is_replaced_whole_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ecs.prom"
    path.write_text("old\n")
    before = path.open()

    write(path, "new\n")

    with before:
        assert before.read() == "old\n"  # whoever had it open sees the old one to its end
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ecs.prom"
    path.write_text("old\n")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(OSError, match="No space left"):
        write(path, "new\n")

    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]
