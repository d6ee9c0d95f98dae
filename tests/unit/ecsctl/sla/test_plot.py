import sys
from datetime import UTC
from pathlib import Path

import pytest

from ecs.ecsctl.sla.figures import Overhead, Share
from ecs.ecsctl.sla.measure import History
from ecs.ecsctl.sla.objective import Objective
from ecs.ecsctl.sla.plot import PlotError, plot

TIMES = (1714521600.0, 1714522320.0, 1714523040.0)
HISTORY = History(
    TIMES,
    (Overhead(9.0, {50: 0.1, 95: 0.2, 99: float("inf")}, 60.0), None, None),
    (Share(9.0, 10.0), None, Share(1.0, 1.0)),
    (Share(1.0, 1.0), None, None),
)
NOTHING = History(TIMES, (None,) * 3, (None,) * 3, (None,) * 3)


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
@pytest.mark.parametrize("history", [HISTORY, NOTHING])
def test_gaps_and_what_is_beyond_the_scale_can_be_drawn(
    history: History, suffix: str, magic: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"sla{suffix}"

    plot(path, history, Objective(), UTC)

    assert path.read_bytes().startswith(magic)


def test_without_matplotlib_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(PlotError, match=r"--plot needs matplotlib: pip install matplotlib"):
        plot(tmp_path / "sla.svg", HISTORY, Objective(), UTC)
