"""The REST door over a running platform, called in process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from api.app import create_app
from engine.domain.values import ExecutionId
from tests.support import team
from tests.support.platforms import House, create_tables, open_store, running_platform, until

TOKEN = "inn_a-token-for-tests"


@dataclass(frozen=True)
class Door:
    """A client that has the token, and the house behind the door."""

    client: TestClient
    house: House

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, status: int = 202, **query: Any) -> Any:
        answer = self.client.post(path, params=query, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def submit(self, source: str, *, status: int = 202, **query: Any) -> Any:
        """Submit YAML and, where something started, wait for the whole application."""
        answer = self.client.post("/api/applications", params=query, content=source)
        assert answer.status_code == status, answer.text
        return answer.json()

    def settled(self, name: str, **query: Any) -> Any:
        """The application once all of its resources are what they are meant to be, or failed."""

        def look() -> Any:
            found = self.get(f"/api/applications/{name}", **query)
            return found if found["status"] not in {"in_progress", "deleting"} else None

        return until(look)

    def waiting(self, execution_id: int) -> Any:
        """The execution once one of its steps waits."""

        def look() -> Any:
            found = self.get(f"/api/workflows/{execution_id}")
            return found if "waiting" in {step["status"] for step in found["steps"]} else None

        return until(look)

    def ended(self, execution_id: int) -> None:
        self.house.ended(ExecutionId(execution_id))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    url = f"sqlite:///{folder / 'innominatus.db'}"
    create_tables(url)
    store = open_store(url)
    with running_platform(store, folder, [team.write(folder / "team")]) as house:
        app = create_app(house.platform, token=TOKEN, allowed_hosts=["platform.example"])
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with TestClient(app, base_url="http://localhost:8081", headers=headers) as client:
            yield Door(client, house)
    store.close()


def problem(answer: Response, status: int, code: str) -> Any:
    """The problem document of a refusal, checked for its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found.keys() == {"type", "title", "status", "detail", "code", "hint", "problems", "details"}
    assert found["status"] == status
    assert found["code"] == code
    assert found["detail"]
    return found
