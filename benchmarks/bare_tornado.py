"""A Tornado application that does nothing: what the service's `_noop` is measured against.

Run as `python -m benchmarks.bare_tornado PORT`.
"""

import asyncio
import signal
import sys

from tornado.web import Application, RequestHandler

# The service's own server has these; each is a timer that a request may pay for.
BODY_SECONDS = 30.0
IDLE_CONNECTION_SECONDS = 120.0


class NothingHandler(RequestHandler):
    """Answers an empty 200."""

    def get(self) -> None:
        """Do nothing."""


async def serve(port: int) -> None:
    """Serve on loopback until SIGTERM."""
    server = Application([("/v1.1/_noop", NothingHandler)]).listen(
        port,
        "127.0.0.1",
        body_timeout=BODY_SECONDS,
        idle_connection_timeout=IDLE_CONNECTION_SECONDS,
    )
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
