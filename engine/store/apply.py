"""Write a batch of records in one transaction, each only where its fence still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from engine.domain.event import Event
from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.runs import Execution
from engine.domain.values import SYSTEM, ExecutionId
from engine.store import events, journal_sql, leavings, steps
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.folding import fold
from engine.store.records import (
    AttemptBegun,
    Change,
    ExecutionEnded,
    ExecutionWaits,
    InputsResolved,
    Record,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from engine.store.settling import Choose, EndedRun, settle_runs
from engine.store.tables import executions as table
from engine.store.tables import step_runs
from engine.store.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class Applied:
    """Per record in the order given: True when it is on record. `ended` executions rest now, `woken` became ready.

    Before that, `queued` says whether others waited for a worker, and `running` executions were at work, of any worker.
    """

    held: tuple[bool, ...]
    ended: int = 0
    woken: int = 0
    queued: bool = False
    running: int = 0


def apply_records(tx: Transaction, records: Sequence[Record], *, choose: Choose) -> Applied:
    """Apply a batch that holds at most one record per execution."""
    folded = fold(tx, records)
    rests = any(isinstance(change, ExecutionEnded | ExecutionWaits) for record in records for change in record.changes)
    ours, queued, running = journal_sql.write(tx, folded, rests=rests)
    written = _written(tx, [record for record in records if record.execution.id not in ours])
    tx.touched.update(ours, written)  # whether the commit that wrote those was told of, nobody knows
    if rests:
        tx.ended.update(r.execution.id for r in records if r.execution.id in tx.touched and _ends_it(r))
    live = sorted((r for r in records if r.execution.id in ours), key=lambda record: record.execution.id)
    leavings.add_log(tx, [log for log in folded.logs if log[0] in ours])
    for execution_id, position, content in folded.artifacts:
        if execution_id in ours:
            leavings.put_artifact(tx, execution_id, position, content)
    ended = sum(isinstance(change, ExecutionEnded | ExecutionWaits) for record in live for change in record.changes)
    held = tuple(record.execution.id in ours or record.execution.id in written for record in records)
    return Applied(held, ended, _ends(tx, live, choose=choose), queued, running)


def _ends_it(record: Record) -> bool:
    return any(isinstance(change, ExecutionEnded) for change in record.changes)


def is_single(records: Sequence[Record]) -> bool:
    """Whether one statement writes them all: steps begin and succeed or fail, and leave nothing else."""
    return all(_is_plain(change) for record in records for change in record.changes)


def _is_plain(change: Change) -> bool:
    if isinstance(change, StepFinished):
        return not change.log and change.artifacts is None
    return isinstance(change, StepStarted | StepSkipped | InputsResolved | AttemptBegun)


def _written(tx: Transaction, records: Sequence[Record]) -> frozenset[ExecutionId]:
    """Those that are on record already: by a commit that seemed to fail."""
    if not records:
        return frozenset()
    rows = tx.connection.execute(_STANDING, {"ids": [record.execution.id for record in records]})
    standing = {row.id: (row.fence, row.sequence) for row in rows}
    return frozenset(
        record.execution.id
        for record in records
        if standing.get(record.execution.id) == (record.execution.fence, record.sequence)
    )


_STANDING = sa.select(table.c.id, table.c.fence, table.c.sequence).where(among(table.c.id, "ids"))


def _ends(tx: Transaction, records: Sequence[Record], *, choose: Choose) -> int:
    """Executions that fall asleep or end, and everything that follows from an end."""
    sleepers = [r.execution.id for r in records if any(isinstance(change, ExecutionWaits) for change in r.changes)]
    awake = sum(_sleep(tx, execution_id) for execution_id in sleepers)
    ended = [(r.execution, change) for r in records for change in r.changes if isinstance(change, ExecutionEnded)]
    if not ended:
        return awake
    told = [(execution, change) for execution, change in ended if not _routine(execution, change)]
    events.record(tx, [_event(execution.id, execution, change) for execution, change in told])
    runs = [EndedRun(execution, change.resource) for execution, change in ended if change.resource is not None]
    woken = settle_runs(tx, runs, choose=choose) if runs else 0
    woken += steps.wake(tx, WaitKind.EXECUTION, [run.id for run, _ in ended if run.parent_id is not None])
    return awake + woken


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


def _sleep(tx: Transaction, execution_id: ExecutionId) -> bool:
    """Asleep until the earliest timer. True when it is ready at once: what it waits for is over already."""
    wakes_at = tx.connection.execute(_SLEEP, {"b_id": execution_id, "b_now": tx.now}).scalar_one()
    over = steps.due_waits(tx, limit=1, only=execution_id)
    steps.make_ready(tx, over)
    return bool(over) or (wakes_at is not None and wakes_at <= tx.now)


_EARLIEST = sa.select(sa.func.min(step_runs.c.wake_at)).where(
    step_runs.c.execution_id == sa.bindparam("b_id"), step_runs.c.state == StepState.WAITING.value
)
_SLEEP = (
    sa.update(table)
    .where(table.c.id == sa.bindparam("b_id"))
    .values(
        state=ExecutionState.WAITING.value,
        ready_at=sa.case(
            (table.c.cancel_requested, sa.bindparam("b_now", type_=UtcDateTime())), else_=_EARLIEST.scalar_subquery()
        ),
        worker=None,
    )
    .returning(table.c.ready_at)
)
