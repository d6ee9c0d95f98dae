"""Waiting for a condition instead of for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.05


@overload
async def eventually(condition: Callable[[], Awaitable[T]], timeout: float = ...) -> T: ...
@overload
async def eventually(condition: Callable[[], T], timeout: float = ...) -> T: ...
async def eventually(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """Poll the condition until it holds, and return its (true) value.

    Raises:
        AssertionError: it did not hold within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s; at last: {value!r}"
        await asyncio.sleep(POLL_SECONDS)


def wait_until(condition: Callable[[], bool], timeout: float) -> None:
    """Do the same where there is no event loop, as in session fixtures."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(POLL_SECONDS)
