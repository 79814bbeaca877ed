"""Write a batch of records in one transaction, each only where its fence still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from engine.domain.event import Event
from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.runs import Execution
from engine.domain.values import SYSTEM, ExecutionId
from engine.store import events, executions, steps
from engine.store.batch import Batch
from engine.store.bulk import Bulk
from engine.store.database import Transaction
from engine.store.records import (
    ExecutionEnded,
    ExecutionWaits,
    Record,
)
from engine.store.settling import Choose, EndedRun, settle_runs
from engine.store.tables import executions as table
from engine.store.tables import step_runs
from engine.store.types import database_now


@dataclass(frozen=True, slots=True)
class Applied:
    """Per record in the order given: True when it is on record. `ended` executions rest now, `woken` became ready."""

    held: tuple[bool, ...]
    ended: int = 0
    woken: int = 0


def apply_records(tx: Transaction, records: Sequence[Record], *, choose: Choose) -> Applied:
    """Apply a batch that holds at most one record per execution."""
    standing = _lock(tx, [record.execution.id for record in records])
    held: list[bool] = []
    live: list[Record] = []
    for record in records:
        found = standing.get(record.execution.id)
        ours = found is not None and found.fence == record.execution.fence
        written = found is not None and ours and found.sequence == record.sequence  # by a commit that seemed to fail
        fresh = found is not None and ours and found.running and found.sequence == record.sequence - 1
        held.append(fresh or written)
        if fresh:
            live.append(record)
    live.sort(key=lambda record: record.execution.id)
    Batch(tx).write(live)
    ended = sum(isinstance(change, ExecutionEnded | ExecutionWaits) for record in live for change in record.changes)
    return Applied(tuple(held), ended, _ends(tx, live, choose=choose))


@dataclass(frozen=True, slots=True)
class _Standing:
    fence: int
    sequence: int
    running: bool


def _lock(tx: Transaction, ids: Sequence[ExecutionId]) -> dict[ExecutionId, _Standing]:
    found = tx.connection.execute(_LOCKED if tx.postgresql else _READ, {"ids": sorted(ids)}).all()
    if tx.postgresql and found:
        tx.knows(found[0].now)
    running = ExecutionState.RUNNING.value
    return {ExecutionId(row.id): _Standing(row.fence, row.sequence, row.state == running) for row in found}


_READ = sa.select(table.c.id, table.c.fence, table.c.sequence, table.c.state).where(
    table.c.id.in_(sa.bindparam("ids", expanding=True))
)
_LOCKED = (
    sa.select(table.c.id, table.c.fence, table.c.sequence, table.c.state, database_now().label("now"))
    .where(table.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.BigInteger))))
    .order_by(table.c.id)
    .with_for_update()
)
"""One statement for every size of batch, which the server prepares once; the clock comes along."""


_END = Bulk(
    table,
    ("state", "finished_at", "outputs_sealed", "error", "reason"),
    keys=("id",),
    fixed={"ready_at": None, "worker": None},
)


def _ends(tx: Transaction, records: Sequence[Record], *, choose: Choose) -> int:
    """Executions that fall asleep or end, and everything that follows from an end."""
    for record in records:
        if any(isinstance(change, ExecutionWaits) for change in record.changes):
            _sleep(tx, record.execution.id)
    ended = [(r.execution, change) for r in records for change in r.changes if isinstance(change, ExecutionEnded)]
    if not ended:
        return 0
    _END.run(
        tx,
        [
            {
                "id": execution.id,
                "state": change.state.value,
                "finished_at": tx.now,
                "outputs_sealed": executions.seal_outputs(tx, change.outputs),
                "error": change.error,
                "reason": change.reason,
            }
            for execution, change in ended
        ],
    )
    told = [(execution, change) for execution, change in ended if not _routine(execution, change)]
    events.record(tx, [_event(execution.id, execution, change) for execution, change in told])
    runs = [EndedRun(execution, change.resource) for execution, change in ended if change.resource is not None]
    woken = settle_runs(tx, runs, choose=choose) if runs else 0
    return woken + steps.wake(tx, WaitKind.EXECUTION, [execution.id for execution, _ in ended])


def _routine(execution: Execution, change: ExecutionEnded) -> bool:
    """A health check that found nothing amiss: one a minute would bury what people look for in the timeline."""
    return execution.operation is Operation.READ and change.state is ExecutionState.SUCCEEDED


def _event(execution_id: ExecutionId, execution: Any, change: ExecutionEnded) -> Event:
    return Event(
        kind=f"execution.{change.state.value}",
        actor=str(SYSTEM),
        application_id=execution.application_id,
        resource_id=execution.resource_id,
        execution_id=execution_id,
        data={"workflow": execution.workflow, "error": change.error, "reason": change.reason},
    )


def _sleep(tx: Transaction, execution_id: ExecutionId) -> None:
    """Asleep until the earliest timer; at once when what it waits for is over already."""
    earliest = (
        sa.select(sa.func.min(step_runs.c.wake_at))
        .where(step_runs.c.execution_id == execution_id, step_runs.c.state == StepState.WAITING.value)
        .scalar_subquery()
    )
    cancelled = sa.case((table.c.cancel_requested, tx.now), else_=earliest)
    tx.connection.execute(
        sa.update(table)
        .where(table.c.id == execution_id)
        .values(state=ExecutionState.WAITING.value, ready_at=cancelled, worker=None)
    )
    steps.make_ready(tx, steps.due_waits(tx, limit=1, only=execution_id))
