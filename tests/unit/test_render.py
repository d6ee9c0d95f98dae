"""What the images' configuration is rendered from, and what is refused."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.parameters_table import PARAMETERS, ROOT, parameters_table

RENDER = ROOT / "dockerfiles" / "render"
HOST = "NAME host a.example"
REFUSED = 2


def render(
    tmp_path: Path, parameters: str, template: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "parameters").write_text(parameters)
    (tmp_path / "template").write_text(template)
    return subprocess.run(
        [RENDER, tmp_path / "parameters", tmp_path / "template"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_beats_the_default(tmp_path: Path) -> None:
    assert render(tmp_path, HOST, "x %NAME% %NAME%").stdout == "x a.example a.example\n"
    assert render(tmp_path, HOST, "%NAME%", NAME="b.example").stdout == "b.example\n"
    assert render(tmp_path, HOST, "%NAME%", NAME="").stdout == "a.example\n"


def test_a_default_may_name_an_earlier_parameter(tmp_path: Path) -> None:
    both = f"{HOST}\nOTHER host docs.%NAME%"
    assert render(tmp_path, both, "%OTHER%", NAME="b.example").stdout == "docs.b.example\n"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(
            ("host", value)
            for value in (
                "a b", "a;b", "a\nb", "-a.example", "a-.example", "A.example", "a..b", ".a", "a.",
                "1.2.3.4", "a.example/", "a_b", "*.example", "~a", "$host", "a" * 64, "é.example",
            )
        ),
        *(("host:port", value) for value in ("a", ":1", "a:", "a:0", "a:65536", "a:1:2", "a b:1")),
        *(("port", value) for value in ("0", "65536", "-1", "1x", "08", "1\n2")),
        *(("whole", value) for value in ("0", "-1", "1.5", "1k", "", " 1", "1e3", "9" * 19)),
        *(("number", value) for value in ("-1", "1.", ".5", "1e3", "1,5", "1\n2")),
        *(("path", value) for value in ("a", "/a b", "/a;", "/a\n/b", '/a"')),
        *(("word", value) for value in ("a b", "a;", "a\nb")),
        *(("one|two", value) for value in ("three", "one|two", "one two", "|")),
    ],
)  # fmt: skip
def test_what_could_end_a_directive_or_is_no_such_thing_is_refused(
    tmp_path: Path, kind: str, value: str
) -> None:
    done = render(tmp_path, f"NAME {kind} {value or ';'}".replace("\n", " "), "%NAME%", NAME=value)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith('render: NAME = "')
    assert "is not allowed: it takes " in done.stderr


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("host", "localhost"), ("host", "a-b.c1.example"), ("host", "x.123.example"),
        ("host:port", "services:8448"), ("host:port", "172.31.254.2:1"),
        ("port", "65535"), ("whole", "5120"), ("number", "0.5"), ("number", "0"),
        ("path", "/etc/a-b_c/d.pem"), ("word", "v1.2-rc_3"), ("one|two", "two"),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(tmp_path: Path, kind: str, value: str) -> None:
    assert render(tmp_path, f"NAME {kind} x", "%NAME%", NAME=value).stdout == f"{value}\n"


def test_a_name_that_no_parameter_has_is_an_error(tmp_path: Path) -> None:
    done = render(tmp_path, HOST, "%NAME% %OTHER_NAME%")
    assert done.returncode not in (0, REFUSED)
    assert "%OTHER_NAME%" in done.stderr


def test_every_parameter_is_used_and_documented() -> None:
    templates = "".join(template.read_text() for template in PARAMETERS.parent.glob("*.template"))
    lines = [line for line in PARAMETERS.read_text().splitlines() if line[:1] not in ("", "#")]
    unused = [line for line in lines if f"%{line.split()[0]}%" not in templates]
    assert not unused
    assert parameters_table() in (ROOT / "docs" / "front-door.md").read_text()


def test_a_reload_of_nginx_cuts_off_no_answer() -> None:
    template = (ROOT / "dockerfiles/nginx/nginx.conf.template").read_text(encoding="utf-8")
    words = dict(line.split() for line in re.findall(r"^ *(\w+ %\w+%s);", template, re.MULTILINE))

    # Of the old workers, and of what they wait for.
    assert words["worker_shutdown_timeout"] == words["proxy_read_timeout"]
