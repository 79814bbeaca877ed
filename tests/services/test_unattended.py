"""Work that no worker takes up: who asks is told so, and what to start."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from cli import web
from engine.services import claiming, executions, overview
from engine.store import claims
from engine.store.tables import executions as table
from tests.services.conftest import ME, Build, House

WAITS = "the first execution in the queue has waited 6"
START = "no worker is at work: start one on the same database with `innominatus worker`"
ON_POSTGRESQL = pytest.mark.parametrize("build", ["postgresql"], indirect=True)


def begin(house: House, count: int) -> None:
    for _ in range(count):
        executions.execute(house.platform, ME, "hello", {"name": "x"})


def a_minute_passes(house: House, state: str) -> None:
    """What is pending has waited for it; what is running holds by a lease that runs out."""
    with house.platform.store.begin() as tx:
        for number, moment in tx.connection.execute(
            sa.select(table.c.id, table.c.ready_at).filter_by(state=state)
        ).all():
            earlier = sa.update(table).where(table.c.id == number).values(ready_at=moment - timedelta(minutes=1))
            tx.connection.execute(earlier)


@ON_POSTGRESQL
def test_work_left_lying_is_told_with_what_to_start(build: Build) -> None:
    house = build(engine=False)
    door = TestClient(web.doors(house.running, token="t"), base_url="http://localhost")
    door.headers["Authorization"] = "Bearer t"
    begin(house, 2)
    assert door.get("/ready").json() == {"status": "ready"}
    assert door.get("/api/admin/claiming").json()["unattended"] == ""
    a_minute_passes(house, "pending")
    ready = door.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["reason"].startswith(WAITS)
    assert ready.json()["reason"].endswith(f" s for a worker; {START}")
    assert door.get("/api/admin/claiming").json()["unattended"] == START
    claiming.pause(house.platform, ME)
    assert claiming.state(house.platform).unattended == ""


@ON_POSTGRESQL
def test_what_waits_for_busy_workers_needs_none_started_until_their_leases_run_out(build: Build) -> None:
    house = build(engine=False)
    begin(house, 2)
    a_minute_passes(house, "pending")
    with house.platform.store.begin() as tx:
        assert len(claims.claim(tx, worker="w", limit=1, cap=9, lease=30)) == 1
    assert overview.left_lying(house.platform).startswith(WAITS)
    assert claiming.state(house.platform).unattended == ""
    a_minute_passes(house, "running")
    assert claiming.state(house.platform).unattended == START


@pytest.mark.parametrize("build", ["sqlite"], indirect=True)
def test_no_worker_is_asked_for_where_there_can_be_none(build: Build) -> None:
    house = build(engine=False)
    begin(house, 1)
    a_minute_passes(house, "pending")
    assert overview.left_lying(house.platform).startswith(WAITS)
    assert claiming.state(house.platform).unattended == ""
