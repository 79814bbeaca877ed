"""Resources over REST."""

import json
from pathlib import Path
from typing import Any

from tests.support.rest import Door, problem
from tests.support.score import score


def _resource(door: Door, app: str, kind: str) -> Any:
    return door.get("/api/resources", app=app, type=kind)["items"][0]


def test_resources_are_found_by_application_type_alias_state_and_environment(door: Door) -> None:
    door.submit(score("found", db="database", cc="cache"))
    door.settled("found")
    assert {item["resource_type"] for item in door.get("/api/resources", app="found")["items"]} == {
        "database",
        "cache",
        "workload",
    }
    assert [i["resource_name"] for i in door.get("/api/resources", app="found", type="db")["items"]] == ["db"]
    assert door.get("/api/resources", app="found", state="failed")["items"] == []
    assert door.get("/api/resources", app="found", environment="elsewhere")["items"] == []
    page = door.get("/api/resources", app="found", limit=1)
    assert len(page["items"]) == 1
    assert door.get("/api/resources", app="found", limit=200, cursor=page["next_cursor"])["items"]


def test_an_unknown_state_names_the_known_ones(door: Door) -> None:
    told = problem(door.client.get("/api/resources", params={"state": "activ"}), 422, "unknown_state")
    assert "active" in told["hint"]


def test_secret_outputs_are_masked_until_revealed_and_that_leaves_an_event(door: Door) -> None:
    door.submit(score("secretive", db="database"))
    door.settled("secretive")
    listed = _resource(door, "secretive", "database")
    path = f"/api/resources/{listed['id']}"
    details = door.get(path)
    assert listed["outputs"]["key"] == details["outputs"]["key"] == "***"
    assert details["used_by"] == ["secretive"]
    assert details["transitions"]
    shown = door.get(path, reveal=True)
    assert shown["outputs"]["key"] == "s3cret-key"
    kinds = [event["kind"] for event in door.get(path)["transitions"]]
    assert "resource.revealed" in kinds


def test_a_failed_resource_is_retried_when_its_cause_is_gone(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "there"
    door.submit(score("fragile", frail={"type": "fragile", "params": {"needs_file": str(file)}}))
    assert door.settled("fragile")["status"] == "failed"
    found = _resource(door, "fragile", "fragile")
    assert found["error_message"]
    file.touch()
    started = door.post(f"/api/resources/{found['id']}/retry")
    assert started["warning"] == ""
    door.ended(started["id"])
    assert door.settled("fragile")["status"] == "active"
    problem(door.client.post(f"/api/resources/{found['id']}/retry"), 409, "not_failed")


def test_a_retry_that_cannot_help_says_so_and_runs(door: Door) -> None:
    late = {"type": "database", "params": {"note": "${resources.db.host.deep}"}}
    door.submit(score("hopeless", db="database", late=late))
    door.settled("hopeless")
    found = next(i for i in door.get("/api/resources", app="hopeless")["items"] if i["resource_name"] == "late")
    again = door.post(f"/api/resources/{found['id']}/retry")
    assert "a retry alone is pointless" in again["warning"]
    door.ended(again["id"])
    assert door.post(f"/api/workflows/{again['id']}/retry")["warning"] == again["warning"]


def test_a_person_says_what_became_of_a_failed_resource(door: Door, tmp_path: Path) -> None:
    door.submit(score("settled", frail={"type": "fragile", "params": {"needs_file": str(tmp_path / "never")}}))
    door.settled("settled")
    path = f"/api/resources/{_resource(door, 'settled', 'fragile')['id']}/resolve"
    told = problem(door.client.post(path, json={"as": "fixed"}), 422, "invalid_request")
    assert told["problems"][0]["path"] == "body.as"
    problem(door.client.post(path, json={}), 422, "invalid_request")
    assert door.post(path, {"as": "active"}, status=200)["state"] == "active"
    assert "resource.resolved" in json.dumps(door.get("/api/events", app="settled", limit=200))


def test_what_does_not_exist_is_not_found(door: Door) -> None:
    for method, path in (
        ("GET", "/api/resources/999999"),
        ("POST", "/api/resources/999999/retry"),
        ("GET", f"/api/resources/{2**63 - 1}"),
    ):
        problem(door.client.request(method, path), 404, "resource_not_found")
    problem(door.client.post("/api/resources/999999/resolve", json={"as": "gone"}), 404, "resource_not_found")


def test_an_id_is_a_number_that_the_database_can_hold(door: Door) -> None:
    for wrong in ("0", "-1", "abc", str(2**63), "9" * 400, "1.5"):
        problem(door.client.get(f"/api/resources/{wrong}"), 422, "invalid_request")


def test_a_failure_is_explained_down_to_its_cause_and_what_works_is_said_to(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "never"
    needs = {"type": "database", "params": {"note": "${resources.frail.host}"}}
    door.submit(
        score("explained", frail={"type": "fragile", "params": {"needs_file": str(file)}}, db=needs, cc="cache")
    )
    door.settled("explained")
    blocked, frail = _resource(door, "explained", "database"), _resource(door, "explained", "fragile")
    why = door.get(f"/api/resources/{blocked['id']}/explain")
    assert (why["failed"], why["node"]["resource_id"], why["step"]["step_type"]) == (True, frail["id"], "validation")
    assert [hop["resource_id"] for hop in why["chain"]] == [blocked["id"], frail["id"]]
    assert why["says"]
    assert why["retry"]["safety"] == "safe"
    same = door.get(f"/api/workflows/{frail['workflow_execution_id']}/explain")
    assert {**same, "chain": why["chain"]} == why
    works = _resource(door, "explained", "cache")
    assert door.get(f"/api/resources/{works['id']}/explain") == {"failed": False}
    assert door.get(f"/api/workflows/{works['workflow_execution_id']}/explain") == {"failed": False}
    problem(door.client.get("/api/resources/9999/explain"), 404, "resource_not_found")
    problem(door.client.get("/api/workflows/9999/explain"), 404, "execution_not_found")
