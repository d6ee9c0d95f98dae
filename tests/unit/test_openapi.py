"""The API's description says everything that a caller can meet."""

import importlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import ecs
from ecs.errors import EcsError
from ecs.jsonschemas import load_schema
from ecs.request_handlers.application import ROUTES
from ecs.request_handlers.problems import STATUS_AND_TITLE
from ecs.settings import Settings
from ecs.settings_help import environment_variable
from ecs.tasks.states import Outcome, TaskState

ROOT = Path(ecs.__file__).parent.parent
APIDOCS = ROOT / "dockerfiles" / "apidocs"
OWN_PORT_ROUTES = {"/livez", "/readyz", "/metrics"}
"""Never through the front door: told in words, not as an operation."""
NO_CALLERS_BUSINESS = {"engine_timeout_seconds", "max_starting_tasks"}
"""Settings with a limit's name that only the service and the engine notice."""
_NAMES = (ROOT / "dockerfiles" / "nginx" / "names.conf.template").read_text(encoding="utf-8")
_CODES = _NAMES.partition("$problem_code {")[2].partition("}")[0]
NGINX_CODES = {
    (int(status), code)
    for status, code in re.findall(r"^    (\d{3}) (\w+);$", _CODES, re.MULTILINE)
}
"""What nginx itself calls the errors that it makes."""


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(APIDOCS)
    return importlib.import_module("document")


@pytest.fixture
def template(builder: ModuleType) -> str:
    text: str = builder.openapi_template()
    return text


@pytest.fixture
def document(builder: ModuleType, tmp_path: Path) -> Any:
    return rendered(builder, tmp_path)


def rendered(builder: ModuleType, directory: Path, **environment: str) -> Any:
    """The document as a container with this environment serves it."""
    (directory / "template").write_text(builder.openapi_template(), encoding="utf-8")
    (directory / "parameters").write_text(builder.parameters(), encoding="utf-8")
    done = subprocess.run(
        [ROOT / "dockerfiles" / "render", directory / "parameters", directory / "template"],
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
    )
    return json.loads(done.stdout)


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def media_types(document: Any) -> Iterator[Any]:
    """Every body that has a schema, those asked and those answered."""
    for _, operation in operations(document):
        yield from operation.get("requestBody", {}).get("content", {}).values()
        for response in operation["responses"].values():
            yield from response.get("content", {}).values()
    for response in document["components"]["responses"].values():
        yield from response["content"].values()


def examples(media_type: Any) -> list[Any]:
    named = [example["value"] for example in media_type.get("examples", {}).values()]
    return named + ([media_type["example"]] if "example" in media_type else [])


