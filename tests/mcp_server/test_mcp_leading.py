"""Where lists and details lead: to what needs a look, to what is waited for, and never back to what is past."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp.client import Client

from cli import compose
from engine.config import Settings
from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.services import executions
from engine.services.platform import Platform
from mcp_server.server import create_server
from mcp_server.toolsets import Selection, Toolset
from tests.mcp_server.conftest import AGENT, Answer, Caller, Connect
from tests.support import team
from tests.support.platforms import until
from tests.support.score import score

pytestmark = pytest.mark.anyio

READS = {"type": "database", "params": {"note": "${resources.first.host}"}}


@contextmanager
def started(folder: Path) -> Generator[Platform]:
    settings = Settings(data_dir=folder / "data", providers=str(team.write(folder / "team")), health_seconds=0)
    running = compose.start(settings)
    yield running.platform
    running.close(grace=0)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with started(tmp_path_factory.mktemp("team")) as platform:
        yield platform


def by_name(answer: Answer) -> dict[object, dict[str, object]]:
    return {row["name"]: row for row in answer.rows("resources")}


def look(row: dict[str, object]) -> str:
    return f"get_resource_details(resource_id={row['id']})"


def watch(row: dict[str, object]) -> str:
    return f"get_workflow_status(execution_id={row['execution_id']}, wait_seconds=45)"


async def test_an_empty_list_leads_to_what_can_be_asked_for(connect: Connect, era: str, tmp_path: Path) -> None:
    with started(tmp_path) as empty:
        async with Client(create_server(empty, actor=AGENT), mode=era) as client:
            nothing = await Caller(client).ok("list_resources")
    assert nothing.next == ["list_golden_paths()", "list_providers()"]
    async with connect() as call:
        other = await call.ok("list_resources", environment=f"empty-{era}")
        every = await call.ok("list_resources", state="terminated", type="archive")
    assert other.next == every.next == ["list_resources()"]


async def test_a_list_leads_to_the_one_that_needs_a_look(connect: Connect, era: str) -> None:
    name = f"led-{era}"
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(name, first="database"), wait_seconds=20)
        well = await call.ok("list_resources", application=name)
        runs = await call.ok("list_workflow_executions", application=name)
        frail = {"type": "fragile", "params": {"needs_file": "/nowhere"}}
        broken = await call.ok("submit_spec", spec_yaml=score(f"{name}-ill", first=frail, late=READS), wait_seconds=20)
        failed = await call.ok("list_resources", application=f"{name}-ill")
        blocked = await call.ok("list_resources", application=f"{name}-ill", state="blocked", type="database")
    assert well.next == [look(by_name(made)["first"])]
    assert runs.next == [f"get_workflow_status(execution_id={runs.rows()[0]['id']})"]
    assert failed.next == [look(by_name(broken)["first"])]
    assert blocked.next == [look(by_name(broken)["late"])]


async def test_what_waits_leads_to_what_it_waits_for(connect: Connect, era: str) -> None:
    name = f"waits-{era}"
    async with connect() as call:
        made = by_name(await call.ok("submit_spec", spec_yaml=score(name, first="gated", late=READS)))
        listed = await call.ok("list_resources", application=name)
        late = await call.ok("get_resource_details", resource_id=made["late"]["id"])
    assert late["state"] == "requested"
    assert late.next == listed.next == [watch(made["first"])]


async def test_what_is_asked_for_anew_shows_no_error_and_leads_on(
    connect: Connect, platform: Platform, era: str, tmp_path: Path
) -> None:
    def source(note: str) -> str:
        frail = {"type": "fragile", "params": {"needs_file": str(tmp_path / "flag"), "note": "${resources.first.seen}"}}
        return score(f"anew-{era}", first={"type": "gated", "params": {"note": note}}, frail=frail)

    async with connect() as call:
        gate = by_name(await call.ok("submit_spec", spec_yaml=source("one")))["first"]
        run = ExecutionId(int(str(gate["execution_id"])))
        until(lambda: executions.get(platform, run).execution.state is ExecutionState.WAITING)
        executions.resume(platform, AGENT, run, "gate")
        before = by_name(await call.ok("submit_spec", spec_yaml=source("one"), wait_seconds=20))
        again = by_name(await call.ok("submit_spec", spec_yaml=source("two")))
        frail = await call.ok("get_resource_details", resource_id=again["frail"]["id"])
        listed = await call.ok("list_resources", application=f"anew-{era}")
    assert "The check failed" in str(before["frail"]["error"])
    assert (frail["state"], frail["reason"], frail.next) == ("failed", "awaits_turn", [watch(again["first"])])
    assert listed.next == [watch(again["first"])]
    assert "The check failed" not in frail.text + listed.text
    assert "explain" not in frail.data


async def test_what_failed_before_something_newer_leads_to_the_newer_run(
    connect: Connect, era: str, tmp_path: Path
) -> None:
    frail = {"type": "fragile", "params": {"needs_file": str(tmp_path / "flag")}}
    newer = {"type": "fragile", "params": {"needs_file": str(tmp_path / "flag"), "size": 2}}
    async with connect() as call:
        made = by_name(await call.ok("submit_spec", spec_yaml=score(f"past-{era}", frail=frail), wait_seconds=20))
        (tmp_path / "flag").touch()
        again = by_name(await call.ok("submit_spec", spec_yaml=score(f"past-{era}", frail=newer), wait_seconds=20))
        past = await call.ok("get_workflow_status", execution_id=made["frail"]["execution_id"])
    assert past.next[0] == f"get_workflow_status(execution_id={again['frail']['execution_id']})"
    assert not any("corrected" in step for step in past.next)


async def test_a_repeat_that_succeeded_shows_no_log_of_the_failure(
    platform: Platform, era: str, tmp_path: Path
) -> None:
    frail = {"type": "fragile", "params": {"needs_file": str(tmp_path / "flag")}}
    both = Selection(frozenset({Toolset.CORE, Toolset.OPERATE}))
    async with Client(create_server(platform, actor=AGENT, selection=both), mode=era) as client:
        call = Caller(client)
        made = by_name(await call.ok("submit_spec", spec_yaml=score(f"well-{era}", frail=frail), wait_seconds=20))
        before = await call.ok("get_workflow_status", execution_id=made["frail"]["execution_id"])
        (tmp_path / "flag").touch()
        after = await call.ok("retry", execution_id=made["frail"]["execution_id"], wait_seconds=20)
    assert "logs" in before.data
    assert (after["status"], after.data.get("logs")) == ("succeeded", None)
