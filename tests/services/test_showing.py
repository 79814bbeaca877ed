"""What doors show: no secret anywhere, the graph now and then."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp_types import TextResourceContents

from engine.domain.parameters import bind
from engine.domain.values import JsonObject
from engine.domain.workflow import Parameter, ParameterType
from engine.errors import Invalid, NotFound
from engine.services import applications, catalog, executions, graphs, resources, views
from engine.store import events
from mcp_server.server import create_server
from tests.services.conftest import ME, Build, House
from tests.support import team
from tests.support.score import score

CANARY = "canary-7f3a"


def everything(house: House) -> str:
    """All that the views show of the platform, as text."""
    platform = house.platform
    shown: list[JsonObject] = []
    for view in applications.listed(platform).items:
        shown.append(views.application(view))
        shown.append(views.application_details(applications.get(platform, view.application.name)))
        shown.append({"graph": graphs.export(platform, view.application.name, form="json")})
    for resource in resources.listed(platform).items:
        shown.append(views.resource(resource))
        shown.append(views.resource_details(resources.get(platform, resource.id)))
    for run in executions.listed(platform, limit=100).items:
        details = executions.get(platform, run.id, every_attempt=True)
        shown.append(views.execution_details(details.execution, details.steps))
        shown.append({"logs": [text for _, text in executions.logs(platform, run.id)]})
    with platform.store.read() as tx:
        shown += [views.event(fact) for fact in events.listed(tx, limit=1000)]
    return json.dumps(shown)


def test_secrets_are_shown_nowhere(house: House) -> None:
    db = {"type": "database", "params": {"password": CANARY, "note": "seen"}}
    variables = {"KEY": "${resources.db.key}"}
    planned = house.plan(score(db=db, variables=variables))
    assert planned.plan is not None
    assert CANARY not in json.dumps(views.submission(planned))
    house.submit(score(db=db, variables=variables))
    house.rest()
    changed = house.submit(score(db={**db, "params": {"password": CANARY + "2"}}, variables=variables))
    assert CANARY not in json.dumps(views.submission(changed))
    house.rest()
    executions.execute(house.platform, ME, "hello", {"name": "ann", "token": CANARY})
    house.rest()
    assert house.status("shop") == "active"
    text = everything(house)
    assert "shop.db.test" in text
    assert CANARY not in text
    assert "s3cret-key" not in text
    found = resources.get(house.platform, house.resources("shop")["db"].id).resource
    assert "s3cret-key" in json.dumps(views.resource(found, reveal=True))


def test_a_secret_stays_one_when_a_newer_version_of_its_provider_calls_it_none(build: Build, tmp_path: Path) -> None:
    house = build(team.write(tmp_path / "old"))
    house.submit(score(db={"type": "database", "params": {"password": CANARY, "note": "seen"}}))
    house.rest()
    newer = team.write(tmp_path / "newer")
    manifest = newer / "provider.yaml"
    openly = manifest.read_text().replace("version: 1.0.0", "version: 2.0.0").replace(", writeOnly: true", "")
    manifest.write_text(openly)
    renewed = house.reopened(newer)
    provider, kind = catalog.resource_type(renewed.platform, "database")
    told = anyio.run(_told_over_mcp, renewed)
    renewed.running.close(grace=0)
    assert (provider.version, kind.secret_params) == ("2.0.0", frozenset())
    assert CANARY not in told
    assert "'***'" in told
    assert "note: seen" in told


async def _told_over_mcp(house: House) -> str:
    """The spec by the resource and by the tool, and the resource that was made."""
    async with Client(create_server(house.platform, actor=ME)) as client:
        spec = await client.read_resource("innominatus://specs/shop")
        listed = await client.call_tool("list_specs", {"application": "shop", "detail": "full"})
        made = await client.call_tool("get_resource_details", {"resource_id": house.resources("shop")["db"].id})
    texts = [content.text for content in spec.contents if isinstance(content, TextResourceContents)]
    return "\n".join([*texts, str(listed), str(made)])


def test_the_graph_is_shown_as_it_was_at_a_moment(house: House) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    house.submit(score(db="database"))
    house.rest()
    with_db = datetime.now(UTC)
    house.submit(score(), prune=True)
    house.rest()

    def names(at: datetime | None) -> set[str]:
        return {node.name for node in graphs.of_application(house.platform, "shop", at=at).graph.nodes}

    assert "database/shop.db" in names(with_db)
    assert "shop v1" in names(with_db)
    assert "database/shop.db" not in names(None)
    assert {"shop", "shop v2", "workload/shop"} <= names(None)
    assert names(long_ago) == set()
    for form in ("json", "mermaid", "dot", "tree"):
        assert "workload/shop" in graphs.export(house.platform, "shop", form=form)
    with pytest.raises(Invalid, match="no graph format"):
        graphs.export(house.platform, "shop", form="png")
    with pytest.raises(NotFound):
        graphs.export(house.platform, "nobody", form="json")


def test_a_parameter_is_shown_with_a_default_of_false_and_a_minimum_of_nought() -> None:
    declared = Parameter("on", ParameterType.BOOL, default=False)
    assert views.parameter(declared)["default"] is False
    assert views.parameter(Parameter("n", ParameterType.INT, minimum=0, default=0)) == {
        "name": "n", "type": "int", "required": False, "default": 0, "min": 0,
    }  # fmt: skip
    assert bind((declared,), {}) == {"on": False}


def test_a_secret_default_is_not_shown() -> None:
    assert views.parameter(Parameter("key", default=CANARY, secret=True))["default"] == "***"


def test_the_catalogue_shows_every_provider_and_golden_path(house: House) -> None:
    assert [path.name for _, path in catalog.golden_paths(house.platform)] == ["hello", "waiting"]
    shown = views.provider_details(catalog.provider(house.platform, "test-team"))
    assert json.loads(json.dumps(shown))["name"] == "test-team"
    with pytest.raises(NotFound, match="test-tam"):
        catalog.provider(house.platform, "test-tam")


def test_resources_are_found_by_number_name_and_type(house: House) -> None:
    house.submit(score(db="database"))
    house.submit(score("other", db="database"))
    house.rest()
    one = house.resources("shop")["db"]
    for name in (str(one.id), "database/shop.db", "shop.db"):
        assert resources.find(house.platform, name).resource.id == one.id
    assert resources.find(house.platform, "db", application="shop").resource.id == one.id
    with pytest.raises(Exception, match="several"):
        resources.find(house.platform, "db")
    assert len(resources.listed(house.platform, resource_type="db").items) == 2
