"""How answers are written."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import routing


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
