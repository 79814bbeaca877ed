"""The engine is killed at every moment; what it was doing goes on at the next start, by the rules."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.values import ExecutionId
from engine.store.database import Store
from engine.store.tables import executions
from tests.chaos.workloads import alive
from tests.support.platforms import House, build_platform, until
from tests.support.providers import script, workflow, write_provider

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "engine_process.py"
Engine = subprocess.Popen[str]


def provider(folder: Path) -> Path:
    """Three steps that leave a line each (step and idempotency key); only the middle one must not run twice by itself."""
    ledger = folder / "ledger"
    effect = f'echo "$INNOMINATUS_STEP $INNOMINATUS_IDEMPOTENCY_KEY" >> {ledger}'
    slow = f"echo $$ >> {folder}/pids; sleep 60 & echo $! >> {folder}/pids; wait"
    stall = f"[ -e {folder}/go ] || pause=60; echo begun >> {folder}/stalls; sleep ${{pause:-0}}; echo done >> {folder}/stalls"
    golden = {
        "three": workflow(
            [
                script("first", effect, idempotent=True),
                script("second", effect, idempotent=False),
                script("third", effect, idempotent=True),
            ]
        ),
        "slow": workflow([script("sleeps", slow, idempotent=False)]),
        "stall": workflow([script("stalls", stall, idempotent=True)]),
    }
    return write_provider(folder / "provider", golden=golden)


def start(url: str, folder: Path, *order: str) -> Engine:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), url, str(folder), *order],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@contextmanager
def engine(url: str, folder: Path) -> Generator[Engine]:
    """An engine process at work; killed afterwards if it does not leave by itself."""
    process = start(url, folder)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        try:
            process.communicate("", timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def die_at(url: str, folder: Path, when: str, sequence: int) -> int:
    """Run `three` in a process that dies at that moment; the execution's number."""
    with start(url, folder, "three", when, str(sequence)) as process:
        assert process.stdout is not None
        try:
            code = process.wait(timeout=30)
        finally:
            process.kill()
        assert code == -signal.SIGKILL
        return int(process.stdout.readline())


MOMENTS = [(when, sequence) for sequence in (1, 2, 3, 4) for when in ("before", "after")]
RAN = {
    ("before", 1): ["first", "second", "third"],
    ("after", 1): ["first", "second", "third"],
    ("before", 2): ["first", "first", "second", "third"],
    ("after", 2): ["first", "second", "third"],
    ("before", 3): ["first", "second", "second", "third"],
    ("after", 3): ["first", "second", "third"],
    ("before", 4): ["first", "second", "third", "third"],
    ("after", 4): ["first", "second", "third"],
}
"""What has run in the end, the retry of an interrupted `second` included."""
INTERRUPTED = {("after", 2), ("before", 3)}


@pytest.fixture
def observer(store: Store, tmp_path: Path) -> House:
    """Reads what the engine processes do; runs nothing itself."""
    return build_platform(store, tmp_path, [provider(tmp_path)])


def test_a_kill_at_any_commit_repeats_only_what_may_be_repeated(
    database_url: str, observer: House, tmp_path: Path
) -> None:
    died = {ExecutionId(die_at(database_url, tmp_path, *moment)): moment for moment in MOMENTS}
    with observer.store.begin() as tx:  # their leases run out
        past = sa.update(executions).where(executions.c.state == "running").values(ready_at=tx.now)
        assert tx.connection.execute(past).rowcount == len(MOMENTS) - 1
    with engine(database_url, tmp_path):
        for execution_id, moment in died.items():
            ended = observer.ended(execution_id)
            if moment in INTERRUPTED:
                assert (ended.state, ended.reason) == ("failed", "interrupted"), moment
                assert observer.step_states(execution_id)[-2][::2] == ("second", "failed")
                observer.retry(execution_id)
                ended = observer.ended(execution_id)
            assert ended.state == "succeeded", (moment, ended, observer.step_states(execution_id))
        assert observer.idle()
    lines = (tmp_path / "ledger").read_text().splitlines()
    for execution_id, moment in died.items():
        mine = [line.split() for line in lines if line.split()[1].startswith(f"{execution_id}-")]
        assert [step for step, _ in mine] == RAN[moment], moment
        assert all(key == f"{execution_id}-{step}" for step, key in mine)


def test_the_programs_of_a_killed_engine_end_and_a_person_decides(
    database_url: str, observer: House, tmp_path: Path
) -> None:
    with engine(database_url, tmp_path) as process:
        execution_id = observer.execute("slow")
        pids = tmp_path / "pids"
        until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        process.kill()
        until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()), seconds=5)
    with engine(database_url, tmp_path):
        ended = observer.ended(execution_id)
        assert (ended.state, ended.reason) == ("failed", "interrupted")
        assert "not declared idempotent" in ended.error
    assert observer.idle()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_engine_that_is_stopped_past_its_lease_is_replaced_and_its_late_word_refused(
    database_url: str, observer: House, tmp_path: Path
) -> None:
    stalls = tmp_path / "stalls"
    with engine(database_url, tmp_path) as first:
        execution_id = observer.execute("stall")
        observer.step_in(execution_id, "stalls", "running")
        until(stalls.exists)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            (tmp_path / "go").touch()
            with engine(database_url, tmp_path):
                ended = observer.ended(execution_id)
                assert (ended.state, ended.fence) == ("succeeded", 2)
        finally:
            os.kill(first.pid, signal.SIGCONT)
        again = observer.execute("three")
        assert observer.ended(again).state == "succeeded", "the first goes on with other work"
    assert stalls.read_text().split() == ["begun", "begun", "done"]
    assert observer.step_states(execution_id) == [("stalls", 1, "cancelled"), ("stalls", 2, "succeeded")]
