"""How answers are written."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api import errors, routing
from api.app import NOUNS
from api.arguments import reader
from api.inputs import ANYWHERE, Environment, Filter, Limit, Name, Number, Reveal, only_known_parameters


def answering(answer: Any) -> TestClient:
    router = routing.router("test")

    @router.get("/at-once")
    def at_once() -> Any:
        return answer

    @router.get("/when-ready", status_code=202)
    async def when_ready() -> Any:
        return answer

    app = FastAPI()
    app.include_router(router)
    return TestClient(app)


def test_an_answer_is_compact_json_in_utf_8_with_numbers_of_any_size() -> None:
    client = answering({"name": "Köln", "largest": 10**30, "none": None, "parts": [1.5, True]})
    for path, status in (("/at-once", 200), ("/when-ready", 202)):
        told = client.get(path)
        assert (told.status_code, told.headers["content-type"]) == (status, "application/json")
        assert told.text == '{"name":"Köln","largest":1000000000000000000000000000000,"none":null,"parts":[1.5,true]}'


def test_what_is_no_json_is_a_defect_and_not_shown_in_another_form() -> None:
    with pytest.raises(TypeError):
        answering({"at": datetime.now(UTC)}).get("/at-once")


def asked_for(
    name: Name,
    number: Number,
    app: Filter = None,
    environment: Environment = ANYWHERE,
    *,
    reveal: Reveal = False,
    limit: Limit = 20,
) -> Any:
    return [name, number, app, environment, reveal, limit]


@pytest.mark.parametrize(
    "path",
    [
        "/a/1",
        "/a/1?",
        "/a%20b/2?app=x&limit=200&reveal=true",
        "/a/3?app=&environment=%C3%B6",
        "/a/4?reveal=1&limit=07",
        "/a/5?limit=201",
        "/a/6?limit=x",
        "/a/7?limit=",
        "/a/8?app=x&app=y",
        "/a/9?ap=x&limit=0",
        "/a/0",
        "/a/x",
        "/a/1?number=2",
        "/a/1?name=b",
        "/a/1?app=%00",
        "/a/1?app=" + "x" * 300,
        "/%00/1",
        "/a/99999999999999999999?reveal=perhaps&environment=" + "y" * 64,
    ],
)
def test_a_request_means_the_same_by_the_straight_way_as_by_fastapi_s(path: str) -> None:
    straight = routing.router("test")
    straight.get("/{name}/{number}")(asked_for)
    told: list[tuple[int, Any]] = []
    for app in (FastAPI(), FastAPI(dependencies=[Depends(only_known_parameters)])):
        if told:
            app.get("/{name}/{number}")(asked_for)
        else:
            app.include_router(straight)
        errors.install(app)
        answer = TestClient(app).get(path)
        told.append((answer.status_code, answer.json()))
    assert told[0] == told[1]


def test_whatever_is_read_is_reached_by_the_straight_way() -> None:
    """The other one costs as much as the database."""
    routes = [route for noun in NOUNS for route in noun.router.routes if isinstance(route, APIRoute)]
    reading = [route for route in routes if route.methods == {"GET"}]
    long = {route.path for route in reading if reader(route.dependant) is None}
    assert long == {"/api/events/stream"}  # a header says from where on
