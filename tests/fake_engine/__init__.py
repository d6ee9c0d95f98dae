"""An engine that fails on demand: it plays the Docker Remote API well until a test says otherwise.

It speaks HTTP/1.1 on a unix socket. Its containers are entries of a dict: ``sleep`` runs until it
is killed, ``/sandbox`` answers until its input ends, any other command echoes its arguments. Those
that are to start ECS's own init say what that says; the warm ones among them wait for their command
after they have started.
"""

from tests.fake_engine.connection import RAW_STREAM, Connection
from tests.fake_engine.containers import DAEMON_ERROR, STDERR, STDOUT, Container, frame
from tests.fake_engine.engine import BUSYBOX, REMOTE_IMAGE, FakeEngine, fake_engine, image_id
from tests.fake_engine.requests import ROUTES, Request
from tests.fake_engine.scripts import (
    Script,
    answers,
    attached,
    closes,
    hangs,
    hangs_after_head,
    held,
    sends,
    streams,
)

__all__ = [
    "BUSYBOX",
    "DAEMON_ERROR",
    "RAW_STREAM",
    "REMOTE_IMAGE",
    "ROUTES",
    "STDERR",
    "STDOUT",
    "Connection",
    "Container",
    "FakeEngine",
    "Request",
    "Script",
    "answers",
    "attached",
    "closes",
    "fake_engine",
    "frame",
    "hangs",
    "hangs_after_head",
    "held",
    "image_id",
    "sends",
    "streams",
]
