"""What the engine does per second, and how long one submission takes."""

import statistics
import time
from dataclasses import dataclass

import sqlalchemy as sa

from benchmarks.platforms import ACTOR, running
from cli.compose import Running
from engine.domain.execution import ExecutionState
from engine.domain.runs import Outputs
from engine.services import applications, catalog
from engine.services.submissions import submit
from engine.store import executions
from engine.store.executions import NewExecution
from engine.store.tables import executions as table

_SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: bench-%d}
containers: {main: {image: nothing}}
resources: {thing: {type: bench-thing}}
"""
_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    goal: str = ""


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1000, ordered[int(len(ordered) * 0.95)] * 1000


def submissions(*, database: str, rounds: int = 200) -> Figure:
    """One resource, five `set` steps, an idle platform: from the call until the resource is seen active."""
    with running(database=database, threads=16) as platform:
        taken = [_submit(platform, number) for number in range(rounds + _WARM_UP)]
    p50, p95 = percentiles(taken[_WARM_UP:])
    goal = "p50 ≤ 25 ms" if database == "sqlite" else ""
    return Figure(f"submit → active, idle, {database}", f"p50 {p50:.1f} ms, p95 {p95:.1f} ms", goal)


def _submit(platform: Running, number: int) -> float:
    began = time.perf_counter()
    made = submit(platform.platform, ACTOR, _SPEC % number)
    while applications.get(platform.platform, made.application).resources[0].state != "active":
        time.sleep(0.002)
    return time.perf_counter() - began


def throughput(*, database: str, count: int = 1000, threads: int = 64) -> Figure:
    """Executions of a golden path of five `set` steps, requested in one go; every start and finish is durable."""
    with running(database=database, threads=threads) as platform:
        _drain(platform, _request(platform, 100))
        cpu, began = time.process_time(), time.perf_counter()
        _drain(platform, _request(platform, count))
        taken, spent = time.perf_counter() - began, time.process_time() - cpu
    goal = "≥ 500/s" if database == "sqlite" else "≥ 700/s"
    value = f"{count / taken:.0f}/s, {1000 * spent / count:.2f} ms CPU each"
    return Figure(f"{count} golden paths at once, {threads} threads, {database}", value, goal)


def _request(platform: Running, count: int) -> int:
    """Queue `count` executions in one transaction; returns how many will have succeeded in all."""
    provider, path = catalog.golden_path(platform.platform, "five-steps")
    new = NewExecution(
        provider=provider.name,
        digest=provider.digest,
        workflow=path.name,
        fair_key="bench",
        actor=str(ACTOR),
        inputs=Outputs(),
        total_steps=len(path.definition.steps),
    )
    with platform.platform.store.begin() as tx:
        before = executions.counts(tx).get(ExecutionState.SUCCEEDED, 0)
        executions.queue(tx, [new] * count)
    platform.engine.nudge(count)
    return before + count


def _drain(platform: Running, wanted: int) -> None:
    """Wait until nothing is queued or running, then see that every one has succeeded."""
    unfinished = sa.exists().where(table.c.ready_at.is_not(None))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with platform.platform.store.read() as tx:
            if not tx.connection.execute(sa.select(unfinished)).scalar_one():
                if executions.counts(tx).get(ExecutionState.SUCCEEDED, 0) != wanted:
                    raise RuntimeError("not every execution has succeeded")
                return
        time.sleep(0.02)
    raise TimeoutError("the executions did not end within 120 s")
