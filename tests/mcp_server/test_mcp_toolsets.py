"""Tools beyond the ten: who gets them, and what they do."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from mcp.client import Client

from cli import compose
from engine.config import Settings
from engine.errors import Invalid
from engine.services.platform import Platform
from mcp_server.server import PlatformServer, create_server
from mcp_server.toolsets import TOOLS, Selection, Toolset, parse_toolsets, selection_of
from tests.mcp_server.conftest import AGENT, PROVIDER, Caller, score

pytestmark = pytest.mark.anyio

EVERY = Selection(frozenset(Toolset))
Open = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def connect(platform: Platform, era: str) -> Open:
    @asynccontextmanager
    async def connected(selection: Selection = EVERY) -> AsyncGenerator[Caller]:
        async with Client(create_server(platform, actor=AGENT, selection=selection), mode=era) as client:
            yield Caller(client)

    return connected


async def names(caller: Caller) -> set[str]:
    return {tool.name for tool in (await caller.client.list_tools()).tools}


@pytest.mark.parametrize("chosen", [{"core"}, {"operate"}, {"core", "author"}, {"core", "operate", "author"}])
@pytest.mark.parametrize("read_only", [False, True])
async def test_a_client_is_offered_the_chosen_toolsets_and_nothing_else(
    connect: Open, chosen: set[str], *, read_only: bool
) -> None:
    selection = Selection(frozenset(map(Toolset, chosen)), read_only=read_only)
    async with connect(selection) as call:
        offered = await names(call)
    assert offered == {
        name for name, kind in TOOLS.items() if kind.toolset in chosen and not (read_only and kind.writes)
    }


async def test_what_is_not_offered_cannot_be_called_and_says_how_to_get_it(connect: Open) -> None:
    async with connect(Selection()) as call:
        other = await call("retry", execution_id=1)
    async with connect(Selection(read_only=True)) as call:
        writing = await call("submit_spec", spec_yaml=score("nothing"))
    assert other.error["code"] == writing.error["code"] == "tool_not_offered"
    assert "`operate`" in other.text
    assert "only reads" in writing.text


async def test_next_names_only_calls_that_can_be_made(connect: Open, era: str) -> None:
    spec = score(f"next-{era}", "bad: {type: brittle}")
    async with connect(Selection()) as call:
        await call.ok("submit_spec", spec_yaml=spec, wait_seconds=20)
        failed = (await call.ok("list_workflow_executions", application=f"next-{era}", status="failed")).rows()[0]["id"]
        core = await call.ok("get_workflow_status", execution_id=failed)
    async with connect(EVERY) as call:
        every = await call.ok("get_workflow_status", execution_id=failed)
        other = await call("list_golden_paths", nonsense=True)
    async with connect(Selection(read_only=True)) as call:
        paths = await call.ok("list_golden_paths")
    assert f"innominatus-ctl workflow retry {failed}" in core.text
    assert f"retry(execution_id={failed}, wait_seconds=45)" in every.text
    assert "execute_workflow" not in paths.text
    assert other.is_error


async def test_instructions_name_only_tools_that_are_offered(platform: Platform) -> None:
    for selection in (Selection(), EVERY, Selection(read_only=True), Selection(frozenset({Toolset.AUTHOR}))):
        told = create_server(platform, actor=AGENT, selection=selection).instructions or ""
        assert not {name for name, kind in TOOLS.items() if name in told and not selection.offers(kind)}


def test_toolsets_are_named_by_commas_or_all() -> None:
    assert parse_toolsets(" Core, operate ") == {Toolset.CORE, Toolset.OPERATE}
    assert parse_toolsets("all") == frozenset(Toolset)
    with pytest.raises(Invalid) as refused:
        parse_toolsets("core,opperate,x")
    assert [(found.path, found.fix) for found in refused.value.problems] == [
        ("opperate", "did you mean `operate`?"),
        ("x", ""),
    ]
    with pytest.raises(Invalid, match="no toolsets"):
        parse_toolsets(" , ")


def test_settings_say_what_is_offered_at_most() -> None:
    asked = Settings(mcp_toolsets="core,author", mcp_read_only=True)
    assert selection_of(asked) == Selection(frozenset({Toolset.CORE, Toolset.AUTHOR}), read_only=True)


async def test_a_failed_execution_and_a_failed_resource_are_taken_up_again(connect: Open, era: str) -> None:
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(f"again-{era}", "bad: {type: brittle}"), wait_seconds=20)
        (row,) = [row for row in made.rows("resources") if row["state"] == "failed"]
        first = await call.ok("retry", execution_id=row["execution_id"], wait_seconds=20)
        second = await call.ok("retry", resource_id=row["id"], wait_seconds=20)
        neither = await call("retry")
        both = await call("retry", resource_id=1, execution_id=1)
    assert (first["status"], first["attempt"]) == ("failed", 2)
    assert (second["status"], second["attempt"]) == ("failed", 3)
    assert "one of `execution_id` and `resource_id` is needed" in neither.text
    assert "only one of `execution_id` and `resource_id` can be given" in both.text


async def test_a_retry_that_cannot_help_runs_with_a_warning(connect: Open, era: str) -> None:
    late = "box: {type: parcel}, late: {type: parcel, params: {pin: '${resources.box.address.deep}'}}"
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(f"hopeless-{era}", late), wait_seconds=20)
        (row,) = [row for row in made.rows("resources") if row["name"] == "late"]
        again = await call.ok("retry", resource_id=row["id"], wait_seconds=20)
        bad = await call.ok("submit_spec", spec_yaml=score(f"hopeful-{era}", "bad: {type: brittle}"), wait_seconds=20)
        (frail,) = [row for row in bad.rows("resources") if row["state"] == "failed"]
        other = await call.ok("retry", resource_id=frail["id"], wait_seconds=20)
    assert (again["status"], again["attempt"]) == ("failed", 2)
    assert "a retry alone is pointless" in str(again["warning"])
    assert "warning" not in other.data


async def test_what_runs_is_cancelled_and_what_has_ended_is_not(connect: Open) -> None:
    async with connect() as call:
        run = await call.ok("execute_workflow", workflow_name="ask")
        stopped = await call.ok("cancel", execution_id=run["execution_id"], wait_seconds=20)
        again = await call("cancel", execution_id=run["execution_id"])
    assert stopped["status"] == "cancelled"
    assert again.error["code"] == "already_ended"


async def test_an_application_is_deleted_by_the_hash_of_a_dry_run_only(connect: Open, era: str) -> None:
    name = f"gone-{era}"
    async with connect() as call:
        await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
        refused = await call("delete_application", application=name)
        plan = await call.ok("delete_application", application=name, dry_run=True)
        done = await call.ok("delete_application", application=name, plan_hash=plan["plan_hash"], wait_seconds=20)
        unknown = await call("delete_application", application="gone-with-the-wind")
    assert refused.error["code"] == "plan_hash_required"
    assert {row["action"] for row in plan.rows("plan")} == {"delete"}
    given = f'application="{name}", environment="default", wait_seconds=45, plan_hash="{plan["plan_hash"]}"'
    assert plan["next"] == [f"delete_application({given})"]
    assert done["status"] == "deleted"
    assert unknown.error["code"] == "application_not_found"


async def test_a_resource_beside_the_spec_is_deleted_alone(connect: Open, era: str) -> None:
    name = f"alone-{era}"
    inputs = {"app_name": name, "resource_name": "extra"}
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
        declared = made.rows("resources")[0]["id"]
        extra = await call.ok("execute_workflow", workflow_name="provision-parcel", inputs=inputs, wait_seconds=20)
        ours = await call("delete_resource", resource_id=declared, dry_run=True)
        refused = await call("delete_resource", resource_id=extra["resource_id"])
        plan = await call.ok("delete_resource", resource_id=extra["resource_id"], dry_run=True)
        done = await call.ok("delete_resource", resource_id=extra["resource_id"], plan_hash=plan["plan_hash"])
        run = cast("list[int]", done["execution_ids"])[0]
        again = await call("delete_resource", resource_id=extra["resource_id"], plan_hash=plan["plan_hash"])
        left = await call.ok("list_resources", application=name)
    assert ours.error["code"] == "declared_by_spec"
    assert "prune" in ours.text
    assert refused.error["code"] == "plan_hash_required"
    assert [(row["action"], row["name"]) for row in plan.rows("plan")] == [("delete", "extra")]
    assert f"delete_resource(resource_id={extra['resource_id']}, plan_hash=" in str(plan["next"])
    assert done["applied"] is True
    assert done.next == [f"get_workflow_status(execution_id={run}, wait_seconds=45)"]
    assert again.is_error
    assert "box" in [row["name"] for row in left.rows()]


async def test_the_graph_and_the_events_of_an_application_are_shown(connect: Open, era: str) -> None:
    name = f"seen-{era}"
    async with connect() as call:
        await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
        graph = await call.ok("get_graph", application=name)
        past = await call.ok("get_graph", application=name, at="2001-01-01T00:00:00")
        wrong = await call("get_graph", application=name, at="yesterday")
        events = await call.ok("list_events", application=name, types="resource")
        rest = await call.ok("list_events", application=name, cursor=events["next_cursor"])
        first = await call.ok("list_events", application=name, limit=1)
    edges = [(row["from"], row["how"], row["to"]) for row in graph.rows("edges")]
    assert (f"application {name}", "contains", f"spec {name} v1") in edges
    assert past.rows("nodes") == []
    assert "is no moment" in wrong.text
    assert {"resource.active", "resource.requested"} <= {row["what"] for row in events.rows()}
    assert all(str(row["what"]).startswith("resource.") for row in events.rows())
    assert {row["actor"] for row in events.rows()} >= {"agent:tester"}
    assert rest.rows() == []
    assert len(first.rows()) == 1


async def test_a_provider_is_judged_without_installing_it(connect: Open) -> None:
    files = {path.relative_to(PROVIDER).as_posix(): path.read_text() for path in PROVIDER.rglob("*.yaml")}
    broken = {**files, "workflows/greet.yaml": files["workflows/greet.yaml"].replace("type: set", "type: sett")}
    other = {**files, "provider.yaml": files["provider.yaml"].replace("name: mcp-team", "name: rival")}
    async with connect() as call:
        good = await call.ok("validate_provider", files=files)
        bad = await call.ok("validate_provider", files=broken)
        clash = await call.ok("validate_provider", files=other)
        none = await call.ok("validate_provider", files={})
        listed = await call.ok("list_providers")
    assert (good["valid"], good.rows("problems")) == (True, [])
    (problem,) = bad.rows("problems")
    assert (bad["valid"], problem["file"], problem["line"]) == (False, "workflows/greet.yaml", 10)
    assert "`set`" in str(problem["fix"])
    assert bad.next == clash.next == none.next == ["validate_provider(files=<corrected>)"]
    assert "parcel" in str(clash.rows("problems"))
    assert clash["valid"] is False
    assert none["valid"] is False
    assert [row["name"] for row in listed.rows()] == ["mcp-team"]


async def test_params_are_shown_with_what_they_mean(tmp_path: Path) -> None:
    running = compose.start(Settings(data_dir=tmp_path, providers="", health_seconds=0), run_engine=False)
    try:
        async with Client(create_server(running.platform, actor=AGENT)) as client:
            details = await Caller(client).ok("get_provider_details", provider_name="builtin")
    finally:
        running.close()
    (secret,) = [row for row in details.rows("resource_types") if row["type"] == "secret"]
    assert secret["params"] == "length: integer = 32 - Number of characters."


async def test_a_capability_tells_what_a_spec_would_lead_to(connect: Open) -> None:
    async with connect() as call:
        parcel = await call.ok("explain_capability", resource_type="parcel")
        unknown = await call("explain_capability", resource_type="parsel")
    assert parcel["provider"] == "mcp-team 1.2.3"
    assert ("create", "provision-parcel", "pack (set)") in [tuple(row.values()) for row in parcel.rows("operations")]
    assert "token (secret)" in str(parcel["outputs"])
    assert parcel["deletion"] == "by its delete workflow"
    assert "Did you mean `parcel`?" in unknown.text


async def test_details_say_why_a_resource_is_there(connect: Open, era: str) -> None:
    name = f"why-{era}"
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
        extra = await call.ok(
            "execute_workflow", workflow_name="provision-parcel", inputs={"app_name": name}, wait_seconds=20
        )
        first = await call.ok("get_resource_details", resource_id=made.rows("resources")[0]["id"], include=["why"])
        beside = await call.ok("get_resource_details", resource_id=extra["resource_id"], include=["why"])
        wrong = await call("get_resource_details", resource_id=extra["resource_id"], include=["whi"])
    assert f"version 1 of the spec of `{name}` declares it, submitted by agent:tester" in str(first["why"])
    assert "`mcp-team` is the active provider of `parcel`" in str(first["why"])
    assert "outputs" not in first.data
    assert "no spec declares it" in str(beside["why"])
    assert "must be one of 'outputs', 'history', 'graph' or 'why'" in wrong.text


async def test_full_lists_have_more_columns_and_the_same_rows(connect: Open, era: str) -> None:
    name = f"wide-{era}"
    async with connect() as call:
        await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}"), wait_seconds=20)
        for tool in ("list_specs", "list_resources", "list_workflow_executions"):
            concise = await call.ok(tool, application=name)
            full = await call.ok(tool, application=name, detail="full")
            assert [row["id"] for row in full.rows()] == [row["id"] for row in concise.rows()]
            assert concise.rows()[0].keys() < full.rows()[0].keys()


async def test_an_execution_is_shown_with_one_steps_log_and_every_attempt(connect: Open, era: str) -> None:
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(f"steps-{era}", "bad: {type: brittle}"), wait_seconds=20)
        run = next(row["execution_id"] for row in made.rows("resources") if row["state"] == "failed")
        await call.ok("retry", execution_id=run, wait_seconds=20)
        full = await call.ok("get_workflow_status", execution_id=run, detail="full")
        one = await call.ok("get_workflow_status", execution_id=run, step="break")
        none = await call("get_workflow_status", execution_id=run, step="brake")
    assert [row["attempt"] for row in full.rows("steps")] == [1, 2]
    assert "the disk is on fire" in one.text
    assert "Did you mean `break`?" in none.text


async def test_catalogs_are_searched_and_read_page_by_page(server: PlatformServer) -> None:
    async with Client(server) as client:
        call = Caller(client)
        first = await call.ok("list_golden_paths", limit=1)
        rest = await call.ok("list_golden_paths", cursor=first["next_cursor"])
        found = await call.ok("list_golden_paths", search="HELLO")
        none = await call.ok("list_providers", search="nowhere")
        by_type = await call.ok("list_providers", search="brittle")
    assert [row["name"] for row in first.rows() + rest.rows()] == ["ask", "greet"]
    assert [row["name"] for row in found.rows()] == ["greet"]
    assert none.rows() == []
    assert [row["name"] for row in by_type.rows()] == ["mcp-team"]
