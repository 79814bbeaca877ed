"""The same server over HTTP, through the forwarder and over stdio."""

import http.client
import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import PromptReference
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.services.platform import Platform
from mcp_server.forward import forwarder
from mcp_server.http import http_app
from mcp_server.server import PlatformServer, create_server
from mcp_server.toolsets import TOOLS, Selection, Toolset
from tests.mcp_server.conftest import AGENT, PROVIDER, Caller, score
from tests.support.apps import serving

TOKEN = "inn_for_tests"


class Guard:
    """Lets in who brings the token, as the shared middleware does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"authorization", f"Bearer {TOKEN}".encode()) not in scope["headers"]:
            await PlainTextResponse("no", status_code=401)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def url(server: PlatformServer) -> Iterator[str]:
    with serving(Guard(http_app(server, allowed_hosts=["platform.example"]))) as address:
        yield address


def authorised() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)


@pytest.mark.anyio
async def test_http_serves_both_eras_and_tells_progress(url: str, era: str) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    from mcp.client.streamable_http import streamable_http_client

    async with authorised() as http, Client(streamable_http_client(url, http_client=http), mode=era) as client:
        assert len((await client.list_tools()).tools) == 10
        call = Caller(client)
        made = await call.ok("submit_spec", spec_yaml=score(f"http-{era}", "box: {type: parcel}"), wait_seconds=20)
        arguments = {"workflow_name": "ask", "wait_seconds": 1}
        await client.call_tool("execute_workflow", arguments, progress_callback=note)
    assert made["status"] == "active"
    assert told == ["ask is waiting: approve"]


def test_blanks_around_a_header_are_not_part_of_it(url: str) -> None:
    """As RFC 9110 has it; a proxy may leave them there."""
    named: dict[str, object] = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in named.items()}
    params = {"name": "list_providers", "arguments": {}, "_meta": meta}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {TOKEN}",
        "MCP-Protocol-Version": "2026-07-28 ",
        "Mcp-Method": " tools/call\t",
        "Mcp-Name": "  list_providers  ",
    }
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    connection.request("POST", "/mcp", body, headers)
    answer = connection.getresponse()
    assert (answer.status, b"mcp-team" in answer.read()) == (200, True)
    connection.close()


@pytest.mark.anyio
async def test_a_client_over_http_gets_what_it_asks_for_but_no_more_than_is_allowed(platform: Platform) -> None:
    from mcp.client.streamable_http import streamable_http_client

    allowed = Selection(frozenset({Toolset.CORE, Toolset.OPERATE}))
    app = http_app(create_server(platform, actor=AGENT, selection=allowed))

    async def offered(**headers: str) -> set[str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            httpx2.AsyncClient(headers=named, timeout=30) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return {tool.name for tool in (await client.list_tools()).tools}

    with serving(app) as url:
        every = await offered()
        core = await offered(X_MCP_Toolsets="core,author")
        reading = await offered(X_MCP_Readonly="true")
        with pytest.raises(BaseExceptionGroup) as refused:
            await offered(X_MCP_Toolsets="cor")
        async with Client(forwarder(url, "", Selection(frozenset({Toolset.OPERATE}), read_only=True))) as near:
            forwarded = {tool.name for tool in (await near.list_tools()).tools}
    assert "Toolsets are `core`, `operate`, `author`" in "".join(traceback.format_exception(refused.value))
    assert every == {name for name, kind in TOOLS.items() if kind.toolset is not Toolset.AUTHOR}
    assert core == {name for name, kind in TOOLS.items() if kind.toolset is Toolset.CORE}
    assert reading == {name for name in every if not TOOLS[name].writes}
    assert forwarded == {"get_graph", "list_events"}


@pytest.mark.anyio
async def test_the_forwarder_passes_on_what_changes_at_the_server(server: PlatformServer, url: str) -> None:
    name = "heard-from-afar"
    async with Client(forwarder(url, TOKEN)) as near:
        spec = f"innominatus://specs/{name}"
        async with near.listen(resource_subscriptions=[spec]) as changes:
            async with Client(server) as far:
                await Caller(far).ok("submit_spec", spec_yaml=score(name))
            with anyio.fail_after(10):
                assert await anext(changes) == ResourceUpdated(uri=spec)


@pytest.mark.anyio
@pytest.mark.parametrize(("given", "told"), [("", "none was given"), ("wrong", "does not accept the token")])
async def test_the_forwarder_says_what_is_wrong_with_the_token(url: str, given: str, told: str) -> None:
    async with Client(forwarder(url, given)) as near:
        answer = await Caller(near)("list_providers")
    assert told in answer.text
    assert "INNOMINATUS_API_KEY" in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "platform.example:8081"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
async def test_http_answers_only_for_its_own_hosts_and_origins(url: str, headers: dict[str, str], status: int) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accept = {"Accept": "application/json, text/event-stream"}
    async with authorised() as http:
        answer = await http.post(url, json=ping, headers={**accept, **headers})
    assert answer.status_code == status


@pytest.mark.anyio
async def test_the_forwarder_says_what_the_server_says(server: PlatformServer, url: str, era: str) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async with Client(forwarder(url, TOKEN), mode=era) as near, Client(server, mode=era) as far:
        assert (await near.list_tools()).tools == (await far.list_tools()).tools
        said, own = (near.instructions or "").splitlines(), (far.instructions or "").splitlines()
        assert [line for line in said if line not in own] == [said[-2]]
        assert "tools/list says which" in said[-2], "the server behind may offer less"
        call = Caller(near)
        direct = await Caller(far).ok("list_golden_paths")
        forwarded = await call.ok("list_golden_paths")
        refused = await call("submit_spec", spec_yam="x")
        arguments = {"workflow_name": "ask", "wait_seconds": 1}
        await near.call_tool("execute_workflow", arguments, progress_callback=note)
        assert (await near.list_resources()).resources == (await far.list_resources()).resources != []
        assert (await near.list_prompts()).prompts == (await far.list_prompts()).prompts != []
        path = "innominatus://golden-paths/greet"
        assert (await near.read_resource(path)).contents == (await far.read_resource(path)).contents
        with pytest.raises(MCPError, match="Did you mean `greet`"):
            await near.read_resource("innominatus://golden-paths/gret")
        given = (PromptReference(type="ref/prompt", name="write-a-provider"), {"name": "resource_type", "value": "p"})
        assert (await near.complete(*given)).completion == (await far.complete(*given)).completion
    assert (forwarded.text, forwarded.data) == (direct.text, direct.data)
    assert "did you mean `spec_yaml`?" in refused.text
    assert told == ["ask is waiting: approve"]


@pytest.mark.anyio
async def test_the_forwarder_explains_a_server_that_is_gone_or_wants_another_token(url: str, era: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with Client(forwarder(f"http://127.0.0.1:{port}/mcp", TOKEN), mode=era) as client:
        gone = await client.call_tool("list_specs", {})
    async with Client(forwarder(url, "inn_wrong"), mode=era) as client:
        stranger = await client.call_tool("list_specs", {})
    assert gone.is_error
    assert "does not answer" in gone.content[0].model_dump()["text"]
    assert stranger.is_error
    assert "INNOMINATUS_API_KEY" in stranger.content[0].model_dump()["text"]
    assert "inn_wrong" not in stranger.content[0].model_dump()["text"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "INNOMINATUS_DATA_DIR": str(tmp_path / "data"),
        "INNOMINATUS_PROVIDERS": str(PROVIDER),
        "INNOMINATUS_GRACE_SECONDS": "0",
        "INNOMINATUS_PORT": "0",
    }


COMMAND = ["-m", "cli.server", "mcp"]


@pytest.mark.anyio
async def test_stdio_is_the_whole_platform(environment: dict[str, str]) -> None:
    here = StdioServerParameters(command=sys.executable, args=COMMAND, env=environment)
    async with Client(here) as client:
        call = Caller(client)
        made = await call.ok("submit_spec", spec_yaml=score("stdio", "box: {type: parcel}"), wait_seconds=20)
        failed = await call.ok("submit_spec", spec_yaml=score("bad", "bad: {type: brittle}"), wait_seconds=20)
    assert made["status"] == "active"
    assert failed["status"] == "failed"


def test_stdout_carries_nothing_but_the_protocol(environment: dict[str, str]) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    said: list[dict[str, object]] = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_specs", "arguments": {}}},
    ]
    with subprocess.Popen(
        [sys.executable, *COMMAND], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("not json\n" + "".join(f"{json.dumps(message)}\n" for message in said))
        process.stdin.flush()
        heard: list[dict[str, object]] = []
        for line in process.stdout:
            heard.append(json.loads(line))
            if heard[-1].get("id") == 2:
                break
        process.stdin.close()
        heard += [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 0
    assert all(message["jsonrpc"] == "2.0" for message in heard)
    assert {1, 2} <= {message.get("id") for message in heard}
