"""What the conformance suites are run against stands ready, and what they find is told."""

import json
import os
from pathlib import Path

import pytest
from mcp.client import Client, ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, TextContent, TextResourceContents

from engine.services.platform import Platform
from mcp_server.toolsets import TOOLS, Toolset
from tests.conformance.fixture_server import FixtureServer, app_with_sessions, fixture_server
from tests.conformance.suites import INSTALLED, PACKAGE, NoNpx, Suite, run
from tests.support.apps import serving


@pytest.fixture(scope="module")
def fixtures(platform: Platform) -> FixtureServer:
    return fixture_server(platform)


async def _alice(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    del context, params
    return ElicitResult(action="accept", content={"name": "Alice", "username": "alice"})


async def _said(client: Client, tool: str, **arguments: object) -> str:
    (block,) = (await client.call_tool(tool, arguments)).content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.anyio
async def test_the_suites_find_their_tools_beside_ours(fixtures: FixtureServer, era: str) -> None:
    async with Client(fixtures, mode=era) as client:
        named = [tool.name for tool in (await client.list_tools()).tools]
        simple = await _said(client, "test_simple_text")
        failed = await client.call_tool("test_error_handling", {})
        ours = await _said(client, "list_providers")
        unknown = await _said(client, "test_nothing")
    ten = [name for name, kind in TOOLS.items() if kind.toolset is Toolset.CORE]
    assert named[: len(ten)] == ten
    assert {"test_image_content", "json_schema_2020_12_tool"} < set(named[len(ten) :])
    assert simple == "This is a simple text response for testing."
    assert failed.is_error
    assert "mcp-team" in ours
    assert "not_found" in unknown


@pytest.mark.anyio
async def test_the_suites_find_their_resources_and_prompts_beside_ours(fixtures: FixtureServer, era: str) -> None:
    async with Client(fixtures, mode=era) as client:
        listed = {resource.uri for resource in (await client.list_resources()).resources}
        (text,) = (await client.read_resource("test://template/123/data")).contents
        (ours,) = (await client.read_resource("innominatus://providers/mcp-team")).contents
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        told = (await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})).messages
    assert {"test://static-binary", "innominatus://providers/mcp-team"} < listed
    assert isinstance(text, TextResourceContents)
    assert json.loads(text.text)["id"] == "123"
    assert isinstance(ours, TextResourceContents)
    assert {"test_simple_prompt", "deploy-an-application"} < prompts
    assert told[0].content == TextContent(text="Prompt with arguments: arg1='a', arg2='b'")


@pytest.mark.anyio
async def test_the_suites_are_asked_in_the_way_of_their_era(platform: Platform, fixtures: FixtureServer) -> None:
    async with Client(fixtures, elicitation_callback=_alice) as client:
        assert await _said(client, "test_input_required_result_elicitation") == "Hello, Alice!"
    with serving(app_with_sessions(fixture_server(platform))) as url:
        async with Client(url, mode="legacy", elicitation_callback=_alice) as client:
            asked = await _said(client, "test_elicitation", message="Who are you?")
            back = await _said(client, "test_reconnection")
    assert "alice" in asked
    assert back == "The answer was there when the client came back."


def _installed(at: Path, version: str, script: str) -> Path:
    """A folder as npm makes it, with a program of ours in it."""
    package = at / PACKAGE / "package.json"
    program = at / ".bin" / "conformance"
    for file in (package, program):
        file.parent.mkdir(parents=True)
    package.write_text(json.dumps({"version": version}))
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return at


_ONE_BROKEN = """\
for name in tools-list tasks-lifecycle; do
  mkdir -p "$5/server-$name-2026-01-01T00-00-00-000Z"
  echo '[{"name": "Listed", "status": "SUCCESS"}, {"name": "Ordered", "status": "FAILURE", "errorMessage": "at random"}]' \\
    > "$5/server-$name-2026-01-01T00-00-00-000Z/checks.json"
done"""


def test_a_failed_check_is_told_unless_it_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTALLED, str(_installed(tmp_path / "npm", "1.0", _ONE_BROKEN)))
    found = run(Suite("ours", "1.0", "http://127.0.0.1:1/mcp", [("--suite", "all")], "tasks-"), tmp_path)
    assert (found.scenarios, found.counts["SUCCESS"], found.well) == (1, 1, False)
    assert found.failures == ["tools-list: Ordered: at random"]


_ONE_PASSED = """\
mkdir -p "$5/server-ping-2026-01-01T00-00-00-000Z"
echo '[{"name": "Ponged", "status": "SUCCESS"}]' > "$5/server-ping-2026-01-01T00-00-00-000Z/checks.json"
"""


@pytest.mark.parametrize("before", ["", _ONE_PASSED], ids=["at once", "half-way"])
def test_a_suite_that_breaks_off_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setenv(INSTALLED, str(_installed(tmp_path / "npm", "1.0", f"{before}echo Out of luck >&2; exit 1")))
    found = run(Suite("ours", "1.0", "http://127.0.0.1:1/mcp", [("--suite", "all")]), tmp_path)
    assert (found.well, found.last_words) == (False, "Out of luck")


def test_without_npx_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSTALLED, os.devnull)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNpx, match=r"install Node\.js 22"):
        run(Suite("ours", "1.0", "http://127.0.0.1:1/mcp", [()]), tmp_path)
