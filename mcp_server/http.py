"""MCP over streamable HTTP."""

from collections.abc import Iterable

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def http_app(
    server: MCPServer[object], *, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()
) -> Starlette:
    """The ASGI app that serves `/mcp`; mount it last, at `/`. Whoever mounts it enters `server.session_manager.run()`.

    Bodies are event streams, so that progress arrives. Clients of the handshake era get no session either: any process
    can answer any request, and a restart loses nobody. Beyond loopback, only the given hosts and origins are served.
    """
    security = served_names(allowed_hosts, allowed_origins)
    app = server.streamable_http_app(stateless_http=True, transport_security=security)
    app.add_middleware(Trimmed)
    return app


class Trimmed:
    """Takes the blanks around the values of headers away, which are no part of them (RFC 9110, 5.5).

    httptools leaves those at the end, and the SDK compares headers with the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [(name, value.strip(b" \t")) for name, value in scope["headers"]]}
        await self._app(scope, receive, send)


def served_names(allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> TransportSecuritySettings:
    """The names under which we are served, on any port: loopback, and the given ones."""
    hosts = [*LOOPBACK, *allowed_hosts]
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[pattern for host in hosts for pattern in (host, f"{host}:*")],
        allowed_origins=[*(p for origin in origins for p in (origin, f"{origin}:*")), *allowed_origins],
    )
