"""The API's description of itself is complete and true."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from api.app import create_app
from tests.support.platforms import House
from tests.support.rest import Door, problem
from tests.support.score import score


@pytest.fixture(scope="module")
def described(door: Door) -> Any:
    return door.get("/openapi.json")


def _operations(described: Any) -> list[tuple[str, str, Any]]:
    return [(path, method, found) for path, methods in described["paths"].items() for method, found in methods.items()]


def test_every_operation_has_a_name_of_its_own_and_a_described_answer(described: Any) -> None:
    names = [found["operationId"] for _, _, found in _operations(described)]
    assert len(names) == len(set(names))
    assert all(name.islower() and "__" not in name for name in names)
    for path, method, found in _operations(described):
        assert found["summary"], path
        assert found["tags"], path
        good = [answer for status, answer in found["responses"].items() if status.startswith("2")]
        assert all("content" in answer for answer in good), (path, method)
        assert all(content.get("schema") for answer in good for content in answer["content"].values()), (path, method)


def test_every_reference_leads_somewhere(described: Any) -> None:
    schemas = described["components"]["schemas"]
    text = json.dumps(described)
    assert "HTTPValidationError" not in text
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas


def test_the_routes_people_know_are_there(described: Any) -> None:
    known = [
        "/api/applications",
        "/api/applications/{name}",
        "/api/applications/{name}/deprovision",
        "/api/specs",
        "/api/specs/{name}",
        "/api/applications/{name}/variables",
        "/api/environments",
        "/api/resources",
        "/api/resources/{resource_id}",
        "/api/resources/{resource_id}/retry",
        "/api/resources/{resource_id}/resolve",
        "/api/workflows",
        "/api/workflows/{execution_id}",
        "/api/workflows/{execution_id}/logs",
        "/api/workflows/{execution_id}/retry",
        "/api/workflows/{execution_id}/cancel",
        "/api/workflows/{execution_id}/steps/{step}/continue",
        "/api/workflows/execute",
        "/api/golden-paths",
        "/api/golden-paths/{name}",
        "/api/workflows/golden-paths/{name}/execute",
        "/api/providers",
        "/api/providers/{name}",
        "/api/graph/{app}",
        "/api/graph/{app}/export",
        "/api/stats",
        "/api/events",
        "/api/validate",
        "/api/auth/whoami",
        "/health",
        "/ready",
        "/metrics",
    ]
    assert set(known) <= described["paths"].keys()


def test_answers_are_of_the_shape_that_is_described(door: Door, described: Any, tmp_path: Path) -> None:
    secret = {"type": "database", "params": {"password": "pw-123456"}}
    door.submit(score("shaped", variables={"KEY": "${resources.db.key}"}, db=secret, cache="cache"))
    door.settled("shaped")
    door.submit(score("broken", frail={"type": "fragile", "params": {"needs_file": str(tmp_path / "no")}}))
    door.settled("broken")
    resource = door.get("/api/resources", app="shaped")["items"][0]["id"]
    failed = door.get("/api/workflows", app="broken", status="failed")["items"][0]["id"]
    calls: list[tuple[str, str, dict[str, Any], Any]] = [
        ("get", "/api/applications", {}, None),
        ("get", "/api/applications/{name}", {"name": "shaped"}, None),
        ("get", "/api/applications/{name}/variables", {"name": "shaped"}, None),
        ("get", "/api/specs/{name}", {"name": "shaped"}, None),
        ("post", "/api/applications", {}, {"source": score("shaped", db="cache"), "dry_run": True, "prune": True}),
        ("post", "/api/applications", {}, {"source": score("shaped-too")}),
        ("delete", "/api/applications/{name}", {"name": "shaped-too"}, None),
        ("get", "/api/environments", {}, None),
        ("get", "/api/resources", {}, None),
        ("get", "/api/resources/{resource_id}", {"resource_id": resource}, None),
        ("get", "/api/workflows", {}, None),
        ("get", "/api/workflows/{execution_id}", {"execution_id": failed}, None),
        ("get", "/api/workflows/{execution_id}/logs", {"execution_id": failed}, None),
        ("post", "/api/workflows/{execution_id}/retry", {"execution_id": failed}, None),
        ("post", "/api/workflows/execute", {}, {"workflow": "hello", "inputs": {"name": "x"}}),
        ("get", "/api/golden-paths", {}, None),
        ("get", "/api/golden-paths/{name}", {"name": "hello"}, None),
        ("get", "/api/providers", {}, None),
        ("get", "/api/providers/{name}", {"name": "test-team"}, None),
        ("get", "/api/graph/{app}", {"app": "shaped"}, None),
        ("get", "/api/events", {}, None),
        ("get", "/api/stats", {}, None),
        ("get", "/api/auth/whoami", {}, None),
        ("get", "/health", {}, None),
        ("get", "/ready", {}, None),
        ("get", "/api/applications/{name}", {"name": "nobody"}, None),
    ]
    for method, path, names, body in calls:
        answer = door.client.request(method, path.format(**names), json=body)
        _agrees(described, described["paths"][path][method]["responses"][str(answer.status_code)], answer.json())


def _agrees(described: Any, promised: Any, value: Any) -> None:
    content = next(iter(promised["content"].values()))
    schema = {**content["schema"], "components": described["components"]}
    Draft202012Validator(schema).validate(value)  # pyright: ignore[reportUnknownMemberType] # jsonschema's own types


def test_the_token_is_part_of_the_description(described: Any) -> None:
    assert described["security"] == [{"bearer": []}, {"api_key": []}]
    assert described["paths"]["/health"]["get"]["security"] == []


def test_an_mcp_app_lives_behind_the_same_guard_and_is_started_with_this_one(door: Door) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def living(name: str) -> AsyncGenerator[None, None]:
        told.append(f"{name} started")
        yield
        told.append(f"{name} ended")

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.method} by {request.state.actor}")

    mcp = Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST", "DELETE"])], lifespan=lambda _: living("mcp"))
    house: House = door.house
    app = create_app(house.platform, token="t", mcp_app=mcp, lifespan=lambda: living("own"))
    with TestClient(app, base_url="http://localhost") as client:
        assert told == ["own started", "mcp started"]
        problem(client.post("/mcp"), 401, "unauthenticated")
        for method in ("GET", "POST", "DELETE"):
            assert client.request(method, "/mcp", headers={"X-API-Key": "t"}).text == f"{method} by api_key:token"
        problem(client.get("/mcp", headers={"X-API-Key": "t", "Host": "evil"}), 421, "unknown_host")
        problem(client.get("/other", headers={"X-API-Key": "t"}), 404, "not_found")
        assert 'route="/mcp"' in client.get("/metrics").text
    assert told[2:] == ["mcp ended", "own ended"]
