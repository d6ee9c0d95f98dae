"""The composed system, as a stranger meets it: real nginx, real TLS, real service, real engine."""

import asyncio
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import crossplane  # type: ignore[import-untyped] # it has no types
import pytest

from tests.client import Caller, events
from tests.front_door import (
    API,
    DOCS,
    FrontDoor,
    assert_problem,
    authorization,
    docker,
    inspect,
    version_numbers,
)
from tests.waiting import eventually

PATIENT_SECONDS = 30
PROGRAMS = Path(sys.executable).parent
OUTSIDE_SERVERS = 5

# What it waits for passes beside these tests and those that follow; see test_service_away.
pytestmark = pytest.mark.usefixtures("silent_client")


def servers(front_door: FrontDoor, directory: Path) -> list[dict[str, Any]]:
    """The server blocks of the running nginx, as it reads them itself."""
    whole = docker(
        "exec", front_door.container("nginx"), "nginx", "-T", "-c", "/run/nginx/nginx.conf"
    )
    for part in whole.split("# configuration file ")[1:]:
        path, _, content = part.partition(":\n")
        (directory / Path(path).name).write_text(content)
    parsed = crossplane.parse(str(directory / "nginx.conf"), combine=True)
    assert parsed["status"] == "ok", parsed["errors"]
    (http,) = (block for block in parsed["config"][0]["parsed"] if block["directive"] == "http")
    return [block for block in http["block"] if block["directive"] == "server"]


def arguments(server: dict[str, Any], directive: str) -> list[list[str]]:
    return [entry["args"] for entry in server["block"] if entry["directive"] == directive]


