"""The database is away: what every tool answers then. The tools are those that are listed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.server import PlatformServer, create_server
from tests.mcp_server.conftest import AGENT, PROVIDER, Connect, score
from tests.support.outages import ADDRESS, away, away_after_a_commit
from tests.support.platforms import House, build_platform, create_tables, open_store

WITHOUT_DATABASE = {"list_golden_paths", "list_providers", "get_provider_details"}
GIVEN: dict[str, object] = {
    "provider_name": "mcp-team",
    "workflow_name": "greet",
    "execution_id": 1,
    "resource_id": 1,
    "spec_yaml": score("app", "box: {type: parcel}"),
}
OPTIONS: dict[str, object] = {"idempotency_key": "key", "inputs": {"name": "you"}, "wait_seconds": 1}


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its engine does not run: it asks the database nothing in between."""
    folder = tmp_path_factory.mktemp("away")
    create_tables(f"sqlite:///{folder}/innominatus.db")
    store = open_store(f"sqlite:///{folder}/innominatus.db")
    yield build_platform(store, folder, [Path(PROVIDER)])
    store.close()


@pytest.fixture(scope="module")
def server(idle: House) -> PlatformServer:
    return create_server(idle.platform, actor=AGENT)


@pytest.mark.anyio
async def test_every_tool_says_that_the_database_is_away_or_needs_none(
    server: PlatformServer, connect: Connect, idle: House
) -> None:
    tools = await server.list_tools()
    async with connect() as call:
        with away(idle.store) as tried:
            for tool in tools:
                known: set[str] = set(tool.input_schema["properties"])
                given = {name: GIVEN[name] for name in tool.input_schema.get("required", [])}
                options = {name: value for name, value in OPTIONS.items() if name in known}
                answer = await call(tool.name, **given, **options)
                if tool.name in WITHOUT_DATABASE:
                    assert not answer.is_error, answer.text
                    continue
                assert (answer.error["code"], bool(answer.error["hint"])) == ("database_unavailable", True), tool.name
                assert ADDRESS not in answer.text
    assert tried


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "given", "told"),
    [
        ("execute_workflow", {"workflow_name": "greet", "inputs": {"name": "you"}}, "is started, but"),
        ("submit_spec", {"spec_yaml": GIVEN["spec_yaml"]}, "The spec of `app` is applied, but"),
    ],
)
async def test_what_was_done_before_the_database_went_away_is_said_to_be_done(
    connect: Connect, idle: House, tool: str, given: dict[str, object], told: str
) -> None:
    async with connect() as call:
        with away_after_a_commit(idle.store):
            answer = await call(tool, **given)
    assert answer.error["code"] == "database_unavailable"
    assert told in str(answer.error["message"])
    assert "Do not send it again" in str(answer.error["hint"])
