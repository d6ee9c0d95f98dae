"""What is wrong with the command line or the Prometheus, in one line each."""

from base64 import b64encode
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from ecs.ecsctl.main import ecsctl
from tests.network import free_port
from tests.scripted_http import Answer, ScriptedServer, json_answer, running_server

EMPTY = json_answer(200, {"status": "success", "data": {"resultType": "vector", "result": []}})
NO_NAMES = json_answer(200, {"status": "success", "data": []})


def answer_nothing(method: str, path: str) -> Answer:
    return EMPTY if method == "POST" else NO_NAMES


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with running_server(answer_nothing) as scripted:
        yield scripted


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(ecsctl, ["sla", *arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "01/02/2026"], "'--since': '01/02/2026' could be"),
        (["--until", "soon"], "'--until': 'soon' cannot be read"),
        (["--until", "2999-01-01"], "'--until': '2999-01-01' has not come yet"),
        (["--since", "now"], "is not 300 seconds or more before --until"),
        (["--since", "today", "--until", "yesterday"], "'--since'"),
        (["--objective", "99"], "'--objective': '99' is none of availability_percent=NUMBER"),
        (["--objective", "availability_percent=100"], "above 0 and below 100"),
        (["--plot", "x.gif"], "'--plot': it takes a file.svg or file.png, not 'x.gif'"),
        (["--prometheus", "localhost:9090"], "'--prometheus': it takes http://HOST:PORT"),
        (["--prometheus", "http://[::1"], "'--prometheus'"),
        (["--job", 'a"b'], "'--job': it takes text without quotes"),
    ],
)
def test_a_mistake_of_use_is_told_with_the_option(arguments: list[str], told: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert told in result.stderr


def test_no_prometheus_is_told_without_its_password() -> None:
    port = free_port()

    result = run(ECS_PROMETHEUS_URL=f"http://ann:s3cret@127.0.0.1:{port}")

    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"Error: Prometheus at http://127.0.0.1:{port} cannot be reached: Cannot connect"
    )
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, b"<html>"), "with status 200 is no Prometheus"),
        ((404, b'{"status": 404}'), "with status 404 is no Prometheus"),
        (json_answer(200, []), "with status 200 is no Prometheus"),
        (
            json_answer(422, {"status": "error", "errorType": "execution", "error": "too\x1bmany"}),
            "refuses: execution: too\ufffdmany",
        ),
    ],
)
def test_what_prometheus_refuses_is_told(answer: Answer, told: str, server: ScriptedServer) -> None:
    server.answer = lambda method, path: answer

    result = run("--prometheus", server.url)

    assert result.exit_code == 1
    assert told in result.stderr
    assert result.stdout == ""


def test_a_prometheus_that_hangs_is_told(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecs.ecsctl.sla.prometheus._TIMEOUT_SECONDS", 0.0001)

    result = run("--prometheus", server.url)

    assert result.exit_code == 1
    assert "did not answer within 0.0001 seconds" in result.stderr


def test_a_prometheus_that_never_saw_the_service_is_told_and_makes_no_figures(
    server: ScriptedServer,
) -> None:
    result = run("--prometheus", server.url, "--json", "--job", "other")

    assert result.exit_code == 1
    assert "holds no metric of ECS: let it scrape /metrics under job_name 'other'" in result.stderr
    assert result.stdout == ""


def test_user_and_password_of_the_url_are_shown_to_the_server_alone(
    server: ScriptedServer,
) -> None:
    result = run(ECS_PROMETHEUS_URL=server.url.replace("http://", "http://ann:s3cret@"))

    assert "s3cret" not in result.output
    expected = f"Basic {b64encode(b'ann:s3cret').decode()}"
    assert {asked.headers["authorization"] for asked in server.asked} == {expected}
