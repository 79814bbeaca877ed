"""Workload W: a golden path of five steps in a row, each start and each end durable before it goes on."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks.ground import ACTOR, KEY, Apart, Ground, apart, running
from cli.compose import Running
from engine.domain.execution import ExecutionState
from engine.domain.runs import Outputs
from engine.domain.values import ExecutionId
from engine.runtime.queue import Nudges
from engine.services import catalog
from engine.services import executions as service
from engine.store import executions
from engine.store.database import Store, open_store
from engine.store.executions import NewExecution
from engine.store.sealing import Sealer, parse_key
from engine.store.tables import executions as table

_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    goal: str = ""
    load: str = ""


@dataclass(frozen=True, slots=True)
class _Spent:
    """CPU seconds so far: of everything, and of the database alone."""

    everything: float
    database: float

    @classmethod
    def now(cls, ground: Ground) -> "_Spent":
        return cls(ground.cpu(), ground.database_cpu())

    def per(self, count: int, before: "_Spent") -> str:
        whole, database = self.everything - before.everything, self.database - before.database
        return f"{1000 * whole / count:.2f} ms CPU each (the database's part {1000 * database / count:.2f})"


def percentiles(seconds: list[float]) -> str:
    """p50 and p95 in milliseconds."""
    ordered = sorted(seconds)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    return f"p50 {p50 * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms"


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def throughput(
    ground: Ground, *, database: str, workflow: str, goal: str, count: int = 2000, threads: int = 64
) -> Figure:
    """Executions requested in one go, in one process."""
    url = ground.database() if database == "PostgreSQL" else ""
    with running(url=url, threads=threads) as platform:
        store = platform.platform.store
        new = new_execution(platform, workflow)
        drained(store, new, 200, platform.platform.signals.nudge)
        before, began = _Spent.now(ground), time.perf_counter()
        drained(store, new, count, platform.platform.signals.nudge)
        taken, spent = time.perf_counter() - began, _Spent.now(ground)
    value = f"{count / taken:.0f}/s, {spent.per(count, before)}"
    return Figure(f"{count} x {workflow} at once, {threads} threads, {database}", value, goal, load())


def throughput_apart(ground: Ground, *, workers: int, goal: str, count: int = 2000, threads: int = 64) -> Figure:
    """The same with the API and the workers in processes of their own; the request wakes them through Redis."""
    url = ground.database()
    store = open_store(url, Sealer(parse_key(KEY)))
    nudges = Nudges(ground.redis)
    nudges.start()
    try:
        with apart(ground, url=url, threads=threads, processes=workers) as house:
            new = _like_one_of(house, store, "five-noops")
            drained(store, new, 200, nudges.send)
            before, began = _Spent.now(ground), time.perf_counter()
            drained(store, new, count, nudges.send)
            taken, spent = time.perf_counter() - began, _Spent.now(ground)
    finally:
        nudges.stop()
        store.close()
    value = f"{count / taken:.0f}/s, {spent.per(count, before)}"
    name = f"{count} x five-noops, API and {workers} worker process{'es' * (workers > 1)} of {threads} threads, Redis"
    return Figure(name, value, goal, load())


def latency(ground: Ground, *, database: str, workflow: str, goal: str, rounds: int = 150) -> Figure:
    """One execution at a time on an idle platform, from the request until it is seen to have succeeded.

    The caller waits as every door does: told of news, then looking.
    """
    url = ground.database() if database == "PostgreSQL" else ""
    taken: list[float] = []
    with running(url=url, threads=16) as platform:
        for _ in range(rounds + 20):
            began = time.perf_counter()
            execution_id = service.execute(platform.platform, ACTOR, workflow, {})
            assert execution_id is not None
            ended = service.wait(platform.platform, execution_id, seconds=30).execution
            assert ended.state is ExecutionState.SUCCEEDED
            taken.append(time.perf_counter() - began)
    return Figure(f"{workflow}, request → completed, idle, {database}", percentiles(taken[20:]), goal, load())


def latency_apart(ground: Ground, *, goal: str, rounds: int = 100) -> Figure:
    """The same over HTTP to an API process, run by a worker process that Redis wakes. The client asks for the end."""
    taken: list[float] = []
    with apart(ground, url=ground.database(), threads=16, processes=1) as house:
        for _ in range(rounds + 10):
            began = time.perf_counter()
            made = house.call("/api/workflows/execute", {"workflow": "five-noops", "inputs": {}})
            ended = house.call(f"/api/workflows/{made['execution_id']}?wait_seconds=30")
            assert ended["status"] == "succeeded", ended
            taken.append(time.perf_counter() - began)
    return Figure("five-noops, HTTP request → completed, idle, through Redis", percentiles(taken[10:]), goal, load())


def new_execution(platform: Running, workflow: str) -> NewExecution:
    provider, path = catalog.golden_path(platform.platform, workflow)
    return NewExecution(
        provider=provider.name,
        digest=provider.digest,
        workflow=path.name,
        fair_key="bench",
        actor=str(ACTOR),
        inputs=Outputs(),
        total_steps=len(path.definition.steps),
    )


def _like_one_of(house: Apart, store: Store, workflow: str) -> NewExecution:
    """As the API process queues it: bound to the bundle of the provider that it has loaded."""
    house.call("/api/workflows/execute", {"workflow": workflow, "inputs": {}})
    with store.read() as tx:
        row = tx.connection.execute(sa.select(table.c.provider, table.c.digest).limit(1)).one()
    return NewExecution(row.provider, row.digest, workflow, "bench", str(ACTOR), total_steps=5)


def drained(store: Store, new: NewExecution, count: int, nudge: Callable[[], None]) -> None:
    """Request `count` executions and wait until they have succeeded."""
    _drain(store, _request(store, new, count, nudge))


def _request(store: Store, new: NewExecution, count: int, nudge: Callable[[], None]) -> list[ExecutionId]:
    """Queue `count` executions in one transaction."""
    with store.begin() as tx:
        ids = executions.queue(tx, [new] * count)
    nudge()
    return ids


def _drain(store: Store, ids: list[ExecutionId]) -> None:
    """Wait until nothing is queued or running, then see that every one has succeeded. It reads no others' rows."""
    deadline = time.monotonic() + _PATIENCE
    succeeded = sa.select(sa.func.count()).where(
        table.c.id >= ids[0], table.c.id <= ids[-1], table.c.state == ExecutionState.SUCCEEDED
    )
    while time.monotonic() < deadline:
        with store.read() as tx:
            if not any(executions.unfinished(tx).values()):
                if tx.connection.execute(succeeded).scalar_one() != len(ids):
                    raise RuntimeError("not every execution has succeeded")
                return
        time.sleep(0.05)
    raise TimeoutError(f"the executions did not end within {_PATIENCE:.0f} s")
