"""REST and MCP in one ASGI app, over a running platform."""

from fastapi import FastAPI

from api.app import Readiness, close_streams, create_app
from cli.compose import Running
from engine.domain.values import Actor, ActorKind
from engine.services import overview
from mcp_server.http import http_app
from mcp_server.server import create_server
from mcp_server.toolsets import selection_of

App = FastAPI
__all__ = ["App", "close_streams", "doors"]


def doors(running: Running, *, token: str) -> FastAPI:
    """Everything a server process answers; what is not public wants `token`."""
    settings = running.platform.settings
    named = [name.strip() for name in settings.allowed_hosts.split(",")]
    hosts = [name for name in (*named, settings.host) if name]
    offered = selection_of(settings)
    server = create_server(running.platform, actor=Actor(ActorKind.AGENT, "mcp"), selection=offered)
    mcp = http_app(server, allowed_hosts=hosts)

    def ready() -> Readiness:
        if running.engine is None:
            return Readiness(ready=True, reason=overview.left_lying(running.platform))
        ailing = running.engine.ailing
        return Readiness(ready=not ailing, reason=ailing or overview.paused(running.platform))

    return create_app(running.platform, token=token, allowed_hosts=hosts, ready=ready, mcp_app=mcp)
