"""Executions and golden paths over REST."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.rest import Door, problem
from tests.support.score import score


def test_a_golden_path_runs_and_its_result_can_be_waited_for(door: Door) -> None:
    body = {"workflow": "hello", "inputs": {"name": "ada", "token": "t0p-secret"}}
    started = door.post("/api/workflows/execute", body)
    found = door.get(f"/api/workflows/{started['execution_id']}", wait_seconds=10)
    assert found["status"] == "succeeded"
    assert found["outputs"] == {"text": "hello ada"}
    assert found["inputs"]["token"] == "***"
    assert [step["step_name"] for step in found["steps"]] == ["greeted"]
    assert found["steps"][0]["status"] == "succeeded"
    assert "t0p-secret" not in json.dumps(found)


def test_a_golden_path_runs_by_its_own_route_with_inputs_as_text(door: Door) -> None:
    body = {"inputs": {"name": "bob", "size": "3"}, "from_text": True}
    started = door.post("/api/workflows/golden-paths/hello/execute", body)
    assert started["execution"]["workflow_name"] == "hello"
    assert door.get(f"/api/workflows/{started['execution_id']}", wait_seconds=10)["inputs"]["size"] == 3


def test_wrong_inputs_come_back_all_at_once(door: Door) -> None:
    answer = door.client.post("/api/workflows/execute", json={"workflow": "hello", "inputs": {"size": 99, "nmae": "x"}})
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) >= 3


def test_an_unknown_workflow_names_the_nearest(door: Door) -> None:
    told = problem(door.client.post("/api/workflows/execute", json={"workflow": "helo"}), 404, "workflow_not_found")
    assert "`hello`" in told["hint"]
    problem(door.client.post("/api/workflows/golden-paths/nothing/execute", json={}), 404, "workflow_not_found")


def test_a_misspelt_member_of_a_body_is_refused(door: Door) -> None:
    answer = door.client.post("/api/workflows/execute", json={"workflow": "hello", "input": {}})
    assert problem(answer, 422, "invalid_request")["problems"][0]["path"] == "body.input"


def test_a_provisioner_becomes_a_request_for_its_resource(door: Door) -> None:
    body = {"workflow": "make", "inputs": {"app_name": "asked-for", "resource_name": "db", "size": 2}}
    started = door.post("/api/workflows/execute", body)
    door.ended(started["execution_id"])
    again = door.post("/api/workflows/execute", body, status=200)
    assert again == {"execution_id": None, "execution": None}
    assert door.get("/api/resources", app="asked-for")["items"][0]["state"] == "active"


def test_the_same_key_starts_a_golden_path_once(door: Door) -> None:
    headers = {"Idempotency-Key": "greet"}
    body = {"workflow": "hello", "inputs": {"name": "eve"}}
    first = door.client.post("/api/workflows/execute", json=body, headers=headers).json()
    assert (
        door.client.post("/api/workflows/execute", json=body, headers=headers).json()["execution_id"]
        == (first["execution_id"])
    )
    other = {**body, "inputs": {"name": "mal"}}
    assert door.client.post("/api/workflows/execute", json=other, headers=headers).status_code == 409


def test_a_step_that_waits_is_continued_by_a_person(door: Door) -> None:
    started = door.post("/api/workflows/execute", {"workflow": "waiting"})["execution_id"]
    door.waiting(started)
    path = f"/api/workflows/{started}"
    problem(door.client.post(f"{path}/steps/after/continue"), 409, "not_waiting")
    waiting = door.waiting(started)
    assert waiting["status"] == "waiting"
    assert waiting["steps"][0]["waits_for"]["kind"] == "person"
    door.post(f"{path}/steps/gate/continue")
    assert door.get(path, wait_seconds=10)["status"] == "succeeded"


def test_an_execution_is_cancelled_once(door: Door) -> None:
    started = door.post("/api/workflows/execute", {"workflow": "waiting"})["execution_id"]
    door.waiting(started)
    door.post(f"/api/workflows/{started}/cancel")
    assert door.get(f"/api/workflows/{started}", wait_seconds=10)["status"] == "cancelled"
    problem(door.client.post(f"/api/workflows/{started}/cancel"), 409, "already_ended")
    retried = door.post(f"/api/workflows/{started}/retry")
    assert retried["execution_id"] == started
    assert retried["execution"]["attempt"] == 2


def test_what_succeeded_is_not_retried(door: Door) -> None:
    started = door.post("/api/workflows/execute", {"workflow": "hello", "inputs": {"name": "x"}})["execution_id"]
    door.ended(started)
    problem(door.client.post(f"/api/workflows/{started}/retry"), 409, "illegal_transition")


def test_waiting_ends_when_the_time_is_over(door: Door) -> None:
    started = door.post("/api/workflows/execute", {"workflow": "waiting"})["execution_id"]
    begun = time.monotonic()
    assert door.get(f"/api/workflows/{started}", wait_seconds=0.2)["status"] in {"pending", "running", "waiting"}
    assert time.monotonic() - begun < 5
    problem(door.client.get(f"/api/workflows/{started}", params={"wait_seconds": 46}), 422, "invalid_request")
    problem(door.client.get(f"/api/workflows/{started}", params={"wait_seconds": "nan"}), 422, "invalid_request")


def test_logs_are_given_per_step(door: Door, tmp_path: Path) -> None:
    door.submit(score("logged", frail={"type": "fragile", "params": {"needs_file": str(tmp_path / "no")}}))
    door.settled("logged")
    run = door.get("/api/workflows", app="logged", status="failed")["items"][0]
    logs = door.get(f"/api/workflows/{run['id']}/logs")["items"]
    assert logs[0]["step_name"] == "check"
    assert isinstance(logs[0]["output_logs"], str)
    assert len(door.get(f"/api/workflows/{run['id']}/logs", step="check")["items"]) == 1
    problem(door.client.get(f"/api/workflows/{run['id']}/logs", params={"step": "chek"}), 404, "step_not_found")


def test_executions_are_listed_newest_first_in_pages(door: Door) -> None:
    ids = [
        door.post("/api/workflows/execute", {"workflow": "hello", "inputs": {"name": "p"}})["execution_id"]
        for _ in range(3)
    ]
    page = door.get("/api/workflows", search="hello", limit=2)
    assert [item["id"] for item in page["items"]] == [ids[2], ids[1]]
    older = door.get("/api/workflows", search="hello", limit=2, cursor=page["next_cursor"])
    assert older["items"][0]["id"] == ids[0]
    problem(door.client.get("/api/workflows", params={"status": "done"}), 422, "unknown_state")


def test_executions_are_listed_of_one_environment_with_and_without_an_application(door: Door) -> None:
    for where in ("north", "south"):
        door.submit(score("there"), environment=where)
        door.settled("there", environment=where)
        body = {"workflow": "hello", "inputs": {"name": "q"}, "environment": where}
        door.ended(door.post("/api/workflows/execute", body)["execution_id"])
    found = door.get("/api/workflows", environment="north")["items"]
    assert {(run["application_name"], run["environment"]) for run in found} == {("there", "north"), ("", "north")}
    found = door.get("/api/workflows", app="there", environment="south")["items"]
    assert {(run["application_name"], run["environment"]) for run in found} == {("there", "south")}
    assert door.get("/api/workflows", app="there", environment="east")["items"] == []


def test_an_execution_that_never_was_is_not_found(door: Door) -> None:
    for method, path in (
        ("GET", "/api/workflows/99999"),
        ("GET", "/api/workflows/99999/logs"),
        ("POST", "/api/workflows/99999/retry"),
        ("POST", "/api/workflows/99999/cancel"),
        ("POST", "/api/workflows/99999/steps/x/continue"),
    ):
        problem(door.client.request(method, path), 404, "execution_not_found")


def test_however_many_wait_others_are_answered(door: Door) -> None:
    started = door.post("/api/workflows/execute", {"workflow": "waiting"})["execution_id"]
    door.waiting(started)
    path = f"/api/workflows/{started}"
    with ThreadPoolExecutor(60) as clients:
        waiting = [clients.submit(door.get, path, wait_seconds=40) for _ in range(60)]
        for _ in range(30):
            assert door.get(path)["status"] == "waiting"
        assert not any(answer.done() for answer in waiting)
        door.post(f"{path}/cancel")
        assert {answer.result(30)["status"] for answer in waiting} == {"cancelled"}
