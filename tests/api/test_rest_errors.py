"""Every refusal is problem+json, whatever refused."""

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import errors
from engine.errors import (
    FAMILIES,
    Conflict,
    Denied,
    InnominatusError,
    Internal,
    Invalid,
    NotFound,
    Problem,
    Unavailable,
)
from tests.support.rest import Door, problem


def test_every_family_has_its_status() -> None:
    assert set(errors.STATUS) == set(FAMILIES)
    assert len(set(errors.STATUS.values())) == len(FAMILIES)


@pytest.fixture
def failing() -> Iterator[TestClient]:
    """An app that raises what it is told to."""
    app = FastAPI()
    raised: dict[str, Exception] = {
        "missing": NotFound("resource", "dbb", known=["db"]),
        "conflict": Conflict("No.", code="stale_plan", hint="Look again.", details={"at": {1, 2}, "list": ("a", None)}),
        "invalid": Invalid("Bad.", [Problem("p", "a.b", "wrong", "right", 3, 4, file="x.yaml")]),
        "denied": Denied("No."),
        "unavailable": Unavailable("Later."),
        "internal": Internal("Broken."),
        "defect": RuntimeError("password=hunter22 in /srv/secret/place"),
        "half": Conflict("half of \ud800"),
    }

    def fail(name: str) -> None:
        raise raised[name]

    app.add_api_route("/{name}", fail)
    errors.install(app)
    app.add_middleware(errors.Unexpected)
    with TestClient(app) as client:
        yield client


def test_each_family_is_told_as_problem_json(failing: TestClient) -> None:
    assert "`db`" in problem(failing.get("/missing"), 404, "resource_not_found")["hint"]
    conflict = problem(failing.get("/conflict"), 409, "stale_plan")
    assert conflict["type"] == "urn:innominatus:problem:stale_plan"
    assert conflict["title"] == "Conflict"
    assert conflict["details"]["list"] == ["a", None]
    assert problem(failing.get("/invalid"), 422, "invalid")["problems"] == [
        {
            "code": "p",
            "severity": "error",
            "path": "a.b",
            "file": "x.yaml",
            "line": 3,
            "column": 4,
            "message": "wrong",
            "fix": "right",
        }
    ]
    problem(failing.get("/denied"), 403, "denied")
    assert failing.get("/unavailable").headers["retry-after"] == "5"
    problem(failing.get("/unavailable"), 503, "unavailable")
    problem(failing.get("/internal"), 500, "internal")
    problem(failing.get("/half"), 409, "conflict")


def test_what_nobody_foresaw_tells_nothing_of_the_inside(failing: TestClient) -> None:
    answer = failing.get("/defect")
    problem(answer, 500, "internal")
    assert "hunter22" not in answer.text
    assert "secret" not in answer.text


def test_an_error_of_a_family_to_come_is_internal_and_not_a_crash() -> None:
    class New(InnominatusError):
        pass

    assert errors.status_of(New("?")) == 500


def test_unknown_paths_and_methods_are_told_the_same_way(door: Door) -> None:
    assert problem(door.client.get("/api/nothing"), 404, "not_found")["type"] == "about:blank"
    problem(door.client.get("/api/applications/"), 404, "not_found")
    answer = door.client.put("/api/applications")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


def test_a_body_that_is_not_json_is_malformed(door: Door) -> None:
    headers = {"content-type": "application/json"}
    for path in ("/api/workflows/execute", "/api/applications"):
        for body in (b"{", b'{"source": "a}', b"\xff\xfe", b"[" * 100_000, b"1" * 10_000):
            answer = door.client.post(path, content=body, headers=headers)
            assert answer.status_code in {400, 422}, (path, body[:20], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    problem(door.client.post("/api/applications", content=b"{", headers=headers), 400, "malformed_body")
    problem(door.client.post("/api/workflows/execute", content=b"{", headers=headers), 400, "malformed_body")
    problem(door.client.post("/api/applications", content=b" \n"), 400, "malformed_body")


def test_a_refused_value_is_not_repeated(door: Door) -> None:
    body = {"workflow": ["hunter22"], "inputs": "hunter22", "hunter22": 1}
    answer = door.client.post("/api/workflows/execute", json=body)
    found = problem(answer, 422, "invalid_request")
    assert len(found["problems"]) == 3
    assert "hunter22" not in json.dumps([item["message"] for item in found["problems"]])
    assert "pydantic" not in answer.text


@pytest.mark.parametrize("body", ["[]", '"x"', "null", "7", '{"source": 5}', '{"source": "a", "dryrun": true}', "{}"])
def test_an_envelope_of_the_wrong_shape_is_invalid(door: Door, body: str) -> None:
    answer = door.client.post("/api/applications", content=body, headers={"content-type": "application/json"})
    assert problem(answer, 422, "invalid_request")["problems"]


def test_a_misspelt_parameter_is_refused_and_the_right_one_named(door: Door) -> None:
    answer = door.client.delete("/api/applications/shop", params={"enviroment": "staging"})
    found = problem(answer, 422, "invalid_request")
    assert found["problems"][0]["path"] == "query.enviroment"
    assert "`environment`" in found["problems"][0]["fix"]
    twice = door.client.get("/api/applications", params=[("environment", "a"), ("environment", "b")])
    assert problem(twice, 422, "invalid_request")["problems"][0]["code"] == "repeated_parameter"
    several = door.client.get("/api/stats", params={"a": 1, "b": 2})
    assert len(problem(several, 422, "invalid_request")["problems"]) == 2


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "9" * 19}])
def test_pages_have_limits(door: Door, query: dict[str, str]) -> None:
    for path in ("/api/applications", "/api/resources", "/api/workflows", "/api/events"):
        problem(door.client.get(path, params=query), 422, "invalid_request")
