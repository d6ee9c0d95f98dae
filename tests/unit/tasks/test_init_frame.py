"""The bytes that the init is given; that it understands them is for test_init_program."""

import dataclasses

import pytest

from ecs.tasks import init_frame
from ecs.tasks.init_frame import InitFrame

TOKEN = b"T" * 16
FRAME = InitFrame(
    token=TOKEN,
    argv=["echo", "grüß", ""],
    environment={"A": "b=c"},
    timeout_seconds=0x1_0000_0000 / 1000,
    grace_seconds=2.0,
)
NO_STDIN, STDIN = b"\0\0\0\0", b"\0\0\0\1"


def test_a_frame_has_its_header_and_its_strings() -> None:
    strings = "echo\0grüß\0\0A=b=c\0".encode()

    assert b"".join(FRAME.pieces()) == (
        b"ECSINIT\1"
        + TOKEN
        + b"\0\0\0\1\0\0\0\0"
        + b"\0\0\7\xd0"
        + NO_STDIN
        + b"\0\0\0\3"
        + b"\0\0\0\1"
        + len(strings).to_bytes(4, "big")
        + strings
    )


def test_stdin_follows_in_chunks_and_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init_frame, "_CHUNK_BYTES", 4)
    without = b"".join(FRAME.pieces())

    frame = b"".join(dataclasses.replace(FRAME, stdin=b"12345").pieces())

    assert (
        frame
        == without.replace(b"\0\0\7\xd0" + NO_STDIN, b"\0\0\7\xd0" + STDIN)
        + b"\0\0\0\0041234\0\0\0\0015\0\0\0\0"
    )


def test_empty_stdin_is_not_no_stdin() -> None:
    frame = b"".join(dataclasses.replace(FRAME, stdin=b"").pieces())

    assert frame.endswith(b"\0\0\0\0")
    assert STDIN in frame


def test_a_time_is_never_rounded_to_none() -> None:
    frame = dataclasses.replace(FRAME, timeout_seconds=0.0001, grace_seconds=0.0001)

    assert b"".join(frame.pieces())[24:36] == b"\0\0\0\0\0\0\0\1\0\0\0\1"


def test_a_frame_shows_neither_its_token_nor_its_input() -> None:
    shown = repr(dataclasses.replace(FRAME, stdin=b"secret"))

    assert "TTT" not in shown
    assert "secret" not in shown
    assert "b=c" not in shown
