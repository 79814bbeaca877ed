"""An application with a time to live is deleted when it is over, by the rules that hold for people too."""

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from cli import web
from engine.domain.event import Event
from engine.errors import Invalid, NotFound
from engine.services import applications, expiry, submissions, timeline
from engine.store.tables import applications as table
from tests.services.conftest import ME, Build, House
from tests.support import team
from tests.support.platforms import until
from tests.support.score import score


def living(name: str, ttl: str = "24h", **resources: object) -> str:
    return json.dumps(
        {
            **json.loads(score(name, variables=None, image="one", **resources)),
            "environment": {"type": "default", "ttl": ttl},
        }
    )


def submit(house: House, source: str, *, environment: str = "default") -> None:
    house.submit(source, environment=environment)
    house.rest()


def come_due(house: House, name: str) -> None:
    """Its time is over, though little of it has passed."""
    with house.platform.store.begin() as tx:
        over = tx.now - timedelta(seconds=1)
        tx.connection.execute(sa.update(table).where(table.c.name == name).values(expires_at=over))


def facts(house: House, name: str, environment: str = "default") -> list[Event]:
    found = timeline.listed(house.platform, application=name, environment=environment, limit=500).items
    return [fact for fact in found if fact.kind.startswith(("application.", "spec."))]


def test_it_goes_in_reverse_order_when_its_time_is_over_and_the_timeline_says_why(build: Build) -> None:
    house = build()
    submit(house, living("preview", db="database", cache="cache"))
    submit(house, score("for-good", db="database"))
    assert expiry.expire_due(house.platform) == 0
    come_due(house, "preview")
    until(lambda: expiry.expire_due(house.platform) or facts(house, "preview")[-1].kind != "spec.submitted")
    house.rest()
    with pytest.raises(NotFound):
        applications.get(house.platform, "preview")
    assert house.status("for-good") == "active"
    told = facts(house, "preview")
    assert {(fact.kind, fact.actor) for fact in told[-2:]} == {
        ("application.expired", "system:engine"),
        ("application.deleted", "system:engine"),
    }
    gone = [
        fact.data["name"]
        for fact in timeline.listed(house.platform, application="preview", limit=500).items
        if fact.kind == "resource.terminated"
    ]
    assert gone[0] == "workload", "the workload goes before what it uses"


def test_the_engine_sees_to_it_by_itself(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNOMINATUS_SWEEP_SECONDS", "0.1")
    house = build()
    submit(house, living("short", "1s"))
    until(lambda: facts(house, "short")[-1].kind != "spec.submitted")
    house.rest()
    assert house.resources("short") == {}


def test_a_redeploy_renews_it_and_one_without_a_ttl_ends_it(build: Build) -> None:
    house = build(engine=False)
    house.submit(living("app", "1h"))
    first = applications.get(house.platform, "app").application
    assert first.expires_at is not None
    assert first.updated_at is not None
    assert timedelta(minutes=59) < first.expires_at - first.updated_at < timedelta(minutes=61)
    assert facts(house, "app")[-1].data["expires_at"]
    come_due(house, "app")
    house.submit(living("app", "1h"))  # nothing else has changed
    second = applications.get(house.platform, "app").application.expires_at
    assert second is not None
    assert second >= first.expires_at
    assert expiry.expire_due(house.platform) == 0
    house.submit(score("app"))
    assert applications.get(house.platform, "app").application.expires_at is None


def test_what_a_provider_protects_stays_and_the_timeline_says_so_once(build: Build) -> None:
    house = build()
    submit(house, living("safe", thing="vault"), environment="production")
    come_due(house, "safe")
    for _ in range(3):
        assert expiry.expire_due(house.platform) == 0
    assert house.status("safe", environment="production") == "active"
    refused = [fact for fact in facts(house, "safe", "production") if fact.kind == "application.expiry-refused"]
    assert len(refused) == 1
    assert "protect" in str(refused[0].data["error"])


def test_what_a_provider_retains_is_forgotten_and_not_deleted(build: Build) -> None:
    house = build()
    submit(house, living("kept", thing="archive"), environment="production")
    come_due(house, "kept")
    until(lambda: expiry.expire_due(house.platform) or not house.resources("kept", environment="production"))
    house.rest()
    assert house.resources("kept", environment="production") == {}


def test_many_who_look_at_once_delete_it_once(build: Build) -> None:
    house = build(engine=False)
    house.submit(living("app", db="database"))
    come_due(house, "app")
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(expiry.expire_due(house.platform))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == [0, 0, 0, 1]
    assert [fact.kind for fact in facts(house, "app")].count("application.deleted") == 1


def test_a_deleted_application_that_comes_back_does_not_inherit_it(build: Build) -> None:
    house = build()
    submit(house, living("app", "1h"))
    house.delete("app")
    house.rest()
    submit(house, score("app"))
    assert applications.get(house.platform, "app").application.expires_at is None


@pytest.mark.parametrize("ttl", ["0s", "0h", "200000w"])
def test_a_time_that_is_none_is_refused(build: Build, ttl: str) -> None:
    with pytest.raises(Invalid) as told:
        build(engine=False).submit(living("app", ttl))
    assert {problem.path for problem in told.value.problems if problem.severity == "error"} == {"environment.ttl"}


def test_strict_mode_refuses_the_dialect_as_before(build: Build) -> None:
    with pytest.raises(Invalid):
        submissions.submit(build(engine=False).platform, ME, living("app"), strict=True)


def test_rest_and_lists_show_when_it_expires(build: Build, tmp_path: Path) -> None:
    house = build(team.write(tmp_path / "t"), engine=False)
    house.submit(living("app", "1h"))
    house.submit(score("other"))
    door = TestClient(web.doors(house.running, token="t"), base_url="http://localhost")
    door.headers["Authorization"] = "Bearer t"
    listed = {item["name"]: item["expires_at"] for item in door.get("/api/applications").json()["items"]}
    assert listed["other"] is None
    assert door.get("/api/applications/app").json()["expires_at"] == listed["app"]
    assert listed["app"].endswith("Z")
