"""Applications, specs and environments over REST."""

import json

import yaml

from tests.support.platforms import until
from tests.support.rest import Door, problem
from tests.support.score import score


def test_a_spec_is_submitted_as_yaml_text_and_becomes_active(door: Door) -> None:
    source = yaml.safe_dump(json.loads(score("yaml-shop", db={"type": "database", "params": {"size": 2}})))
    answer = door.client.post("/api/applications", content=source, headers={"content-type": "application/yaml"})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["application"], made["environment"], made["applied"], made["version"]) == (
        "yaml-shop",
        "default",
        True,
        1,
    )
    assert answer.headers["location"] == "/api/applications/yaml-shop?environment=default"
    assert {item["action"] for item in made["plan"]["items"]} == {"create"}
    found = door.settled("yaml-shop")
    assert found["status"] == "active"
    assert door.get(answer.headers["location"].partition("?")[0], environment="default")["resource_count"] == 2


def test_a_spec_is_submitted_as_json_with_its_options_inside(door: Door) -> None:
    body = {"source": score("json-shop", db="database"), "environment": "staging", "dry_run": True}
    planned = door.post("/api/specs", body, status=200)
    assert planned["applied"] is False
    assert planned["environment"] == "staging"
    made = door.post("/api/specs", {**body, "dry_run": False, "plan_hash": planned["plan_hash"]})
    assert made["plan_hash"] == planned["plan_hash"]
    problem(door.client.get("/api/applications/json-shop"), 404, "application_not_found")
    assert door.get("/api/applications/json-shop", environment="staging")["environment"] == "staging"


