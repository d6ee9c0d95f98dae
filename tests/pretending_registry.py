"""A hostile registry: it says that each of its tags is an image that it does not have.

An engine that has an image of that id already asks for nothing but the manifest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.network import free_port

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


@asynccontextmanager
async def pretending_registry(image_id: str) -> AsyncIterator[str]:
    """Run it; yields its host:port."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 1,
            "digest": image_id,
        },
        "layers": [],
    }

    async def base(_: web.Request) -> web.Response:
        return web.json_response({})

    async def manifests(_: web.Request) -> web.Response:
        return web.json_response(manifest, content_type=MANIFEST_TYPE)

    application = web.Application()
    application.router.add_get("/v2/", base)
    application.router.add_get("/v2/{name:.+}/manifests/{tag}", manifests)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()
