"""Lets the Dagster UI take orders from its own pages only.

Dagster's web server has no login and answers whoever can reach it. On a laptop that is every web
page in the browser: by a link, a form or a script to ``http://127.0.0.1:3000``, or under a name
of its own that it lets point there. A browser says where a request comes from (``Host``,
``Origin``, ``Sec-Fetch-Site``), and no page can change that; programs such as curl say nothing of
it and are served.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# Names under which a browser on this machine reaches its own loopback.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
# The address that people open the UI at, where that is another.
ADDRESS_VARIABLE = "BONITO_UI_URL"


class SameOrigin:
    """ASGI middleware that answers 403, 405, 415 or 421 to what did not come from the UI itself.

    `hosts` are the names under which the UI may be opened, without ports.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers why not."""
        if scope["type"] not in ("http", "websocket") or (refusal := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
            return
        status, reason = refusal
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
            return
        from starlette.responses import PlainTextResponse

        await PlainTextResponse(f"{reason}\n", status_code=status)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = headers.get("host", [])
        if len(host) != 1 or _name(host[0]) not in self._hosts:
            return 421, f"This UI has another name; if it is this one, set {ADDRESS_VARIABLE}."
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            if scope["path"].rstrip("/").endswith("/graphql") and scope["query_string"]:
                return 405, "GraphQL takes no query from an address; send it by POST."
            return None
        for origin in headers.get("origin", []):
            if urlsplit(origin).netloc.lower() != host[0].lower():
                return 403, "This request came from another web page."
        if set(headers.get("sec-fetch-site", [])) - {"same-origin", "none"}:
            return 403, "This request came from another web page."
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/graphql"):
            kinds = [kind.partition(";")[0].strip() for kind in headers.get("content-type", [])]
            # A form can send anything but this; Dagster compares in lower case.
            if kinds != ["application/json"]:
                return 415, "GraphQL takes application/json only."
        return None


def guard_webserver() -> None:
    """Puts ``SameOrigin`` before the web server that this process is about to build.

    Dagster has no setting for it: ``build_middleware`` is what its own hosted version overrides.
    """
    from dagster_webserver.webserver import DagsterWebserver
    from starlette.middleware import Middleware

    inner = DagsterWebserver.build_middleware
    if getattr(inner, "guards", False):
        return
    name = urlsplit(os.environ.get(ADDRESS_VARIABLE, "")).hostname

    def build_middleware(self: DagsterWebserver) -> list[Middleware]:
        return [Middleware(SameOrigin, hosts=LOOPBACK | ({name} if name else set())), *inner(self)]

    build_middleware.guards = True  # type: ignore[attr-defined]
    DagsterWebserver.build_middleware = build_middleware


def _name(host: str) -> str:
    """Gives the name in a ``Host`` header, without its port."""
    host = host.strip().lower()
    return host if host.endswith("]") else host.rpartition(":")[0] or host
