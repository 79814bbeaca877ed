"""The database's disk is full for a while: records wait, the engine says so, and nothing is lost."""

import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from starlette.testclient import TestClient

from cli.compose import Running
from cli.web import doors
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.store.database import Store
from tests.support.disks import DISKS, Disk, HalfFull, refusals
from tests.support.platforms import House, build_platform, open_store, running_platform, until
from tests.support.postgres import PostgresServer
from tests.support.providers import kind, script, values, workflow, write_provider

DIR = [{"name": "dir", "type": "string", "required": True}]
RUNS = 'echo "$INNOMINATUS_STEP" >> "$PARAM_DIR/runs"'
WAITS = 'touch "$PARAM_DIR/there"; until [ -e "$PARAM_DIR/go" ]; do sleep 0.02; done'
LARGE = 'echo "much=$(head -c 200000 /dev/zero | tr "\\0" x)" >> $INNOMINATUS_OUTPUT'
SPEC = "apiVersion: score.dev/v1b1\nmetadata: {name: blog}\ncontainers: {main: {image: v1}}\n"
ASKS = {"application": "shop", "type": "thing"}
GOLDEN = {
    "chain": workflow([script("first", f"{RUNS}; {WAITS}; {LARGE}"), script("second", RUNS)], parameters=DIR),
    "again": workflow([script("first", f"{WAITS}; {RUNS}; {LARGE}", idempotent=True)], parameters=DIR),
    "talks": workflow([script("talks", f"{WAITS}; echo one; until [ -e $PARAM_DIR/end ]; do sleep 0.02; done; echo two")], parameters=DIR),
    "asks": workflow([script("first", f"{RUNS}; {WAITS}"), {"name": "asks", "type": "resource-provisioning", "config": ASKS}], parameters=DIR),
    "submits": workflow([script("first", f"{RUNS}; {WAITS}"), {"name": "submits", "type": "resource-provisioning", "config": {"spec": SPEC}}], parameters=DIR),
    "calls": workflow([script("first", f"{RUNS}; {WAITS}"), {"name": "calls", "type": "workflow", "config": {"workflow": "small"}}], parameters=DIR),
    "small": workflow([values("a", b=1)]),
}  # fmt: skip
EVERY_WRITE = pytest.mark.parametrize("disk", ["read-only", "postgresql"], indirect=True)


