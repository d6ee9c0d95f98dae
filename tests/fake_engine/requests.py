"""What the engine is asked: a verb, and whatever comes with it."""

import asyncio
import base64
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ROUTES = {
    "ping": r"HEAD /_ping",
    "info": r"GET /info",
    "network": r"GET /networks/(.+)",
    "list_images": r"GET /images/json",
    "inspect_image": r"GET /images/(.+)/json",
    "pull": r"POST /images/create",
    "delete_image": r"DELETE /images/(.+)",
    "list": r"GET /containers/json",
    "create": r"POST /containers/create",
    "attach": r"POST /containers/(.+)/attach",
    "wait": r"POST /containers/(.+)/wait",
    "start": r"POST /containers/(.+)/start",
    "rename": r"POST /containers/(.+)/rename",
    "kill": r"POST /containers/(.+)/kill",
    "inspect": r"GET /containers/(.+)/json",
    "delete": r"DELETE /containers/(.+)",
    "put_archive": r"PUT /containers/(.+)/archive",
    "get_archive": r"GET /containers/(.+)/archive",
    "create_volume": r"POST /volumes/create",
    "list_volumes": r"GET /volumes",
}
VERSIONED = re.compile(r"(?:/v([0-9.]+))?(/.*)")


@dataclasses.dataclass(frozen=True)
class Request:
    """One request; `target` is the container, image or network it names."""

    verb: str
    version: str  # "1.41", or "" where the path has none
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any

    @property
    def reference(self) -> str:
        """What a pull asks for."""
        tag = self.query["tag"]
        return f"{self.query['fromImage']}{'@' if ':' in tag else ':'}{tag}"

    @property
    def credentials(self) -> tuple[str, str] | None:
        """What a pull shows to the registry."""
        header = self.headers.get("x-registry-auth")
        if header is None:
            return None
        document = json.loads(base64.urlsafe_b64decode(header))
        return document["username"], document["password"]


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; none when the client has closed it."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    is_json = headers.get("content-type") == "application/json"
    method, address, _ = first.split(" ")
    parts = urlsplit(address)
    version, path = VERSIONED.fullmatch(unquote(parts.path)).groups("")
    verb, target = _verb_and_target(f"{method} {path}")
    query = dict(parse_qsl(parts.query))
    return Request(verb, version, target, query, headers, json.loads(body) if is_json else body)


def _verb_and_target(asked: str) -> tuple[str, str]:
    matches = ((verb, re.fullmatch(route, asked)) for verb, route in ROUTES.items())
    return next((verb, "".join(found.groups())) for verb, found in matches if found)
