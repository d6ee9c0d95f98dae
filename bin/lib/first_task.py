# ruff: noqa: T201 - it is here to print
"""Waits until a starting ECS is ready, runs a first task through it, and shows both sides.

first_task.py URL PID: the service's address and process. Exit status 0 means that the task
answered as it must.
"""

import base64
import http.client
import json
import os
import sys
import time
from http import HTTPStatus
from urllib.parse import urlsplit

GREETING = "hello from a throwaway container"
TASK = {"docker_image": "busybox:latest", "cmd": ["echo", GREETING]}
START_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.05
# Generous: a first start on a slow machine takes seconds, a broken engine must not hang us.
TASK_TIMEOUT_SECONDS = 120


class FirstTaskError(Exception):
    """The sentence to end with."""


def ask(
    url: str, method: str, path: str, body: str | None = None, timeout_seconds: float = 5
) -> tuple[int, str]:
    """Make one request and return the status and the text of its answer."""
    service = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_seconds)
    try:
        service.request(method, path, body, {"Content-Type": "application/json"})
        answer = service.getresponse()
        return answer.status, answer.read().decode()
    finally:
        service.close()


def is_running(pid: int) -> bool:
    """Tell whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(url: str, path: str, pid: int) -> None:
    """Poll until the path answers 200, the service ends, or the time is over."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    last = "no answer"
    while time.monotonic() < deadline:
        if not is_running(pid):
            raise FirstTaskError("ECS ended while it was starting")
        try:
            status, words = ask(url, "GET", path)
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        else:
            if status == HTTPStatus.OK:
                return
            last = f"{status} {words.strip()}"
        time.sleep(POLL_SECONDS)
    raise FirstTaskError(f"{url}{path} was not ready within {START_TIMEOUT_SECONDS} s: {last}")


def run_first_task(url: str) -> None:
    """Post the task, print request and answer, and check the answer."""
    body = json.dumps(TASK)
    print("==> a first task:\n")
    print(f"curl -sS {url}/v1.1/tasks -H 'Content-Type: application/json' \\\n  -d '{body}'\n")
    try:
        status, words = ask(url, "POST", "/v1.1/tasks", body, TASK_TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise FirstTaskError(f"the first task got no answer: {error}") from error
    try:
        answer = json.loads(words)
    except ValueError as error:
        raise FirstTaskError(f"the first task's answer, {status}, is not JSON: {words}") from error
    print(json.dumps(answer, indent=2))
    if status != HTTPStatus.CREATED:
        raise FirstTaskError(f"the first task was answered with {status} instead of 201")
    stdout, stderr = (
        base64.b64decode(answer[stream]).decode(errors="replace") for stream in ("stdout", "stderr")
    )
    print(f"\n==> its stdout, decoded: {stdout.rstrip()}")
    if stderr:
        print(f"==> its stderr, decoded: {stderr.rstrip()}")
    if answer["exitCode"] != 0 or stdout != f"{GREETING}\n":
        raise FirstTaskError(
            f"the first task did not end with exit code 0 and the expected stdout; is the engine's"
            f" {TASK['docker_image']} the usual one?"
        )


def main(url: str, pid: str) -> int:
    """Return the exit status."""
    try:
        wait_for(url, "/livez", int(pid))
        wait_for(url, "/readyz", int(pid))
        run_first_task(url)
    except FirstTaskError as failure:
        sys.stdout.flush()
        sys.stderr.write(f"==> error: {failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