@pytest.fixture(params=list(DISKS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk of each kind, with a fresh database on it."""
    name = cast("str", request.param)
    if name == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.database_url(template=request.getfixturevalue("postgres_with_tables"))
    else:
        shutil.copyfile(request.getfixturevalue("sqlite_with_tables"), tmp_path / "innominatus.db")
        url = f"sqlite:///{tmp_path / 'innominatus.db'}"
    store = open_store(url)
    yield DISKS[name](store)
    store.close()


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    kinds = {"thing": kind(), "workload": kind()}
    return write_provider(tmp_path / "team", golden=GOLDEN, kinds=kinds)


def begun(house: House, name: str, folder: Path) -> ExecutionId:
    """The execution once its first step is at work."""
    execution_id = house.execute(name, dir=str(folder))
    until((folder / "there").exists)
    return execution_id


def runs(folder: Path) -> list[str]:
    return (folder / "runs").read_text().split()


def test_records_wait_and_the_engine_says_why(disk: Disk, provider: Path, tmp_path: Path) -> None:
    with running_platform(disk.store, tmp_path, [provider], lease_seconds=60.0) as house:
        execution_id = begun(house, "chain", tmp_path)
        with disk.full():
            (tmp_path / "go").touch()
            refusals(disk, "runs", 2)
            assert until(lambda: house.engine.ailing) == f"records wait, because {disk.told}"
            answer = TestClient(doors(Running(house.platform, house.engine, None, StringIO()), token="t")).get("/ready")
            assert (answer.status_code, answer.json()["detail"]) == (503, f"records wait, because {disk.told}")
            assert house.step_states(execution_id) == [("first", 1, "running")]
        done = house.ended(execution_id)
        assert (done.state, done.fence) == ("succeeded", 1), done.error
        assert runs(tmp_path) == ["first", "second"]
        assert house.steps(execution_id)[0].outputs.values == {"much": "x" * 200_000}
        until(lambda: not house.engine.ailing)


@EVERY_WRITE
def test_an_engine_alone_keeps_its_steps_at_work_however_long_it_takes(
    disk: Disk, provider: Path, tmp_path: Path
) -> None:
    with running_platform(disk.store, tmp_path, [provider], lease_seconds=0.3) as house:
        execution_id = begun(house, "chain", tmp_path)
        with disk.full():
            refusals(disk, "heartbeat", 8)  # a beat is a third of a lease
            assert until(lambda: house.engine.ailing) == f"leases are not kept, because {disk.told}"
            (tmp_path / "go").touch()
            refusals(disk, "runs")
        done = house.ended(execution_id)
        assert (done.state, done.fence) == ("succeeded", 1), done.error
        assert runs(tmp_path) == ["first", "second"]


@pytest.mark.parametrize("disk", ["postgresql"], indirect=True)
def test_one_engine_of_several_writes_what_was_done_and_goes_on_once_its_lease_is_over(
    disk: Disk, provider: Path, tmp_path: Path
) -> None:
    several = {"database_url": "postgresql://others.work.on.it/too", "lease_seconds": 1.0}
    with running_platform(disk.store, tmp_path, [provider], **several) as house:
        execution_id = begun(house, "chain", tmp_path)
        with disk.full():
            (tmp_path / "go").touch()
            refusals(disk, "runs")
            refusals(disk, "heartbeat", 8)
        done = house.ended(execution_id)
        assert (done.state, done.fence) == ("succeeded", 2), done.error
        assert runs(tmp_path) == ["first", "second"]


@pytest.mark.parametrize("disk", ["postgresql"], indirect=True)
def test_a_step_that_is_ended_because_its_lease_ran_out_is_interrupted_and_has_not_failed(
    disk: Disk, provider: Path, tmp_path: Path
) -> None:
    # The engine beats every second: at the third beat without an answer the warden has ended the program already.
    several = {"database_url": "postgresql://others.work.on.it/too", "lease_seconds": 3.5}
    with running_platform(disk.store, tmp_path, [provider], **several) as house:
        execution_id = begun(house, "again", tmp_path)
        with disk.full():
            refusals(disk, "heartbeat", 2)
            refusals(disk, "runs")  # the program is gone: its end cannot be told, and nobody can take it over
        (tmp_path / "go").touch()
        done = house.ended(execution_id)
        assert done.state == "succeeded", done.error
        assert house.step_states(execution_id) == [("first", 1, "cancelled"), ("first", 2, "succeeded")]
        assert house.steps(execution_id)[0].reason == "interrupted"
        assert runs(tmp_path) == ["first"]


@EVERY_WRITE
def test_what_a_step_says_meanwhile_is_stored_when_there_is_room(disk: Disk, provider: Path, tmp_path: Path) -> None:
    with running_platform(disk.store, tmp_path, [provider], lease_seconds=60.0) as house:
        execution_id = begun(house, "talks", tmp_path)
        with disk.full():
            (tmp_path / "go").touch()
            refusals(disk, "logs")
        until(lambda: house.log(execution_id) == "one\n")
        (tmp_path / "end").touch()
        assert house.ended(execution_id).state == "succeeded"
        assert house.log(execution_id) == "one\ntwo\n"


@EVERY_WRITE
def test_an_engine_can_be_stopped_meanwhile_and_the_next_one_goes_on(
    disk: Disk, provider: Path, tmp_path: Path
) -> None:
    house = build_platform(disk.store, tmp_path, [provider])
    house.engine.start()
    execution_id = begun(house, "again", tmp_path)
    with disk.full():
        (tmp_path / "go").touch()
        refusals(disk, "runs")
        house.engine.stop(grace=0.1)
    with running_platform(disk.store, tmp_path, [provider]) as after:
        assert after.ended(execution_id).state == "succeeded"


@pytest.mark.parametrize("name", ["asks", "submits", "calls"])
def test_what_a_step_asks_of_the_platform_is_asked_again(
    store: Store, provider: Path, tmp_path: Path, name: str
) -> None:
    half = HalfFull(store)
    with running_platform(store, tmp_path, [provider]) as house:
        execution_id = begun(house, name, tmp_path)
        before, half.full = half.refused, True
        (tmp_path / "go").touch()
        until(lambda: house.step_in(execution_id, name, "running") and half.refused > before + 1)
        half.full = False
        done = house.ended(execution_id)
        assert done.state == "succeeded", done.error
        assert runs(tmp_path) == ["first"]


def test_people_are_told_to_send_it_again(store: Store, provider: Path, tmp_path: Path) -> None:
    half = HalfFull(store)
    with running_platform(store, tmp_path, [provider]) as house:
        half.full = True
        with pytest.raises(Unavailable) as told:
            house.submit(SPEC)
        assert "disk has room" in told.value.hint
        half.full = False
        house.submit(SPEC)
