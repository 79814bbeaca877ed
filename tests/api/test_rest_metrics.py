"""Liveness, readiness and numbers for machines."""

from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from starlette.testclient import TestClient

from api.app import Readiness, create_app
from engine.domain.event import Event
from engine.store import events, tallies
from engine.store.database import Store
from tests.support import team
from tests.support.platforms import build_platform
from tests.support.rest import Door, problem
from tests.support.score import score

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _samples(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def _of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_template_method_and_status(door: Door) -> None:
    counter = "innominatus_http_requests_total"
    labels = {"method": "GET", "route": "/api/applications/{name}", "status": "404"}
    before = _samples(door.client)
    for name in ("aa", "bb", "cc"):
        door.client.get(f"/api/applications/{name}-not-there")
    door.client.get("/no/such/path")
    door.client.get("/api/stats", headers={"Authorization": "Bearer wrong"})
    door.client.request("BREW", "/no/such/path")
    after = _samples(door.client)
    assert _of(after, counter, **labels) == _of(before, counter, **labels) + 3
    assert _of(after, counter, method="GET", route="none", status="404") >= 1
    assert _of(after, counter, method="GET", route="none", status="401") >= 1
    assert _of(after, counter, method="other", route="none", status="404") == 1
    assert "not-there" not in door.client.get("/metrics").text
    took = {"method": "GET", "route": "/api/applications/{name}"}
    assert _of(after, "innominatus_http_request_duration_seconds_count", **took) >= 3


def test_work_is_counted(door: Door, tmp_path: Path) -> None:
    before = _samples(door.client)
    door.submit(score("measured", db="database"))
    door.settled("measured")
    door.submit(score("measured-badly", frail={"type": "fragile", "params": {"needs_file": str(tmp_path / "no")}}))
    door.settled("measured-badly")
    after = _samples(door.client)

    def grown(name: str, **labels: str) -> float:
        return _of(after, name, **labels) - _of(before, name, **labels)

    assert grown("innominatus_submissions_total") == 2
    assert grown("innominatus_executions_finished_total", state="succeeded") == 2
    assert grown("innominatus_executions_finished_total", state="failed") == 1  # and no workload after it
    assert grown("innominatus_resources", type="database", state="active") == 1
    assert grown("innominatus_resources", type="fragile", state="failed") == 1
    assert grown("innominatus_applications") == 2
    assert _of(after, "innominatus_queue_depth") == 0
    assert _of(after, "innominatus_database_up") == 1


def test_totals_count_every_event_once_whatever_was_counted_before(store: Store, tmp_path: Path) -> None:
    house = build_platform(store, tmp_path, [team.write(tmp_path / "team")])
    client = TestClient(create_app(house.platform, token="t"), base_url="http://localhost")
    expected = 0
    for turn in range(6):
        with store.begin() as tx:
            events.record(tx, [Event("spec.submitted", "user:x"), Event("other", "user:x")] * turn)
            expected += turn
        with store.begin() as tx:  # some of it, so that each scrape finds counted events and new ones
            tallies.fold(tx, limit=7, settled=timedelta(seconds=-1))
        assert _of(_samples(client), "innominatus_submissions_total") == expected


def test_readiness_is_the_engine_and_the_database(store: Store, tmp_path: Path) -> None:
    house = build_platform(store, tmp_path, [team.write(tmp_path / "team")])
    states = [
        Readiness(ready=True),
        Readiness(ready=True, reason="old providers"),
        Readiness(ready=False, reason="No engine."),
    ]
    app = create_app(house.platform, token="t", ready=lambda: states.pop(0))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/ready").json() == {"status": "ready"}
        assert client.get("/ready").json() == {"status": "degraded", "reason": "old providers"}
        assert problem(client.get("/ready"), 503, "not_ready")["detail"] == "No engine."
        with store.begin() as tx:  # the tables are needed for work, not for an answer
            tx.connection.execute(text("alter table events rename to lost"))
        assert _of(_samples(client), "innominatus_database_up") == 0
        assert client.get("/health").json() == {"status": "ok"}


def test_a_database_that_is_away_is_told_without_its_address(tmp_path: Path, store: Store) -> None:
    house = build_platform(store, tmp_path, [team.write(tmp_path / "team")])
    app = create_app(house.platform, token="t")
    with TestClient(app, base_url="http://localhost", headers={"X-API-Key": "t"}) as client:
        store.close()
        broken = _unreachable(house.platform.store)
        answer = client.get("/ready")
        problem(answer, 503, "database_unavailable")
        assert broken not in answer.text
        assert _of(_samples(client), "innominatus_database_up") == 0
        told = client.get("/api/stats")
        problem(told, 503, "database_unavailable")
        assert broken not in told.text


def _unreachable(store: Store) -> str:
    """Point a store to where no database is; gives what must not be told."""
    from engine.store.database import open_engine

    place = "/nonexistent-folder-of-tests/x.db"
    engine = open_engine(f"sqlite:///{place}", pool_size=1)
    store.engine = engine
    store._readers = engine.execution_options(innominatus_read_only=True)  # pyright: ignore[reportPrivateUsage] # the far side goes away
    return "nonexistent-folder-of-tests"
