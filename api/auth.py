"""Who may pass: Host, Origin, token and size of a request, judged before any handler or mounted app sees it."""

import hashlib
import hmac
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.routes import docs
from engine.domain.values import Actor, ActorKind
from engine.errors import Denied, InnominatusError, Invalid

logger = structlog.get_logger()

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
METADATA = "/.well-known/oauth-protected-resource/mcp"
"""Where an MCP client looks up how it is let in (RFC 9728)."""
PUBLIC = frozenset({"/", METADATA, "/health", "/ready", "/metrics", "/openapi.json", *docs.PUBLIC})
"""Paths that need no token. The description of the API holds nothing of the installation."""
PROBES = frozenset({"/health", "/ready"})
"""Asked by address, not by name, by whoever watches over the server; they say nothing worth stealing."""

_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::[0-9]{0,5})?")

Authenticate = Callable[[str], Actor | None]


def one_token(token: str) -> Authenticate:
    """Knows one token; the comparison takes the same time however much of a guess is right."""
    if not token.strip():
        raise Invalid("The API needs a token that is not empty.", code="empty_token")
    known = hashlib.sha256(token.encode()).digest()
    actor = Actor(ActorKind.API_KEY, "token")

    def authenticate(given: str) -> Actor | None:
        digest = hashlib.sha256(given.encode(errors="surrogateescape")).digest()
        return actor if hmac.compare_digest(digest, known) else None

    return authenticate


@dataclass(frozen=True, slots=True)
class Gate:
    """What the guard lets through. `hosts` are host names without port besides the loopback ones; `*` means any."""

    authenticate: Authenticate
    hosts: Collection[str] = ()
    max_body: int = 1_100_000

    def names(self, host: str) -> bool:
        """Whether the host is one of ours by name; `*` names none."""
        return bool(host) and (host in LOOPBACK or host in {name.lower() for name in self.hosts})

    def answers_for(self, host: str) -> bool:
        return self.names(host) or ("*" in self.hosts and bool(host))


class Guard:
    """ASGI middleware around everything. Who passed stands in `scope["state"]["actor"]`; public paths have none."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self._judge(scope)
            if _may_have_a_body(scope):
                receive = await _bounded(scope, receive, self._gate.max_body)
        except InnominatusError as error:
            method = scope.get("method", "WEBSOCKET")
            logger.warning("http.denied", code=error.code, method=method, path=scope["path"])
            await errors.response(error, headers=_way_in(scope, error))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope) -> None:
        path = str(scope["path"])
        if path not in PROBES:
            self._check_host(scope)
        self._check_origin(scope)
        state = scope.setdefault("state", {})
        if scope["type"] == "websocket":
            state["authenticate"] = self._gate.authenticate  # a browser's first message may bring the token
            if _token(scope):
                state["actor"] = self._actor(scope)
        elif path not in PUBLIC:
            state["actor"] = self._actor(scope)

    def _check_host(self, scope: Scope) -> None:
        """A name that leads here without our knowing is how a web page reaches a local server (DNS rebinding)."""
        given = _values(scope, "host")
        if len(given) != 1:
            raise Invalid("A request names its host exactly once.", code="malformed_request")
        if not self._gate.answers_for(_host_name(given[0])):
            raise Denied(
                "This server does not answer for that host name.",
                code="unknown_host",
                hint="Use localhost, or add the name to INNOMINATUS_ALLOWED_HOSTS.",
            )

    def _check_origin(self, scope: Scope) -> None:
        own = {_host_name(host) for host in _values(scope, "host")} if "*" in self._gate.hosts else set[str]()
        for origin in _values(scope, "origin"):
            scheme, _, rest = origin.partition("://")
            name = _host_name(rest)
            if scheme not in {"http", "https"} or not (self._gate.names(name) or name in own - {""}):
                raise Denied(
                    "Web pages of other sites may not use this server.",
                    code="foreign_origin",
                    hint="Open the page from this server, or add its host to INNOMINATUS_ALLOWED_HOSTS.",
                )

    def _actor(self, scope: Scope) -> Actor:
        token = _token(scope)
        actor = self._gate.authenticate(token) if token else None
        if actor is None:
            raise Denied(
                "The token is not known." if token else "This needs a token.",
                code="unauthenticated",
                hint="Send `Authorization: Bearer TOKEN`; the token is in the file `token` of the data directory "
                "or in INNOMINATUS_API_TOKEN.",
            )
        return actor


def _way_in(scope: Scope, error: InnominatusError) -> dict[str, str]:
    """For an MCP client without a token: where it reads what is asked of it. The host has been judged before."""
    if error.code != "unauthenticated" or scope["type"] != "http" or scope["path"] != "/mcp":
        return {}
    base = f"{scope.get('scheme', 'http')}://{_values(scope, 'host')[0]}"
    return {"WWW-Authenticate": f'Bearer resource_metadata="{base}{METADATA}"'}


def _may_have_a_body(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    return scope["method"] not in {"GET", "HEAD"} or bool(_values(scope, "content-length", "transfer-encoding"))


def _values(scope: Scope, *names: str) -> list[str]:
    wanted = {name.encode() for name in names}
    return [value.decode("latin-1") for name, value in scope["headers"] if name.lower() in wanted]


def _host_name(host: str) -> str:
    """The name of a Host header without its port, in lower case; empty when it is none."""
    found = _HOST.fullmatch(host)
    return "" if found is None else (found["name"] or found["address"]).lower().rstrip(".")


def _token(scope: Scope) -> str:
    for value in _values(scope, "authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", ()):
            if protocol.startswith(_BEARER):
                return str(protocol.removeprefix(_BEARER))
    return next(iter(_values(scope, "x-api-key")), "").strip()


_BEARER = "bearer."
"""A browser cannot send headers with a WebSocket, but it can name protocols: `innominatus` and `bearer.TOKEN`."""


async def _bounded(scope: Scope, receive: Receive, most: int) -> Receive:
    """The whole body, read here up to `most` bytes, then given on; no more of it is ever held. Raises Invalid."""
    too_large = Invalid(f"The body is larger than {most:,} bytes.", code="body_too_large")
    for length in _values(scope, "content-length"):
        if not length.isascii() or not length.isdecimal():
            raise Invalid("The length of the body is not a number.", code="malformed_request")
        if len(length) > 18 or int(length) > most:
            raise too_large
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise too_large
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    messages: list[Message] = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]
    if message["type"] != "http.request":
        messages = [message]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
