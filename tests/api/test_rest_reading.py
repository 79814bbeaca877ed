"""Providers, golden paths, graphs, the timeline, numbers and verdicts over REST."""

from datetime import UTC, datetime

import pytest

from tests.support.rest import Door, problem
from tests.support.score import score


def test_providers_are_listed_and_described(door: Door) -> None:
    listed = door.get("/api/providers")
    assert [item["name"] for item in listed["items"]] == ["test-team"]
    assert listed["total"] == 1
    found = door.get("/api/providers/test-team")
    assert {kind["type"] for kind in found["resource_types"]} >= {"database", "workload"}
    assert {item["name"] for item in found["workflows"]} >= {"hello", "make"}
    told = problem(door.client.get("/api/providers/test-teem"), 404, "provider_not_found")
    assert "`test-team`" in told["hint"]


def test_golden_paths_are_listed_and_described(door: Door) -> None:
    assert [item["name"] for item in door.get("/api/golden-paths")["items"]] == ["hello", "waiting"]
    found = door.get("/api/golden-paths/hello")
    assert [parameter["name"] for parameter in found["parameters"]] == ["name", "size", "token"]
    problem(door.client.get("/api/golden-paths/make"), 404, "golden_path_not_found")


def test_the_graph_shows_what_exists_and_why(door: Door) -> None:
    door.submit(score("drawn", db="database"))
    door.settled("drawn")
    found = door.get("/api/graph/drawn")
    assert {node["kind"] for node in found["nodes"]} >= {"application", "resource", "provider"}
    assert {edge["kind"] for edge in found["edges"]} >= {"requires"}
    assert door.get("/api/graph/drawn", at=datetime(2001, 1, 1, tzinfo=UTC).isoformat())["edges"] == []
    problem(door.client.get("/api/graph/never-drawn"), 404, "application_not_found")
    problem(door.client.get("/api/graph/drawn", params={"at": "yesterday"}), 422, "invalid_request")


@pytest.mark.parametrize(
    ("form", "begins", "media"),
    [
        ("json", "{", "application/json"),
        ("mermaid", "flowchart", "text/plain"),
        ("dot", "digraph", "text/vnd.graphviz"),
        ("tree", "application", "text/plain"),
    ],
)
def test_the_graph_is_exported_as_text(door: Door, form: str, begins: str, media: str) -> None:
    door.submit(score("exported", db="database"))
    answer = door.client.get("/api/graph/exported/export", params={"format": form})
    assert answer.status_code == 200
    assert answer.text.startswith(begins)
    assert answer.headers["content-type"].startswith(media)


def test_an_unknown_graph_format_names_the_known_ones(door: Door) -> None:
    told = problem(door.client.get("/api/graph/x/export", params={"format": "svgg"}), 422, "invalid_request")
    assert "mermaid" in told["problems"][0]["message"]


def test_the_timeline_can_be_followed_without_gaps(door: Door) -> None:
    door.submit(score("told", db="database"))
    door.settled("told")
    whole = door.get("/api/events", app="told", limit=200)["items"]
    assert "spec.submitted" in {event["kind"] for event in whole}
    assert [event["id"] for event in whole] == sorted(event["id"] for event in whole)
    parts: list[int] = []
    cursor = "0"
    while cursor:
        page = door.get("/api/events", app="told", limit=2, cursor=cursor)
        parts += [event["id"] for event in page["items"]]
        cursor = page["next_cursor"]
    assert parts == [event["id"] for event in whole]
    assert door.get("/api/events", app="told", after=whole[-1]["id"])["items"] == []
    problem(door.client.get("/api/events", params={"app": "nobody"}), 404, "application_not_found")


def test_the_numbers_count_what_is_there(door: Door) -> None:
    before = door.get("/api/stats")
    door.submit(score("counted", db="database"))
    door.settled("counted")
    after = door.get("/api/stats")
    assert after["applications"] == before["applications"] + 1
    assert after["resources"] == before["resources"] + 2
    assert after["executions_by_state"]["succeeded"] >= before["executions_by_state"].get("succeeded", 0) + 2
    assert after["providers"] == 1


def test_a_document_is_judged_for_what_it_is(door: Door) -> None:
    spec = door.client.post("/api/validate", content=score("judged", db="database"))
    assert spec.json() == {"kind": "spec", "valid": True, "problems": []}
    workflow = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: x}\nsteps:\n  - {name: a, type: sett}\n"
    found = door.client.post("/api/validate", content=workflow).json()
    assert (found["kind"], found["valid"]) == ("workflow", False)
    assert found["problems"][0]["line"] == 5
    as_spec = door.client.post("/api/validate", params={"kind": "spec"}, content=workflow).json()
    assert (as_spec["kind"], as_spec["valid"]) == ("spec", False)


def test_a_dialect_is_valid_with_warnings_until_the_verdict_is_strict(door: Door) -> None:
    dialect = "apiVersion: score.dev/v1b1\nmetadata: {name: dialect}\ncontainers: {cc: {image: x, env: {A: b}}}\n"
    loose = door.client.post("/api/validate", content=dialect).json()
    assert loose["valid"] is True
    assert {item["severity"] for item in loose["problems"]} == {"warning"}
    assert door.client.post("/api/validate", params={"strict": True}, content=dialect).json()["valid"] is False


def test_the_server_says_whom_it_takes_you_for(door: Door) -> None:
    assert door.get("/api/auth/whoami") == {"actor": "api_key:token", "kind": "api_key", "name": "token"}