def test_a_score_document_written_in_json_is_a_document_and_not_an_envelope(door: Door) -> None:
    answer = door.client.post(
        "/api/applications", content=score("pure-json"), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 202
    assert answer.json()["application"] == "pure-json"


def test_a_dry_run_writes_nothing(door: Door) -> None:
    planned = door.submit(score("only-planned", db="database"), status=200, dry_run=True)
    assert planned["plan"]["has_changes"] is True
    problem(door.client.get("/api/applications/only-planned"), 404, "application_not_found")


def test_a_dry_run_that_would_only_share_a_resource_has_changes(door: Door) -> None:
    shared = {"type": "database", "id": "rest-shared"}
    door.submit(score("sharer", db=shared))
    door.submit(score("joiner"))
    door.settled("sharer")
    door.settled("joiner")
    more = score("joiner", db=shared)
    planned = door.submit(more, status=200, dry_run=True)["plan"]
    assert planned["has_changes"] is True
    assert [item["reason"] for item in planned["items"] if item["name"] == "db"] == [
        "`joiner` refers to it from now on"
    ]
    door.submit(more, plan_hash=planned["plan_hash"])
    assert door.submit(more, status=200, dry_run=True)["plan"]["has_changes"] is False


def test_a_stale_plan_is_a_conflict_that_says_what_moved(door: Door) -> None:
    planned = door.submit(score("moving", db="database"), status=200, dry_run=True)
    answer = door.client.post(
        "/api/applications", params={"plan_hash": planned["plan_hash"]}, content=score("moving", db="cache")
    )
    told = problem(answer, 409, "stale_plan")
    assert told["type"] == "urn:innominatus:problem:stale_plan"
    assert told["details"]["plan_hash"] != planned["plan_hash"]
    assert told["details"]["items"]
    assert "dry run" in told["hint"]


def test_a_destructive_plan_needs_its_hash_when_asked_to(door: Door) -> None:
    door.submit(score("careful", db="database", cache="cache"))
    door.settled("careful")
    less = score("careful", db="database")
    answer = door.client.post("/api/applications", params={"prune": True, "confirm": True}, content=less)
    told = problem(answer, 409, "plan_hash_required")
    applied = door.submit(less, plan_hash=told["details"]["plan_hash"], prune=True, confirm=True)
    assert "delete" in {item["action"] for item in applied["plan"]["items"]}


def test_every_problem_of_a_spec_comes_back_with_its_line(door: Door) -> None:
    source = "apiVersion: score.dev/v1b1\nmetadata: {}\ncontainers:\n  web: {imagee: x}\n"
    told = problem(door.client.post("/api/applications", content=source), 422, "invalid_spec")
    assert len(told["problems"]) >= 2
    assert all(item["line"] and item["message"] for item in told["problems"])


def test_an_unknown_resource_type_names_the_nearest(door: Door) -> None:
    source = score("typo", db="databse")
    (told,) = problem(door.client.post("/api/applications", content=source), 422, "unknown_resource_type")["problems"]
    assert told["path"] == "resources.db.type"
    assert "`database`" in told["fix"]
    line, column = int(told["line"]), int(told["column"])
    assert source.splitlines()[line - 1][column - 1 :].startswith('"type": "databse"')


def test_the_same_key_carries_a_submission_out_once(door: Door) -> None:
    headers = {"Idempotency-Key": "release-1"}
    source = score("once", db="database")
    first = door.client.post("/api/applications", content=source, headers=headers)
    again = door.client.post("/api/applications", content=source, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["replayed"] is False
    assert again.json()["replayed"] is True
    assert again.json()["execution_ids"] == first.json()["execution_ids"]
    other = door.client.post("/api/applications", content=score("once", db="cache"), headers=headers)
    assert other.status_code == 409


def test_an_idempotency_key_must_say_something(door: Door) -> None:
    for key in (" ", "x" * 300):
        answer = door.client.post("/api/applications", content=score("keyed"), headers={"Idempotency-Key": key})
        problem(answer, 422, "idempotency_key")


def test_applications_are_listed_in_pages(door: Door) -> None:
    for number in range(3):
        door.submit(score(f"page-{number}"))
    names: list[str] = []
    cursor = ""
    while True:
        page = door.get("/api/applications", search="page-", limit=2, cursor=cursor)
        assert len(page["items"]) <= 2
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert names == ["page-0", "page-1", "page-2"]
    assert door.get("/api/specs", search="page-1")["items"][0]["name"] == "page-1"


def test_variables_are_masked_until_a_person_asks_and_that_leaves_an_event(door: Door) -> None:
    variables = {"HOST": "${resources.db.host}", "KEY": "${resources.db.key}"}
    door.submit(score("vars", variables=variables, db="database"))
    door.settled("vars")
    masked = door.get("/api/applications/vars/variables")
    assert masked["containers"]["main"]["KEY"] == "***"
    assert masked["containers"]["main"]["HOST"].endswith(".test")
    assert masked["secret"] == {"main": ["KEY"]}
    events = door.get("/api/events", app="vars", limit=200)["items"]
    assert "variables.revealed" not in {event["kind"] for event in events}
    shown = door.get("/api/applications/vars/variables", reveal=True)
    assert shown["containers"]["main"]["KEY"] == "s3cret-key"
    told = [e for e in door.get("/api/events", app="vars", limit=200)["items"] if e["kind"] == "variables.revealed"]
    assert [event["actor"] for event in told] == ["api_key:token"]
    assert "s3cret-key" not in json.dumps(told)


def test_variables_of_what_is_not_there_yet_are_a_conflict(door: Door) -> None:
    door.submit(score("unready", variables={"HOST": "${resources.db.host}"}, db="gated"))
    problem(door.client.get("/api/applications/unready/variables"), 409, "not_ready")


def test_the_text_of_a_spec_is_shown_only_on_request_and_audited(door: Door) -> None:
    source = score("texts", db={"type": "database", "params": {"password": "hunter22"}})
    door.submit(source)
    hidden = door.get("/api/specs/texts")
    assert "source" not in hidden["spec"]
    assert "hunter22" not in json.dumps(hidden["spec"])
    assert door.get("/api/specs/texts", reveal=True)["spec"]["source"] == source
    kinds = [event["kind"] for event in door.get("/api/events", app="texts", limit=200)["items"]]
    assert kinds.count("spec.revealed") == 1


def test_deleting_is_planned_then_agreed_to_then_done(door: Door) -> None:
    door.submit(score("leaving", db="database"))
    door.settled("leaving")
    planned = door.client.delete("/api/applications/leaving", params={"dry_run": True})
    assert planned.status_code == 200
    wrong = door.client.delete("/api/applications/leaving", params={"plan_hash": "nonsense"})
    problem(wrong, 409, "stale_plan")
    plan_hash = planned.json()["plan_hash"]
    done = door.client.delete("/api/applications/leaving", params={"plan_hash": plan_hash})
    assert done.status_code == 202
    for execution_id in done.json()["execution_ids"]:
        door.ended(execution_id)
    _gone(door, "leaving")


def _gone(door: Door, name: str) -> None:
    until(lambda: door.client.get(f"/api/applications/{name}").status_code == 404)


def test_each_way_to_delete_does_the_same(door: Door) -> None:
    ways = [
        ("DELETE", "/api/specs/{}"),
        ("POST", "/api/applications/{}/deprovision"),
        ("POST", "/api/specs/{}/deprovision"),
    ]
    for number, (method, path) in enumerate(ways):
        name = f"way-{number}"
        door.submit(score(name))
        door.settled(name)
        assert door.client.request(method, path.format(name)).status_code == 202
        _gone(door, name)


def test_deleting_what_is_protected_is_refused_whole(door: Door) -> None:
    door.submit(score("guarded", vault="vault"), environment="production")
    answer = door.client.delete("/api/applications/guarded", params={"environment": "production"})
    problem(answer, 409, "protected")


def test_environments_are_listed_with_their_applications(door: Door) -> None:
    door.submit(score("somewhere"), environment="qa")
    items = {item["name"]: item["applications"] for item in door.get("/api/environments")["items"]}
    assert items["qa"] == 1
    assert "default" in items
