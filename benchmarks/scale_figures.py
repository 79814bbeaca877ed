"""Many that wait, many processes, a long history, many readers."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from benchmarks.engine_figures import Figure, drained, load, new_execution
from benchmarks.ground import ACTOR, TOKEN, Ground, apart, memory_of, running, until
from engine.services import executions as service
from engine.store import executions
from engine.store.database import Store


def waiting_and_running(ground: Ground, *, goal: str, waiting: int = 500, processes: int = 100) -> Figure:
    """Executions that wait for a person and others that run a process of 30 s, in one process of 128 threads."""
    with running(url=ground.database(), threads=128) as platform:
        for _ in range(waiting):
            service.execute(platform.platform, ACTOR, "ask", {})
        until(lambda: _count(platform.platform.store, "waiting") == waiting, seconds=60)
        began = time.perf_counter()
        for _ in range(processes):
            service.execute(platform.platform, ACTOR, "sleep", {"seconds": 30})
        until(lambda: _sleepers() >= processes, seconds=60)
        all_at_once = time.perf_counter() - began
        held = _count(platform.platform.store, "running")
        memory = memory_of(os.getpid())
        until(lambda: _count(platform.platform.store, "running") == 0, seconds=90)
        taken = time.perf_counter() - began
    value = (
        f"{processes} processes at once after {all_at_once:.1f} s ({held} running), all done after {taken:.0f} s, "
        f"{memory:.0f} MB"
    )
    return Figure(f"{waiting} waiting, {processes} processes of 30 s, 128 threads, PostgreSQL", value, goal, load())


def _count(store: Store, state: str) -> int:
    with store.read() as tx:
        return executions.counts(tx).get(state, 0)


def _sleepers() -> int:
    found = 0
    for entry in Path("/proc").iterdir():
        try:
            found += (entry / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", b"30"]
        except OSError:
            continue
    return found


def long_history(ground: Ground, *, goal: str, finished: int = 1_000_000, count: int = 3000) -> Figure:
    """CPU per execution on empty tables, and again with a million finished executions in them.

    A history grows over months and is vacuumed on the way; this one comes in a minute, so it is vacuumed first.
    """
    with running(url=ground.database(), threads=64) as platform:
        store = platform.platform.store
        new = new_execution(platform, "five-noops")
        drained(store, new, 300, platform.platform.signals.nudge)
        empty = _cost(ground, lambda: drained(store, new, count, platform.platform.signals.nudge), count)
        _fill(store, finished)
        drained(store, new, 300, platform.platform.signals.nudge)
        full = _cost(ground, lambda: drained(store, new, count, platform.platform.signals.nudge), count)
    value = f"{empty:.2f} → {full:.2f} ms CPU ({100 * (full / empty - 1):+.0f} %)"
    return Figure(f"cost per execution with {finished:,} finished ones, PostgreSQL", value, goal, load())


def _cost(ground: Ground, work: Callable[[], None], count: int) -> float:
    before = ground.cpu()
    work()
    return 1000 * (ground.cpu() - before) / count


def _fill(store: Store, finished: int) -> None:
    with store.begin() as tx:
        columns = "provider, digest, workflow, fair_key, fair_tag, state, total_steps, completed_steps, created_at"
        source = "SELECT 'p', 'd', 'w', 'k' || i % 100, 1.0, 'succeeded', 5, 5, now() FROM generate_series(1, :n) i"
        tx.connection.execute(sa.text(f"INSERT INTO executions ({columns}) {source}"), {"n": finished})
        steps = (
            "INSERT INTO step_runs (execution_id, position, attempt, name, type, execution_attempt, state) "
            "SELECT id, p, 1, 's', 'set', 1, 'succeeded' FROM executions, generate_series(0, 4) p WHERE workflow = 'w'"
        )
        tx.connection.execute(sa.text(steps))
        events = (
            "INSERT INTO events (at, kind, actor, execution_id, data) "
            "SELECT now(), 'execution.succeeded', 'system', id, '{}' FROM executions WHERE workflow = 'w'"
        )
        tx.connection.execute(sa.text(events))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in ("VACUUM (ANALYZE) executions, step_runs, events", "CHECKPOINT"):
            connection.exec_driver_sql(statement)


def list_reads(ground: Ground, *, goal: str, clients: int = 32, seconds: int = 6) -> Figure:
    """GET of a list of 50 rows, with `wrk`: a client in Python would cost more than the server."""
    name = f"GET of 50 executions, one API process, {clients} clients"
    wrk = shutil.which("wrk")
    if wrk is None:
        return Figure(name, "not measured: `wrk` is missing (Debian: apt install wrk)", goal, load())
    with apart(ground, url=ground.database(), threads=4, processes=1) as house:
        for _ in range(60):
            house.call("/api/workflows/execute", {"workflow": "five-steps", "inputs": {}})
        time.sleep(2)
        words = ["-t1", f"-c{clients}", f"-d{seconds}s", "-H", f"Authorization: Bearer {TOKEN}"]
        done = subprocess.run(
            [wrk, *words, f"{house.url}/api/workflows?limit=50"], capture_output=True, text=True, check=True
        )
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    assert rate is not None
    assert "Non-2xx" not in done.stdout, done.stdout
    return Figure(name, f"{float(rate[1]):.0f}/s", goal, load())
