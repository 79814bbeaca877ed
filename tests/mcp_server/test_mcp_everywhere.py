"""Every tool over every transport, in both eras: the same story, told by the same calls."""

import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import cast

import httpx2
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from cli import web
from cli.compose import Running
from engine.config import Settings
from engine.domain.values import JsonObject
from engine.services.platform import Platform
from mcp_server.answers import rendered
from mcp_server.server import create_server
from mcp_server.toolsets import TOOLS, Selection, Toolset
from tests.mcp_server.conftest import AGENT, PROVIDER, Answer, Caller, score
from tests.support.apps import serving

pytestmark = pytest.mark.anyio

TOKEN = "inn_for_tests"
EVERY = Selection(frozenset(Toolset))
Open = Callable[[], AbstractAsyncContextManager[Client]]


class Told(Caller):
    """Remembers which tools were called, and holds both forms of every answer to each other."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.called: set[str] = set()

    async def __call__(self, tool: str, /, **arguments: object) -> Answer:
        answer = await super().__call__(tool, **arguments)
        assert answer.text == rendered(cast("JsonObject", answer.data))
        self.called.add(tool)
        return answer


@pytest.fixture(params=["memory", "http", "stdio"])
def opened(request: pytest.FixtureRequest, platform: Platform, era: str, tmp_path: Path) -> Open:
    @asynccontextmanager
    async def memory() -> AsyncGenerator[Client]:
        async with Client(create_server(platform, actor=AGENT, selection=EVERY), mode=era) as client:
            yield client

    @asynccontextmanager
    async def http() -> AsyncGenerator[Client]:
        """The app that `innominatus serve` runs, token and all."""
        settings = Settings.model_validate({**platform.settings.model_dump(), "mcp_toolsets": "all"})
        shown = Platform(platform.store, settings, platform.providers, platform.signals)
        app = web.doors(Running(shown, None, None, StringIO()), token=TOKEN)
        headers = {"X-API-Key": TOKEN}
        with serving(app) as url:
            async with (
                httpx2.AsyncClient(headers=headers, timeout=30) as far,
                Client(streamable_http_client(url, http_client=far), mode=era) as client,
            ):
                yield client

    @asynccontextmanager
    async def stdio() -> AsyncGenerator[Client]:
        given = {
            "INNOMINATUS_DATA_DIR": str(tmp_path / "data"),
            "INNOMINATUS_PROVIDERS": str(PROVIDER),
            "INNOMINATUS_GRACE_SECONDS": "0",
            "INNOMINATUS_PORT": "0",
        }
        program = StdioServerParameters(
            command=sys.executable,
            args=["-m", "cli.server", "mcp", "--toolsets", "all"],
            env={**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, **given},
        )
        async with Client(program, mode=era) as client:
            yield client

    return {"memory": memory, "http": http, "stdio": stdio}[str(request.param)]


async def test_every_tool_works_over_every_transport_in_both_eras(
    opened: Open, era: str, request: pytest.FixtureRequest
) -> None:
    name = f"all-{era}-{request.node.callspec.params['opened']}"
    async with opened() as client:
        call = Told(client)
        offered = {tool.name for tool in (await client.list_tools()).tools}
        await _look_around(call)
        await _deploy(call, name)
        await _run(call, name)
        await _clean_up(call, name)
    assert call.called == offered == set(TOOLS)


async def _look_around(call: Told) -> None:
    files = {path.relative_to(PROVIDER).as_posix(): path.read_text() for path in PROVIDER.rglob("*.yaml")}
    await call.ok("list_providers")
    await call.ok("list_golden_paths")
    await call.ok("get_provider_details", provider_name="mcp-team")
    await call.ok("explain_capability", resource_type="parcel")
    assert (await call.ok("validate_provider", files=files))["valid"] is True


async def _deploy(call: Told, name: str) -> None:
    made = await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
    assert made["status"] == "active"
    details = await call.ok("get_resource_details", resource_id=made.rows("resources")[0]["id"])
    assert details["state"] == "active"
    for tool in ("list_specs", "list_resources", "list_workflow_executions", "list_events", "get_graph"):
        await call.ok(tool, application=name)


async def _run(call: Told, name: str) -> None:
    greeted = await call.ok("execute_workflow", workflow_name="greet", inputs={"name": "Ann"}, wait_seconds=20)
    status = await call.ok("get_workflow_status", execution_id=greeted["execution_id"])
    assert status["outputs"] == {"text": "Hello, Ann", "word": "***"}
    waiting = await call.ok("execute_workflow", workflow_name="ask")
    ended = await call.ok("cancel", execution_id=waiting["execution_id"], wait_seconds=20)
    assert ended["status"] == "cancelled"
    bad = await call.ok("submit_spec", spec_yaml=score(f"{name}-bad", "bad: {type: brittle}"), wait_seconds=20)
    again = await call.ok("retry", resource_id=bad.rows("resources")[0]["id"], wait_seconds=20)
    assert (again["status"], again["attempt"]) == ("failed", 2)


async def _clean_up(call: Told, name: str) -> None:
    inputs = {"app_name": name, "resource_name": "extra"}
    extra = await call.ok("execute_workflow", workflow_name="provision-parcel", inputs=inputs, wait_seconds=20)
    one = await call.ok("delete_resource", resource_id=extra["resource_id"], dry_run=True)
    await call.ok("delete_resource", resource_id=extra["resource_id"], plan_hash=one["plan_hash"])
    plan = await call.ok("delete_application", application=name, dry_run=True)
    while plan.rows("plan") and any("being deleted" in str(row["why"]) for row in plan.rows("plan")):
        plan = await call.ok("delete_application", application=name, dry_run=True)
    gone = await call.ok("delete_application", application=name, plan_hash=plan["plan_hash"], wait_seconds=20)
    assert gone["status"] == "deleted"
