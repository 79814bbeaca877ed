"""MCP resources, prompts, completions and notices of change, in the eras that have them."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import GetPromptResult, PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from engine.services.masking import spec_text
from engine.services.platform import Platform
from mcp_server import library
from mcp_server.server import create_server
from mcp_server.toolsets import TOOLS, Selection, Toolset
from tests.mcp_server.conftest import AGENT, Caller, score

pytestmark = pytest.mark.anyio

SECRET = "hunter2-pin"
CORE = Selection()
Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def opened(platform: Platform, era: str) -> Open:
    @asynccontextmanager
    async def connected(selection: Selection = CORE) -> AsyncGenerator[Client]:
        async with Client(create_server(platform, actor=AGENT, selection=selection), mode=era) as client:
            yield client

    return connected


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


def said(prompt: GetPromptResult) -> str:
    return "\n".join(message.content.text for message in prompt.messages if isinstance(message.content, TextContent))


async def made(client: Client, name: str, resources: str = "box: {type: parcel}") -> dict[str, object]:
    """The first resource of an application that has been submitted."""
    answer = await Caller(client).ok("submit_spec", spec_yaml=score(name, resources), wait_seconds=20)
    return answer.rows("resources")[0]


async def test_every_resource_says_what_a_tool_says(opened: Open, era: str) -> None:
    name = f"read-{era}"
    every = Selection(frozenset(Toolset))
    async with opened(every) as client:
        box = await made(client, name)
        call = Caller(client)
        pairs = [
            (f"executions/{box['execution_id']}", await call("get_workflow_status", execution_id=box["execution_id"])),
            (f"resources/{box['id']}", await call("get_resource_details", resource_id=box["id"])),
            (f"graph/{name}", await call("get_graph", application=name)),
            ("golden-paths/greet", await call("list_golden_paths", search="greet")),
            ("providers/mcp-team", await call("get_provider_details", provider_name="mcp-team")),
        ]
        for uri, answer in pairs:
            text = await read(client, f"innominatus://{uri}")
            assert answer.text.startswith(text.partition("\nnext:")[0]), uri
        spec = await read(client, f"innominatus://specs/{name}")
        listed = await call("list_specs", application=name, detail="full")
    assert spec == listed["spec"] == score(name, "box: {type: parcel}")


async def test_a_spec_is_shown_without_its_secrets(opened: Open, era: str) -> None:
    name = f"sealed-{era}"
    async with opened() as client:
        await made(client, name, f"box: {{type: parcel, params: {{pin: {SECRET}, size: large}}}}")
        spec = await read(client, f"innominatus://specs/{name}")
        listed = await Caller(client).ok("list_specs", application=name, detail="full")
    assert SECRET not in spec + listed.text
    assert "pin: '***'" in spec
    assert "size: large" in spec


def test_what_no_provider_speaks_of_any_more_is_masked_whole(platform: Platform) -> None:
    source = score("left", f"box: {{type: no-longer-offered, params: {{pin: {SECRET}}}}}")
    assert SECRET not in spec_text(platform, source, {})
    assert "no-longer-offered" in spec_text(platform, source, {})


async def test_logs_are_read_at_an_address_of_their_own(opened: Open, era: str) -> None:
    async with opened() as client:
        bad = await made(client, f"logged-{era}", "bad: {type: brittle}")
        logs = await read(client, f"innominatus://executions/{bad['execution_id']}/logs")
    assert "  | the disk is on fire" in logs
    assert "\x1b" not in logs


async def test_resources_of_another_environment_have_it_in_their_address(opened: Open, era: str) -> None:
    name = f"staged-{era}"
    async with opened() as client:
        await Caller(client).ok("submit_spec", spec_yaml=score(name), environment="staging")
        listed = {resource.uri for resource in (await client.list_resources()).resources}
        spec = await read(client, f"innominatus://specs/{name}?environment=staging")
        with pytest.raises(MCPError, match=r"It exists in: staging"):
            await read(client, f"innominatus://specs/{name}")
    assert f"innominatus://specs/{name}?environment=staging" in {str(uri) for uri in listed}
    assert spec == score(name)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("innominatus://specs/no-such-app", "There is no application"),
        ("innominatus://executions/999999", "There is no execution `999999`"),
        ("innominatus://executions/one", "An id is a whole number"),
        ("innominatus://executions/" + "9" * 40, "An id is a whole number"),
        ("innominatus://resources/0", "no such"),
        ("innominatus://golden-paths/gret", "Did you mean `greet`?"),
        ("innominatus://providers/../secrets", "resources/templates/list"),
        ("innominatus://secrets/x", "resources/templates/list"),
        ("innominatus://specs/x?environmen=y", "means nothing in this address"),
        ("file:///etc/passwd", "resources/templates/list"),
    ],
)
async def test_an_address_that_leads_nowhere_says_what_would(opened: Open, uri: str, words: str) -> None:
    async with opened() as client:
        with pytest.raises(MCPError, match=re.escape(words)):
            await client.read_resource(uri)


async def test_templates_cover_every_resource_and_their_arguments_are_completed(opened: Open, era: str) -> None:
    name = f"complete-{era}"
    async with opened() as client:
        box = await made(client, name)
        templates = {template.uri_template for template in (await client.list_resource_templates()).resource_templates}

        async def complete(template: str, argument: str, value: str) -> list[str]:
            ref = ResourceTemplateReference(type="ref/resource", uri=f"innominatus://{template}")
            found = await client.complete(ref, {"name": argument, "value": value})
            return list(found.completion.values)

        apps = await complete("specs/{app}{?environment}", "app", "complete-")
        ids = await complete("executions/{id}", "id", "")
        paths = await complete("golden-paths/{name}", "name", "gr")
        providers = await complete("providers/{name}", "name", "m")
        nothing = await complete("specs/{app}", "what", "")
        prompt = await client.complete(
            PromptReference(type="ref/prompt", name="write-a-provider"), {"name": "resource_type", "value": "par"}
        )
    assert templates == {f"innominatus://{kind.template}" for kind in library.KINDS.values()}
    assert name in apps
    assert str(box["execution_id"]) in ids
    assert (paths, providers, nothing) == (["greet"], ["mcp-team"], [])
    assert prompt.completion.values == ["parcel"]


async def test_prompts_lead_through_tools_that_are_offered(opened: Open) -> None:
    asked = {
        "deploy-an-application": {"application": "shop"},
        "diagnose-a-failure": {},
        "onboard-a-team": {"team": "red"},
        "write-a-provider": {"resource_type": "parcel"},
    }
    for selection in (Selection(), Selection(frozenset(Toolset)), Selection(read_only=True)):
        async with opened(selection) as client:
            assert {prompt.name for prompt in (await client.list_prompts()).prompts} == set(asked)
            for name, arguments in asked.items():
                text = said(await client.get_prompt(name, arguments)).partition("\n---\n")[0]  # behind it is data
                named = {tool for tool in TOOLS if re.search(rf"\b{tool}\b", text)}
                assert all(selection.offers(TOOLS[tool]) for tool in named), (name, named)


async def test_the_example_in_the_prompt_for_authors_is_a_valid_provider(opened: Open) -> None:
    async with opened(Selection(frozenset(Toolset))) as client:
        text = said(await client.get_prompt("write-a-provider", {"resource_type": "queue"}))
        files = dict(re.findall(r"^`([\w./-]+)`:\n```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        verdict = await Caller(client).ok("validate_provider", files=files)
    assert "provider.yaml" in files
    assert (verdict["valid"], verdict["resource_types"], verdict.rows("problems")) == (True, ["note"], [])
    assert len(text) < 5000


async def test_the_prompt_about_a_failure_brings_it_as_data(opened: Open, era: str) -> None:
    name = f"prompted-{era}"
    async with opened() as client:
        bad = await made(client, name, "bad: {type: brittle}")
        listed = said(await client.get_prompt("diagnose-a-failure", {"application": name}))
        one = said(await client.get_prompt("diagnose-a-failure", {"execution_id": str(bad["execution_id"])}))
        with pytest.raises(MCPError, match="There is no execution"):
            await client.get_prompt("diagnose-a-failure", {"execution_id": "999999"})
        with pytest.raises(MCPError, match="Did you mean `diagnose-a-failure`"):
            await client.get_prompt("diagnose-failure")
        with pytest.raises(MCPError, match="needs `team`"):
            await client.get_prompt("onboard-a-team")
    assert f"| resource {bad['id']} " in listed
    assert "cause: provider" in listed
    assert "\x1b" not in listed + one
    assert "the disk is on fire" in one


async def test_a_client_that_listens_is_told_what_changed(platform: Platform) -> None:
    name = "listened"
    async with Client(create_server(platform, actor=AGENT)) as client:
        box = await made(client, name)
        mine = [f"innominatus://specs/{name}", f"innominatus://resources/{box['id']}"]
        told: list[str] = []
        async with client.listen(resource_subscriptions=mine, resources_list_changed=True) as changes:
            await anyio.sleep(0.1)
            changed = score(name, "box: {type: parcel, params: {size: large}}")
            await Caller(client).ok("submit_spec", spec_yaml=changed, wait_seconds=20)
            with anyio.fail_after(10):
                async for change in changes:
                    told.append(str(getattr(change, "uri", type(change).__name__)))
                    if {*mine, "ResourcesListChanged"} <= set(told):
                        break
    assert set(told) == {*mine, "ResourcesListChanged"}


def test_an_address_is_read_as_it_was_written() -> None:
    for kind in library.KINDS:
        for name in ("shop", "a b/c", "ü", "12"):
            at = library.parse(library.uri(kind, name))
            assert (at.kind, at.name) == (kind, name)
    assert library.parse(library.uri("graph", "x", "a&b")).environment == "a&b"