def test_the_printed_line_runs_a_task_as_it_stands(front_door: FrontDoor) -> None:
    done = subprocess.run(
        ["bash", "-c", front_door.line], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["stdout"] == "aGVsbG8K"


async def test_every_location_of_the_api_refuses_without_a_key(
    front_door: FrontDoor, tmp_path: Path
) -> None:
    all_servers = servers(front_door, tmp_path)
    outside = [server for server in all_servers if [
        argument.partition(":")[0] for argument in arguments(server, "listen")[0][:1]
    ] != ["unix"]]  # fmt: skip
    assert len(outside) == OUTSIDE_SERVERS
    (api,) = (
        server
        for server in outside
        if [API] in arguments(server, "server_name") and "443" in arguments(server, "listen")[0]
    )
    locations = [entry for entry in api["block"] if entry["directive"] == "location"]
    public = {
        entry["args"][-1]
        for entry in locations
        if any(inner["directive"] == "internal" for inner in entry["block"])
    }
    paths = {entry["args"][-1] for entry in locations} | {
        "/v1.1/tasks", "/v1.1/_noop", "/v1.1/_version", "/v1.1/_health",
        "/livez", "/readyz", "/metrics", "/random",
    }  # fmt: skip
    assert "/" in paths

    async with front_door.session(with_key=False) as session:
        for path in paths:
            for method in ("GET", "POST"):
                async with session.request(method, front_door.url + path) as answer:
                    expected = 404 if path in public else 401
                    assert answer.status == expected, (method, path)
                    assert_problem(await answer.json(content_type=None), expected)
                    if expected == 401:
                        assert answer.headers["WWW-Authenticate"] == 'Basic realm="ECS"'


async def test_what_is_for_the_operator_alone_is_not_there_even_with_a_key(
    front_door: FrontDoor,
) -> None:
    async with front_door.session() as session:
        for path in ("/livez", "/readyz", "/metrics", "/v1.1/../livez", "/v1.1/%2e%2e/livez"):
            async with session.get(front_door.url + path) as answer:
                assert answer.status == 404
                assert_problem(await answer.json(content_type=None), 404)


async def test_links_name_the_address_that_the_client_used(front_door: FrontDoor) -> None:
    async with (
        front_door.session() as session,
        session.get(f"{front_door.url}/v1.1/_version") as answer,
    ):
        document = await answer.json()
    assert document["links"]["self"]["href"] == f"{front_door.url}/v1.1/_version"


async def test_no_header_names_a_version(front_door: FrontDoor) -> None:
    async with front_door.session() as session:
        for url in (
            f"{front_door.url}/v1.1/_noop", f"{front_door.url}/x", front_door.docs_url,
            f"{front_door.docs_url}/random", f"https://unknown.localhost:{front_door.port}/",
        ):  # fmt: skip
            async with session.get(url, ssl=False) as answer:
                assert not version_numbers(str(dict(answer.headers)))
                assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"
                assert len(answer.headers.getall("Strict-Transport-Security")) == 1


async def test_the_service_s_own_errors_pass_unchanged(front_door: FrontDoor) -> None:
    async with front_door.session() as session:
        caller = Caller(session, front_door.url)
        answer = await caller.run()
        assert answer.status == 400
        assert answer.document["errors"][0]["pointer"] == "/cmd"
        missing = await caller.run("true", image="registry.invalid/none:1")
        assert missing.status in (404, 502)
        assert_problem(missing.document, missing.status)


@pytest.mark.parametrize("given", [{}, {"X-Request-ID": "the-clients-own"}], ids=["made", "own"])
async def test_a_request_has_one_id_in_both_logs_and_in_the_answer_and_keeps_its_trace(
    given: dict[str, str], front_door: FrontDoor
) -> None:
    traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    async with front_door.session() as session:
        answer = await Caller(session, front_door.url).post(
            {"docker_image": "busybox:latest", "cmd": ["sh", "-c", "echo $TRACEPARENT"]},
            given | {"traceparent": traceparent},
        )

    assert answer.stdout.decode().strip() == traceparent
    request_id = answer.headers["X-Request-ID"]
    assert request_id == given.get("X-Request-ID", request_id)

    def lines(service: str) -> list[dict[str, Any]]:
        log = subprocess.run(
            ["docker", "logs", front_door.container(service)],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        ).stdout.splitlines()  # fmt: skip
        found = [json.loads(line) for line in log if line.startswith("{") and request_id in line]
        return [line for line in found if line["event"] == "request"]

    for service in ("nginx", "services"):
        await eventually(lambda name=service: lines(name), PATIENT_SECONDS)
        assert {line["request_id"] for line in lines(service)} == {request_id}
    assert lines("services")[-1]["task_id"] == answer.document["id"]


async def test_a_made_key_counts_at_once_and_a_revoked_one_no_more(front_door: FrontDoor) -> None:
    keys = str(front_door.directory / "keys" / "htpasswd")
    made = json.loads(front_door.script("ecsctl", "creds", "make", "--json", "--file", keys))
    auth = authorization(made["key"], made["secret"])
    async with front_door.session(with_key=False) as session:
        async with session.get(f"{front_door.url}/v1.1/_noop", headers=auth) as answer:
            assert answer.status == 200
        front_door.script("ecsctl", "creds", "revoke", made["key"], "--file", keys)
        async with session.get(f"{front_door.url}/v1.1/_noop", headers=auth) as answer:
            assert answer.status == 401


async def test_a_live_stream_arrives_line_by_line(front_door: FrontDoor) -> None:
    async with front_door.session() as session:
        caller = Caller(session, front_door.url)
        # The task goes on only when told so through the engine: what arrived came while it ran.
        waits = "echo first; until [ -e /tmp/go ]; do sleep 0.1; done; echo second"
        async with caller.stream("text/event-stream", "sh", "-c", waits) as response:
            seen: list[str] = []
            async for event in events(response):
                seen.append(event.name)
                if event.name == "state":
                    task = event.document["id"]
                if event.name == "stdout" and seen.count("stdout") == 1:
                    docker("exec", f"ecs-task-{task}", "touch", "/tmp/go")
            assert seen.count("stdout") == 2
            assert seen[-1] == "result"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
async def test_a_client_that_goes_away_is_seen_and_its_task_cancelled(
    front_door: FrontDoor, protocol: str, accept: str
) -> None:
    client_id = secrets.token_hex(8)

    def running() -> list[str]:
        return docker("ps", "-q", "--filter", f"label=client={client_id}").split()

    fields = {"timeout_seconds": 3600, "labels": {"client": client_id}}
    words = front_door.client("sleep", "3600", **fields)
    client = await asyncio.create_subprocess_exec(
        *words, protocol, "-s", "-o", "/dev/null", "-H", f"Accept: {accept}"
    )
    try:
        await eventually(running, PATIENT_SECONDS)
    finally:
        client.kill()
        await client.wait()
    await eventually(lambda: not running(), PATIENT_SECONDS)


def test_the_old_wish_shows_the_branded_page(front_door: FrontDoor) -> None:
    done = subprocess.run(
        ["curl", "--insecure", "-s", "-v", "-H", f"Host: {DOCS}",
         f"https://127.0.0.1:{front_door.port}/random"],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert "< HTTP/2 404" in done.stderr
    assert "Ephemeral Container Service" in done.stdout
    assert "404" in done.stdout


async def test_the_documentation_states_the_limits_of_this_system(front_door: FrontDoor) -> None:
    async with (
        front_door.session(with_key=False) as session,
        session.get(f"{front_door.docs_url}/openapi.json") as answer,
    ):
        document = await answer.json()
    assert document["servers"][0]["url"].startswith(front_door.url)


def test_only_the_service_reaches_the_engine_and_none_has_a_right_too_many(
    front_door: FrontDoor,
) -> None:
    for name in ("nginx", "apidocs", "services"):
        container = inspect(front_door.container(name))
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not host["Privileged"]
        sources = [mount["Source"] for mount in container["Mounts"]]
        assert any(source.endswith("docker.sock") for source in sources) == (name == "services")
        if name != "nginx":
            assert container["Config"]["User"] not in ("", "0", "root")


def test_the_certificate_and_tls_are_as_mozilla_s_intermediate_profile_wants(
    front_door: FrontDoor,
) -> None:
    done = subprocess.run(
        [PROGRAMS / "sslyze", "--mozilla_config=intermediate", f"--sni={API}",
         f"--certinfo_ca_file={front_door.ca}", f"127.0.0.1:{front_door.port}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