def subclasses(kind: type[EcsError]) -> Iterator[type[EcsError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def raised_codes() -> set[tuple[int, str]]:
    """What ecs.errors can become in an answer."""
    codes: set[tuple[int, str]] = set()
    kinds: list[type[EcsError]] = [EcsError, *subclasses(EcsError)]
    for kind in kinds:
        # A class that only groups others is never raised itself.
        if "code" in vars(kind) or not kind.__subclasses__():
            table = (STATUS_AND_TITLE[base] for base in kind.__mro__ if base in STATUS_AND_TITLE)
            codes.add((next(table)[0], kind.code))
    return codes


def section(document: Any, heading: str) -> str:
    _, _, behind = document["info"]["description"].partition(f"\n# {heading}\n")
    assert behind, heading
    return str(re.split(r"\n# ", behind)[0])


def test_the_document_is_openapi_3_1(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()

    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == ecs.__version__


def test_each_route_that_the_front_door_opens_is_an_operation(document: Any) -> None:
    routes = {
        f"{method} {pattern.replace('/?', '').replace(chr(92), '')}"
        for pattern, handler in ROUTES
        for method in ("get", "post", "put", "delete", "patch", "head", "options")
        if method in vars(handler)
    }
    own_port = {f"get {path}" for path in OWN_PORT_ROUTES}

    assert {name for name, _ in operations(document)} == routes - own_port
    assert own_port < routes


def test_the_routes_of_the_services_own_port_are_told(document: Any) -> None:
    told = section(document, "The service's own port")

    assert {path for path in OWN_PORT_ROUTES if f"`{path}`" in told} == OWN_PORT_ROUTES


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("TaskRequest", "task_request"),
        ("TaskResult", "task_result"),
        ("Problem", "problem"),
        ("Health", "health"),
        ("Version", "version"),
        ("Noop", "noop"),
    ],
)
def test_a_schema_is_the_very_file(document: Any, name: str, file_name: str) -> None:
    text = json.dumps(document["components"]["schemas"][name])

    assert json.loads(text.replace(f"#/components/schemas/{name}/", "#/")) == load_schema(file_name)


def test_there_is_no_schema_but_those_of_the_files(document: Any) -> None:
    files = {path.stem for path in (ROOT / "ecs" / "jsonschemas").glob("*.json")}

    assert len(document["components"]["schemas"]) == len(files)


def test_each_example_fits_its_schema(document: Any) -> None:
    checked = 0
    for media_type in media_types(document):
        validator = Draft202012Validator(
            {**media_type["schema"], "components": document["components"]}
        )
        for example in examples(media_type):
            validator.validate(example)
            checked += 1

    assert checked > len(NGINX_CODES)


def test_one_example_has_every_field_of_a_request(document: Any) -> None:
    content = document["paths"]["/v1.1/tasks"]["post"]["requestBody"]["content"]
    example = content["application/json"]["examples"]["everything"]["value"]

    assert set(example) == set(load_schema("task_request")["properties"])


def test_each_code_has_an_example_under_its_status_where_a_task_is_run(document: Any) -> None:
    shown: set[tuple[int, str]] = set()
    shared = document["components"]["responses"]
    for status, response in document["paths"]["/v1.1/tasks"]["post"]["responses"].items():
        whole = shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        for example in examples(whole["content"].get("application/problem+json", {})):
            assert example["status"] == int(status)
            shown.add((example["status"], example["code"]))

    assert shown == raised_codes() | NGINX_CODES


def test_each_code_is_in_the_table_of_errors_with_its_status(document: Any) -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]*) \|", section(document, "Errors"), re.MULTILINE)
    told = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}

    assert told == raised_codes() | NGINX_CODES


def test_each_outcome_and_state_is_told(document: Any) -> None:
    told = section(document, "States and outcomes")

    assert set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)) == set(Outcome)
    assert [state for state in TaskState if f"`{state}`" not in told] == []


def test_each_form_of_an_answer_is_told(document: Any) -> None:
    responses = document["paths"]["/v1.1/tasks"]["post"]["responses"]

    assert set(responses["200"]["content"]) == {"text/plain", "text/event-stream"}
    assert set(responses["201"]["content"]) == {"application/json"}


def test_each_limit_of_the_service_that_a_caller_meets_is_told(template: str) -> None:
    limits = {
        name
        for name in Settings.model_fields
        if re.match(r"(max|default)_|.*_timeout_seconds$", name)
    }

    untold = {name for name in limits if f"%{environment_variable(name)}%" not in template}

    assert untold == NO_CALLERS_BUSINESS


def test_each_limit_of_the_front_door_is_told(template: str) -> None:
    parameters = (ROOT / "dockerfiles" / "nginx" / "parameters").read_text(encoding="utf-8")
    limits = re.findall(r"^(NGINX_\w+) (?:whole|number) ", parameters, re.MULTILINE)

    assert limits
    assert [name for name in limits if f"%{name}%" not in template] == []


def test_nothing_is_left_open_where_nothing_is_configured(document: Any) -> None:
    assert not re.search(r"%[A-Z_]+%", json.dumps(document))
    assert document["servers"] == [{"url": "https://ecs.localhost:443"}]


