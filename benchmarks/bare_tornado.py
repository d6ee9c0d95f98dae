"""A Tornado application that does nothing: what the service's `_noop` is measured against.

Run as `python -m benchmarks.bare_tornado PORT`.
"""

import asyncio
import signal
import sys

from tornado.web import Application, RequestHandler


class NothingHandler(RequestHandler):
    """Answers an empty 200."""

    def get(self) -> None:
        """Do nothing."""


async def serve(port: int) -> None:
    """Serve on loopback until SIGTERM."""
    server = Application([("/v1.1/_noop", NothingHandler)]).listen(port, "127.0.0.1")
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
