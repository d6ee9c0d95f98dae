"""Keys of ecsctl at a real nginx: each change counts at once, and no request suffers from it."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecs.ecsctl.main import ecsctl
from tests.network import free_port
from tests.waiting import wait_until

START_TIMEOUT_SECONDS = 30
CHANGES = 100
REQUESTS = 300

CONFIGURATION = """\
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      auth_basic keys;
      auth_basic_user_file {keys};
      try_files /none @inside;
    }}
    location @inside {{ return 200 "inside\\n"; }}
  }}
}}
"""


class FrontDoor:
    """An nginx that lets nobody in without a key of its file."""

    def __init__(self, port: int, keys: Path) -> None:
        self._port = port
        self._keys = keys

    def creds(self, *arguments: str) -> str:
        """Run `ecsctl creds` on the file, and return what it prints."""
        environment = {"ECS_KEYS_FILE": str(self._keys)}
        result = CliRunner(env=environment).invoke(ecsctl, ["creds", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    def make(self) -> tuple[str, str]:
        made = json.loads(self.creds("make", "--json"))
        return made["key"], made["secret"]

    def status(self, key: str, secret: str) -> int:
        """Knock with a key, and return the status of the answer."""
        token = b64encode(f"{key}:{secret}".encode()).decode()
        nginx = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(nginx):
            nginx.request("GET", "/", headers={"Authorization": f"Basic {token}"})
            return nginx.getresponse().status

    def listens(self) -> bool:
        try:
            return self.status("nobody", "nothing") == HTTPStatus.FORBIDDEN  # there is no file yet
        except ConnectionError:
            return False


@pytest.fixture
def keys() -> Iterator[Path]:
    """A file that is not there yet; nginx's worker, no root, cannot enter pytest's directories."""
    directory = Path(tempfile.mkdtemp(prefix="ecs-test-"))
    directory.chmod(0o755)
    yield directory / "deployment" / "htpasswd"
    shutil.rmtree(directory)


@pytest.fixture
def front_door(tmp_path: Path, keys: Path) -> Iterator[FrontDoor]:
    port = free_port()
    user = "user www-data;" if os.geteuid() == 0 else ""
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(user=user, port=port, keys=keys))
    log = tmp_path / "error.log"
    process = subprocess.Popen(["nginx", "-p", tmp_path, "-e", log, "-c", configuration])
    try:
        door = FrontDoor(port, keys)
        wait_until(lambda: door.listens() or process.poll() is not None, START_TIMEOUT_SECONDS)
        assert process.poll() is None, log.read_text()
        yield door
    finally:
        process.terminate()
        process.wait()


def test_a_key_opens_the_door_as_soon_as_it_is_made(front_door: FrontDoor) -> None:
    key, secret = front_door.make()

    assert front_door.status(key, secret) == HTTPStatus.OK


def test_a_key_opens_the_door_with_its_own_secret_alone(front_door: FrontDoor) -> None:
    key, secret = front_door.make()
    _, other = front_door.make()

    for wrong in ("", other, secret[:-1], f"{secret}0"):
        assert front_door.status(key, wrong) == HTTPStatus.UNAUTHORIZED


def test_a_key_opens_no_door_any_more_once_it_is_revoked(front_door: FrontDoor) -> None:
    key, secret = front_door.make()
    other, other_secret = front_door.make()
    assert front_door.status(key, secret) == HTTPStatus.OK

    front_door.creds("revoke", key)

    assert front_door.status(key, secret) == HTTPStatus.UNAUTHORIZED
    assert front_door.status(other, other_secret) == HTTPStatus.OK


def test_no_request_with_a_good_key_fails_while_others_come_and_go(front_door: FrontDoor) -> None:
    for _ in range(20):  # a longer file is longer half-written, if it is ever
        front_door.make()
    key, secret = front_door.make()
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def knock() -> None:
        while not over.is_set():
            statuses[front_door.status(key, secret)] += 1

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        changes = 0
        while changes < CHANGES or statuses.total() < REQUESTS:
            front_door.creds("revoke", front_door.make()[0])
            changes += 1
            assert knocking.is_alive()
    finally:
        over.set()
        knocking.join()

    assert statuses.keys() == {HTTPStatus.OK}, statuses