def test_a_configured_value_is_the_one_shown(builder: ModuleType, tmp_path: Path) -> None:
    document = rendered(
        builder,
        tmp_path,
        ECS_MAX_TIMEOUT_SECONDS="4321",
        NGINX_MAX_BODY_BYTES="98765",
        NGINX_DOMAIN="api.example.org",
    )

    limits = section(document, "Limits")
    assert "| time to run, seconds | 60 | 4321 |" in limits
    assert "| body, bytes, here in front | 98765 |" in limits
    assert document["servers"] == [{"url": "https://api.example.org:443"}]


SLA = {
    "since": "2024-05-01T00:00:00+00:00",
    "until": "2024-05-01T02:00:00+00:00",
    "window_seconds": 7200,
    "objective": {"availability_percent": 99.5, "overhead_p95_seconds": 1.0},
    "availability": {
        "requests": {"good": 9999, "total": 10000, "ratio": 0.9999},
        "tasks": {"good": 10**6 - 1, "total": 10**6, "ratio": 0.999999},
        "up_minutes": None,
        "probe_minutes": None,
    },
    "overhead": {
        "tasks": 9000,
        "p50_seconds": 0.1804,
        "p95_seconds": 0.29,
        "p99_seconds": None,
        "largest_bucket_seconds": 60.0,
    },
}


@pytest.fixture
def root(builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the published performance, and whatever a test adds to it."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "performance.json", tmp_path / "docs")
    monkeypatch.setattr(builder, "_ROOT", tmp_path)
    return tmp_path


def test_the_service_level_is_told_as_it_was_measured(builder: ModuleType, root: Path) -> None:
    (root / "docs" / "sla.json").write_text(json.dumps(SLA))

    told = section(rendered(builder, root), "Performance")

    assert "99.5 % available, and 95 of 100 tasks delayed by at most 1 s" in told
    assert "from 2024-05-01T00:00:00+00:00 to 2024-05-01T02:00:00+00:00 (2.0 hours)" in told
    assert "- 99.99 %: 9,999 of 10,000 requests were not answered 5xx." in told
    assert "- 99.999 %: 999,999 of 1,000,000 tasks did not fail" in told
    assert "minutes" not in told.partition("## Service level")[2]
    assert (
        "- Added to 9,000 tasks by ECS and the engine: p50 180 ms, p95 290 ms, p99 more than 60 s."
    ) in told


@pytest.mark.parametrize(
    ("minutes", "told"),
    [(119, "(2.0 hours, with data of 99.1 % of it)"), (120, "(2.0 hours)")],
)
def test_a_window_of_which_not_all_is_known_says_so(
    minutes: int, told: str, builder: ModuleType, root: Path
) -> None:
    coverage = {"minutes": minutes, "window_minutes": 120, "ratio": minutes / 120, "gaps": []}
    (root / "docs" / "sla.json").write_text(json.dumps(SLA | {"coverage": coverage}))

    assert told in section(rendered(builder, root), "Performance")


def test_of_what_was_not_measured_nothing_is_told(builder: ModuleType, root: Path) -> None:
    (root / "docs" / "sla.json").write_text(json.dumps(SLA | {"overhead": None}))

    assert "Added to" not in section(rendered(builder, root), "Performance")


def test_without_a_measured_service_level_none_is_told(builder: ModuleType, root: Path) -> None:
    assert "Service level" not in section(rendered(builder, root), "Performance")


def test_the_figures_are_the_published_ones(document: Any) -> None:
    figures = json.loads((ROOT / "docs" / "performance.json").read_text(encoding="utf-8"))
    told = section(document, "Performance")

    assert figures["date"] in told
    for way in figures["latency"]["ways"]:
        default, none = (
            f"{way[network]['median_seconds'] * 1000:.0f} | "
            f"{way[network]['p95_seconds'] * 1000:.0f} | {way[network]['median_to_raw']:.2f}"
            for network in ("default", "none")
        )
        assert f"| {way['way']} | {default} | {none} |" in told
    for point in figures["throughput"]:
        rates = " | ".join(
            f"{rate:.2f}" for network in ("default", "none") for rate in point[network].values()
        )
        assert f"| {point['clients']} | {rates} |" in told
    for way in figures["output"]["ways"]:
        assert f"| {way['way']} | {way['median_seconds']:.2f} |" in told
