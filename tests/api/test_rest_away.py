"""The database is away: what every route answers then. The routes are found in the description of the API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from api.app import create_app
from engine.store.database import Store
from tests.support import team
from tests.support.outages import ADDRESS, away, away_after_a_commit
from tests.support.platforms import House, build_platform
from tests.support.rest import TOKEN, problem
from tests.support.score import score

WITHOUT_DATABASE = {
    "GET /", "GET /.well-known/oauth-protected-resource/mcp",
    "GET /health", "GET /metrics", "GET /api/auth/whoami", "GET /api/providers", "GET /api/providers/{name}",
    "GET /api/golden-paths", "GET /api/golden-paths/{name}", "POST /api/validate",
}  # fmt: skip
IN_PATHS: dict[str, object] = {"name": "app", "app": "app", "execution_id": 1, "resource_id": 1, "step": "gate"}
NAMES = {
    "/api/providers/{name}": "test-team",
    "/api/golden-paths/{name}": "hello",
    "/api/workflows/golden-paths/{name}/execute": "hello",
}
BODIES: dict[str, Any] = {
    "ExecuteBody": {"workflow": "hello", "inputs": {"name": "you"}},
    "RunBody": {"inputs": {"name": "you"}},
    "ResolveBody": {"as": "active"},
    "PauseBody": {"reason": "maintenance"},
}
SPEC = score("app", db="database")


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    """Its engine does not run: it asks the database nothing in between."""
    return build_platform(store, tmp_path, [team.write(tmp_path / "team")])


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    app = create_app(house.platform, token=TOKEN)
    with TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {TOKEN}"}) as found:
        yield found


def routes(client: TestClient) -> Iterator[tuple[str, str, Any]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, described in methods.items():
            yield path, method.upper(), described


def body(described: Any) -> dict[str, Any]:
    content = described.get("requestBody", {}).get("content", {})
    if "application/yaml" in content:
        return {"content": SPEC}
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return {}
    choices = [schema, *schema.get("anyOf", [])]
    return {"json": next(BODIES[one["$ref"].rpartition("/")[2]] for one in choices if "$ref" in one)}


def ask(client: TestClient, path: str, method: str, described: Any, **query: Any) -> Response:
    place = NAMES.get(path, "app")
    filled = path.format_map({**IN_PATHS, "name": place})
    return client.request(method, filled, params=query, **body(described))


def variants(described: Any) -> list[dict[str, Any]]:
    """Without options, and with each of those that lead to another use case."""
    declared = {given["name"] for given in described.get("parameters", []) if given["in"] == "query"}
    options: list[dict[str, Any]] = [{"reveal": True}, {"dry_run": True}, {"newest": True}, {"app": "app"}]
    return [{}, *(option for option in options if option.keys() <= declared)]


def test_every_route_says_that_the_database_is_away_or_needs_none(client: TestClient, house: House) -> None:
    known = {f"{method} {path}": (path, method, described) for path, method, described in routes(client)}
    assert len(known) > 35
    with away(house.store) as tried:
        for name in sorted(WITHOUT_DATABASE):
            answer = ask(client, *known.pop(name))
            assert answer.status_code == 200, (name, answer.text)
        for path, method, described in known.values():
            for query in variants(described):
                answer = ask(client, path, method, described, **query)
                found = problem(answer, 503, "database_unavailable")
                assert found["hint"], (method, path)
                assert answer.headers["Retry-After"]
                assert ADDRESS not in answer.text
    assert tried


@pytest.mark.parametrize("path", ["/ws/workflows/1/logs", "/api/graph/app/ws"])
def test_who_follows_something_is_told_and_let_go(client: TestClient, house: House, path: str) -> None:
    with away(house.store), client.websocket_connect(f"ws://localhost{path}") as socket:
        told = socket.receive_json()
        assert (told["type"], told["code"]) == ("error", "database_unavailable")
        assert socket.receive()["code"] == 1001


def test_what_was_done_before_the_database_went_away_is_said_to_be_done(client: TestClient, house: House) -> None:
    with away_after_a_commit(house.store):
        answer = client.post("/api/workflows/execute", json=BODIES["ExecuteBody"])
    found = problem(answer, 503, "database_unavailable")
    assert found["details"] == {"outcome": "done"}
    assert "Execution 1 is started" in found["detail"]
    assert client.get("/api/workflows/1").json()["status"] == "pending"
