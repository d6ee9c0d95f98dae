from pathlib import Path

import pytest

from ecs.ecsctl.check.findings import Finding, Level
from ecs.ecsctl.check.ports import check_ports

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
ANY, ANY_6 = "00000000", "0" * 32
# As a little-endian machine shows 127.0.0.1, ::1, ::ffff:127.0.0.1 and 198.18.0.5.
LOOPBACK, LOOPBACK_6 = "0100007F", "0" * 24 + "01000000"
MAPPED_LOOPBACK, OUTSIDE = "0" * 16 + "FFFF00000100007F", "050012C6"


def tables(directory: Path, *sockets: tuple[str, int, str]) -> Path:
    """The kernel's tables with these sockets: address, port, state."""
    rows = {8: HEAD, 32: HEAD}
    for address, port, state in sockets:
        rows[len(address)] += f"   0: {address}:{port:04X} {'0' * len(address)}:0000 {state} 0:0\n"
    (directory / "tcp").write_text(rows[8])
    (directory / "tcp6").write_text(rows[32])
    return directory


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


ALL_WELL = {"engine port": Level.OK, "service port": Level.OK, "open ports": Level.OK}


@pytest.mark.parametrize("address", [LOOPBACK, LOOPBACK_6, MAPPED_LOOPBACK])
@pytest.mark.parametrize("port", [2375, 8448, 9000])
def test_what_listens_on_loopback_alone_is_open_to_nobody(
    address: str, port: int, tmp_path: Path
) -> None:
    found = check_ports([443], 8448, tables=tables(tmp_path, (address, port, "0A")))

    assert levels(found) == ALL_WELL


@pytest.mark.parametrize("address", [ANY, ANY_6, OUTSIDE])
@pytest.mark.parametrize(
    ("port", "name", "level"),
    [
        (2375, "engine port", Level.FAILURE),
        (2376, "engine port", Level.FAILURE),
        (8448, "service port", Level.FAILURE),
        (9000, "open ports", Level.WARNING),
        (443, "open ports", Level.OK),
    ],
)
def test_a_port_that_others_reach_is_told(
    address: str, port: int, name: str, level: Level, tmp_path: Path
) -> None:
    found = check_ports([443], 8448, tables=tables(tmp_path, (address, port, "0A")))

    assert levels(found) == ALL_WELL | {name: level}
    if level != Level.OK:
        (told,) = (finding for finding in found if finding.name == name)
        assert f":{port}" in told.found
        assert told.fix


def test_an_address_is_shown_as_people_write_it(tmp_path: Path) -> None:
    sockets = tables(tmp_path, (OUTSIDE, 9000, "0A"), (ANY_6, 9000, "0A"))

    assert "198.18.0.5:9000, [::]:9000" in check_ports([], 8448, tables=sockets)[2].found


def test_a_connection_is_no_open_port(tmp_path: Path) -> None:
    assert levels(check_ports([], 8448, tables=tables(tmp_path, (OUTSIDE, 2375, "01")))) == ALL_WELL


def test_a_kernel_without_ipv6_is_no_fault(tmp_path: Path) -> None:
    (tables(tmp_path) / "tcp6").unlink()

    assert levels(check_ports([], 8448, tables=tmp_path)) == ALL_WELL


@pytest.mark.parametrize("content", [None, f"{HEAD}rubbish\n", f"{HEAD} 0: zz:1 0:0 0A\n"])
def test_a_table_that_is_not_understood_is_no_reason_to_guess(
    content: str | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "tcp").write_text(content)

    (found,) = check_ports([], 8448, tables=tmp_path)

    assert found.level == Level.WARNING
    assert "cannot be checked" in found.found
