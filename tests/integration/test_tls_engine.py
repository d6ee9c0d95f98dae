"""Tasks on an engine behind TLS."""

import base64

from tests.client import calling
from tests.conftest import StartService
from tests.outcomes import outcome
from tests.tls_engine import TlsEngine
from tests.waiting import eventually
from tests.ways import Way, environment, ways


@ways(Way.COLD, Way.WITHOUT_INIT)
async def test_an_engine_behind_tls_runs_tasks_too(
    ecservice: StartService, tls_engine: TlsEngine, way: Way
) -> None:
    service = await ecservice(probe=tls_engine.probe, **tls_engine.settings, **environment(way))
    data = bytes(index % 251 for index in range(300_000))
    async with calling(service.url) as caller:
        stdin = base64.b64encode(data).decode()
        answer = await caller.run("cat", stdin=stdin)
        unread = await caller.run("true", stdin=stdin)
        health = await caller.get("/v1.1/_health?quick=false")

    assert answer.stdout == data
    assert outcome(unread) == ("COMPLETE", "exited", 0)
    assert health.document["status"] == "green"


async def test_the_same_engine_refuses_a_service_without_a_certificate(
    ecservice: StartService, tls_engine: TlsEngine
) -> None:
    service = await ecservice(ready=False, DOCKER_HOST=tls_engine.url)
    await eventually(lambda: any(line["event"] == "no engine" for line in service.log_lines()), 20)
    async with calling(service.url) as caller:
        answer = await caller.run("true")

    assert (answer.status, answer.document["code"]) in {
        (502, "engine_unreachable"),
        (502, "engine_error"),
    }
