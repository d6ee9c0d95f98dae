"""The command against a server that answers as a test says."""

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecs.ecsctl.main import ecsctl
from tests.network import free_port
from tests.scripted_http import Answer, ScriptedServer, json_answer, running_server

GOOD = {
    "GET": json_answer(200, {"links": {"self": {"href": "/v1.1/_noop"}}}),
    "POST": json_answer(201, {"exitCode": 0, "stdout": "", "stderr": ""}),
}
FULL = json_answer(503, {"code": "queue_full", "detail": "the queue is full"})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with running_server(lambda method, path: GOOD[method]) as scripted:
        yield scripted


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(ecsctl, ["probe", *arguments])


def outcomes(result: Result) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(result.stdout)}


def basic(key: str, secret: str) -> str:
    return f"Basic {b64encode(f'{key}:{secret}'.encode()).decode()}"


def test_it_sends_one_noop_and_one_task_that_exits_at_once(server: ScriptedServer) -> None:
    result = run("--url", server.url, "--image", "alpine:3", "--network", "none")

    assert result.exit_code == 0
    noop, task = server.asked
    assert (noop.method, noop.path) == ("GET", "/v1.1/_noop")
    assert (task.method, task.path) == ("POST", "/v1.1/tasks")
    assert json.loads(task.body) == {"docker_image": "alpine:3", "cmd": ["true"], "network": "none"}
    assert "authorization" not in noop.headers
    lines = result.stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [["ok", "noop", "200"], ["ok", "task", "201"]]


def test_success_status_and_seconds_of_each_are_told_as_json(server: ScriptedServer) -> None:
    found = outcomes(run("--url", server.url, "--json"))

    assert [found[name]["success"] for name in ("noop", "task")] == [True, True]
    assert [found[name]["status"] for name in ("noop", "task")] == [200, 201]
    assert all(0 < one["seconds"] < 60 for one in found.values())
    assert {one["detail"] for one in found.values()} == {""}


@pytest.mark.parametrize(
    ("method", "answer", "check", "detail"),
    [
        ("GET", FULL, "noop", "the queue is full"),
        ("GET", json_answer(202, {}), "noop", "answered 202, not 200"),
        ("GET", (200, b"<html>"), "noop", "the answer, 200, is no JSON object: is this ECS?"),
        ("GET", (301, b"moved"), "noop", "the answer, 301, is no JSON object: is this ECS?"),
        ("POST", FULL, "task", "the queue is full"),
        ("POST", json_answer(200, {"exitCode": 0}), "task", "answered 200, not 201"),
        ("POST", json_answer(201, {"exitCode": 3}), "task", "the task ended with exit code 3"),
        ("POST", json_answer(201, {}), "task", "the task ended with exit code None"),
        ("POST", json_answer(201, []), "task", "the answer, 201, is no JSON object: is this ECS?"),
    ],
)
def test_one_that_fails_is_told_and_the_other_is_asked_nevertheless(
    method: str, answer: Answer, check: str, detail: str, server: ScriptedServer
) -> None:
    server.answer = lambda asked, path: answer if asked == method else GOOD[asked]

    result = run("--url", server.url, "--json")

    assert result.exit_code == 1
    found = outcomes(result)
    assert {name: one["success"] for name, one in found.items()} == {
        name: name != check for name in ("noop", "task")
    }
    assert found[check]["status"] == answer[0]
    assert found[check]["detail"] == detail


def test_nobody_there_is_a_failure_without_a_status() -> None:
    result = run("--url", f"http://127.0.0.1:{free_port()}", "--json")

    assert result.exit_code == 1
    for one in outcomes(result).values():
        assert (one["success"], one["status"]) == (False, None)
        assert "Cannot connect" in one["detail"]


def test_an_answer_that_takes_too_long_is_a_failure(silent: str) -> None:
    result = run("--url", f"http://{silent}", "--timeout-seconds", "0.1", "--json")

    assert result.exit_code == 1
    assert {one["detail"] for one in outcomes(result).values()} == {
        "no whole answer within 0.1 seconds"
    }


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_key_and_secret_come_from_a_file_as_creds_make_prints_it(
    server: ScriptedServer, tmp_path: Path
) -> None:
    keys, probe = str(tmp_path / "htpasswd"), tmp_path / "probe.json"
    made = CliRunner().invoke(ecsctl, ["creds", "make", "--json", "--file", keys])
    probe.write_text(made.stdout)

    assert run("--url", server.url, "--key-file", str(probe)).exit_code == 0
    document = json.loads(made.stdout)
    expected = basic(document["key"], document["secret"])
    assert {asked.headers["authorization"] for asked in server.asked} == {expected}


def test_key_and_secret_come_from_the_environment(server: ScriptedServer) -> None:
    result = run(ECS_PROBE_URL=server.url, ECS_PROBE_KEY="ann", ECS_PROBE_SECRET="s3cret")

    assert result.exit_code == 0
    assert server.asked[0].headers["authorization"] == basic("ann", "s3cret")


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        ([], {}, "--url"),
        (["--url", "ecs.example"], {}, "it takes https://HOST"),
        (["--url", "https://[::1"], {}, "'--url'"),
        (["--url", "https://ann:s3cret@ecs.example"], {}, "use --key-file"),
        (["--url", "https://ecs.example"], {"ECS_PROBE_KEY": "ann"}, "must both be set"),
        (["--url", "https://x", "--key-file", "/none"], {}, "'/none': No such file"),
        (["--url", "https://x", "--key-file", "/dev/null"], {}, '{"key": …, "secret": …}'),
        (["--url", "https://x", "--cacert", "/none"], {}, "'--cacert'"),
        (["--url", "https://x", "--cacert", "/dev/null"], {}, "'--cacert'"),
        (["--url", "https://x", "--timeout-seconds", "0"], {}, "'--timeout-seconds'"),
        (["--url", "https://x", "--network", "host"], {}, "'--network'"),
    ],
)
def test_a_mistake_of_use_is_told_with_the_option(
    arguments: list[str], environment: dict[str, str], told: str
) -> None:
    result = run(*arguments, **environment)

    assert result.exit_code == 2
    assert told in result.stderr
    assert "s3cret" not in result.output


def test_a_textfile_that_cannot_be_written_is_told(server: ScriptedServer) -> None:
    result = run("--url", server.url, "--textfile", "/none/ecs.prom")

    assert result.exit_code == 1
    assert "the textfile '/none/ecs.prom' cannot be written: No such file" in result.stderr
