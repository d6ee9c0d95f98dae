"""Work that a cancellation must not leave half done."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


async def finish_first(coroutine: Coroutine[None, None, T]) -> T:
    """Await ``coroutine`` to its end, and only then let a cancellation through."""
    work = asyncio.create_task(coroutine)
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # seen: the reaper copes with either end
        raise cancellation
    return work.result()
