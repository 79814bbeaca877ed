"""`innominatus worker` in several processes: stopped, killed, and what becomes of what it was at."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.store import facts
from engine.store.database import Store
from tests.support.platforms import (
    KEY,
    House,
    build_platform,
    database_url,
    postgres_with_tables,
    sqlite_with_tables,
    store,
    until,
)
from tests.support.providers import script, values, workflow, write_provider
from tests.support.served import clean_environment

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables", "store"]
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

HOLD = 'echo begun >> "$PARAM_DIR/log"; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.02; done; echo ended >> "$PARAM_DIR/log"'
GOLDEN = {
    "hold": workflow(
        [script("holds", HOLD, idempotent=True), values("after", a=1)],
        parameters=[{"name": "dir", "type": "string", "required": True}],
    )
}


@dataclass
class Workers:
    """One `innominatus worker --processes 2` on the database of a house whose own engine does not run."""

    house: House
    process: "subprocess.Popen[bytes]"
    folder: Path

    def begin(self, count: int) -> list[ExecutionId]:
        return [self.house.execute("hold", dir=str(self.folder)) for _ in range(count)]

    def lines(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().split() if path.exists() else []

    def told(self, event: str) -> list[Any]:
        lines = [json.loads(line) for line in (self.folder / "worker.log").read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def children(self) -> list[int]:
        shown = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in shown.splitlines()]
        return [int(pid) for pid, parent in pairs if int(parent) == self.process.pid]

    def states(self, ids: list[ExecutionId]) -> set[ExecutionState]:
        return {self.house.execution(found).state for found in ids}


@pytest.fixture
def workers(request: pytest.FixtureRequest, store: Store, database_url: str, tmp_path: Path) -> Iterator[Workers]:
    lease = getattr(request, "param", "3600")
    provider = write_provider(tmp_path / "provider", golden=GOLDEN)
    house = build_platform(store, tmp_path, [provider])
    with store.begin() as tx:
        facts.check_key(tx)
    environment = clean_environment(
        INNOMINATUS_DATABASE_URL=database_url,
        INNOMINATUS_SECRET_KEY=base64.urlsafe_b64encode(KEY).decode(),
        INNOMINATUS_PROVIDERS=str(provider),
        INNOMINATUS_DATA_DIR=str(tmp_path / "data"),
        INNOMINATUS_LEASE_SECONDS=lease,
        INNOMINATUS_SWEEP_SECONDS="0.2",
        INNOMINATUS_GRACE_SECONDS="60",
        INNOMINATUS_LOG_FORMAT="json",
    )
    command = [sys.executable, "-m", "cli.server", "worker", "--processes", "2", "--threads", "2"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, stdin=subprocess.DEVNULL)
    made = Workers(house, process, tmp_path)
    until(lambda: len(made.told("worker.started")) == 2 or None, seconds=60, told=(tmp_path / "worker.log").read_text)
    yield made
    (tmp_path / "go").touch()
    process.terminate()
    process.wait(60)


def test_told_to_stop_it_ends_its_steps_begins_nothing_and_gives_the_rest_back_at_once(workers: Workers) -> None:
    ids = workers.begin(10)
    until(lambda: len(workers.lines()) == 4)
    workers.process.send_signal(signal.SIGTERM)
    until(lambda: len(workers.told("worker.stopping")) == 2)
    (workers.folder / "go").touch()
    assert workers.process.wait(60) == 0
    assert workers.lines() == ["begun"] * 4 + ["ended"] * 4
    assert workers.states(ids) <= {ExecutionState.PENDING, ExecutionState.RUNNING}
    assert len(workers.told("worker.stopped")) == 2

    workers.house.engine.start()  # leases hold an hour: whatever was not given back would be left lying
    try:
        done = [workers.house.ended(found, seconds=60) for found in ids]
    finally:
        workers.house.engine.stop(grace=0.2)
    assert {run.state for run in done} == {ExecutionState.SUCCEEDED}
    assert workers.lines().count("begun") == 10, "no finished step ran twice"


@pytest.mark.parametrize("workers", ["1"], indirect=True)
def test_a_process_that_is_killed_is_replaced_and_what_it_was_at_goes_on(workers: Workers) -> None:
    ids = workers.begin(4)
    until(lambda: len(workers.lines()) == 4)
    before = workers.children()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(workers.told("worker.started")) == 3, seconds=60)
    after = workers.children()
    assert len(after) == 2
    assert before[1] in after
    assert before[0] not in after
    until(lambda: workers.lines().count("begun") >= 6, seconds=60)  # the two it held, anew: they are idempotent
    (workers.folder / "go").touch()
    for found in ids:
        assert workers.house.ended(found, seconds=60).state is ExecutionState.SUCCEEDED
    assert [line["pid"] for line in workers.told("worker.ended")] == [before[0]]


@pytest.mark.parametrize("workers", ["1"], indirect=True)
def test_the_processes_of_one_that_is_killed_end_and_claim_nothing_more(workers: Workers) -> None:
    children = workers.children()
    assert len(children) == 2
    workers.process.kill()
    workers.process.wait(60)
    until(lambda: len(workers.told("worker.stopped")) == 2, seconds=60)
    assert len(workers.told("worker.orphaned")) == 2
