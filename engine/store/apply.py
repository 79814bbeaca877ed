"""Write a batch of records in one transaction, each only where its fence still holds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.domain.event import Event
from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.values import SYSTEM, ExecutionId
from engine.store import events, executions, leavings, steps
from engine.store.database import Transaction
from engine.store.prepared import Prepared
from engine.store.records import (
    Change,
    ExecutionEnded,
    ExecutionWaits,
    InputsResolved,
    Record,
    StepFinished,
    StepResumed,
    StepSkipped,
    StepStarted,
    StepWaits,
)
from engine.store.settling import Choose, EndedRun, settle_runs
from engine.store.tables import executions as table
from engine.store.tables import step_runs

Rows = list[dict[str, Any]]


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
    _Batch(tx).write(live)
    ended = sum(isinstance(change, ExecutionEnded | ExecutionWaits) for record in live for change in record.changes)
    return Applied(tuple(held), ended, _ends(tx, live, choose=choose))


@dataclass(frozen=True, slots=True)
class _Standing:
    fence: int
    sequence: int
    running: bool


def _lock(tx: Transaction, ids: Sequence[ExecutionId]) -> dict[ExecutionId, _Standing]:
    query = _LOCKED if tx.postgresql else _READ
    found = tx.connection.execute(query, {"ids": sorted(ids)}).all()
    running = ExecutionState.RUNNING.value
    return {ExecutionId(row.id): _Standing(row.fence, row.sequence, row.state == running) for row in found}


_READ = sa.select(table.c.id, table.c.fence, table.c.sequence, table.c.state).where(
    table.c.id.in_(sa.bindparam("ids", expanding=True))
)
_LOCKED = _READ.order_by(table.c.id).with_for_update()


class _Batch:
    """Collects the rows of all records per kind of statement, so that each statement runs once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._rows: defaultdict[str, Rows] = defaultdict(list)
        self._logs: list[tuple[ExecutionId, int, int, int, str]] = []

    def write(self, records: Sequence[Record]) -> None:
        advanced: Rows = []
        for record in records:
            finished = failed = 0
            for change in record.changes:
                self._collect(record.execution.id, change)
                finished += isinstance(change, StepSkipped) or (
                    isinstance(change, StepFinished) and change.state is StepState.SUCCEEDED
                )
                failed += isinstance(change, StepFinished) and change.state is StepState.FAILED
            advanced.append(
                {"b_id": record.execution.id, "b_seq": record.sequence, "b_done": finished, "b_failed": failed}
            )
        for name in _ORDER:
            _STATEMENTS[name].run(self._tx, self._rows[name])
        _STATEMENTS["advance"].run(self._tx, advanced)
        leavings.add_log(self._tx, self._logs)

    def _collect(self, execution_id: ExecutionId, change: Change) -> None:
        tx = self._tx
        match change:
            case StepStarted() | StepSkipped():
                self._rows["insert_step"].append(_new_step(tx, execution_id, change))
            case StepFinished():
                self._rows["finish_step"].append(
                    {
                        **_place(execution_id, change),
                        "b_state": change.state.value,
                        "b_at": tx.now,
                        "b_outputs": steps.seal_outputs(tx, change.outputs),
                        "b_error": change.error,
                        "b_reason": change.reason,
                    }
                )
                self._log(execution_id, change)
                if change.artifacts is not None:
                    leavings.put_artifact(tx, execution_id, change.position, change.artifacts)
            case StepWaits():
                self._rows["wait_step"].append(_wait(tx, execution_id, change))
                self._log(execution_id, change)
            case StepResumed():
                self._rows["resume_step"].append(_place(execution_id, change))
            case InputsResolved(inputs, total_steps):
                sealed = executions.seal_inputs(tx, inputs)
                self._rows["inputs"].append({"b_id": execution_id, "b_inputs": sealed, "b_total": total_steps})
            case ExecutionWaits() | ExecutionEnded():
                pass  # written by `_ends`, once the steps stand

    def _log(self, execution_id: ExecutionId, change: StepFinished | StepWaits) -> None:
        self._logs += [(execution_id, change.position, change.attempt, number, text) for number, text in change.log]


def _place(execution_id: ExecutionId, change: StepFinished | StepWaits | StepResumed) -> dict[str, Any]:
    return {"b_id": execution_id, "b_position": change.position, "b_attempt": change.attempt}


def _new_step(tx: Transaction, execution_id: ExecutionId, change: StepStarted | StepSkipped) -> dict[str, Any]:
    skipped = isinstance(change, StepSkipped)
    return {
        "execution_id": execution_id,
        "position": change.position,
        "attempt": change.attempt,
        "name": change.name,
        "type": change.type,
        "execution_attempt": change.execution_attempt,
        "state": (change.state if skipped else StepState.RUNNING).value,
        "reason": change.reason if skipped else "",
        "started_at": tx.now,
        "finished_at": tx.now if skipped else None,
    }


def _wait(tx: Transaction, execution_id: ExecutionId, change: StepWaits) -> dict[str, Any]:
    return {
        **_place(execution_id, change),
        "b_kind": change.kind.value,
        "b_ref": change.ref,
        "b_wake": None if change.wake_after is None else tx.now + timedelta(seconds=change.wake_after),
        "b_memo": steps.seal_memo(tx, change.memo) if change.memo else None,
        "b_reason": change.reason,
    }


_STEP = sa.and_(
    step_runs.c.execution_id == sa.bindparam("b_id"),
    step_runs.c.position == sa.bindparam("b_position"),
    step_runs.c.attempt == sa.bindparam("b_attempt"),
)
_NEW_STEP = (
    "execution_id", "position", "attempt", "name", "type", "execution_attempt", "state", "reason", "started_at",
    "finished_at",
)  # fmt: skip
_ORDER = ("inputs", "insert_step", "resume_step", "wait_step", "finish_step")
"""One record may begin a step, put it to sleep and end it."""
_CORE: dict[str, sa.Insert | sa.Update] = {
    "insert_step": sa.insert(step_runs).values({name: sa.bindparam(name) for name in _NEW_STEP}),
    "finish_step": sa.update(step_runs)
    .where(_STEP)
    .values(
        state=sa.bindparam("b_state"),
        finished_at=sa.bindparam("b_at"),
        outputs_sealed=sa.bindparam("b_outputs"),
        error=sa.bindparam("b_error"),
        reason=sa.bindparam("b_reason"),
    ),
    "wait_step": sa.update(step_runs)
    .where(_STEP)
    .values(
        state=StepState.WAITING.value,
        wait_kind=sa.bindparam("b_kind"),
        wait_ref=sa.bindparam("b_ref"),
        wake_at=sa.bindparam("b_wake"),
        memo_sealed=sa.bindparam("b_memo"),
        reason=sa.bindparam("b_reason"),
    ),
    "resume_step": sa.update(step_runs).where(_STEP).values(state=StepState.RUNNING.value, wake_at=None, reason=""),
    "inputs": sa.update(table)
    .where(table.c.id == sa.bindparam("b_id"))
    .values(inputs_sealed=sa.bindparam("b_inputs"), total_steps=sa.bindparam("b_total")),
    "advance": sa.update(table)
    .where(table.c.id == sa.bindparam("b_id"))
    .values(
        sequence=sa.bindparam("b_seq"),
        completed_steps=table.c.completed_steps + sa.bindparam("b_done"),
        failed_steps=table.c.failed_steps + sa.bindparam("b_failed"),
    ),
    "end": sa.update(table)
    .where(table.c.id == sa.bindparam("b_id"))
    .values(
        state=sa.bindparam("b_state"),
        ready_at=None,
        finished_at=sa.bindparam("b_at"),
        outputs_sealed=sa.bindparam("b_outputs"),
        error=sa.bindparam("b_error"),
        reason=sa.bindparam("b_reason"),
        worker=None,
    ),
}

_STATEMENTS = {name: Prepared(statement) for name, statement in _CORE.items()}


def _ends(tx: Transaction, records: Sequence[Record], *, choose: Choose) -> int:
    """Executions that fall asleep or end, and everything that follows from an end."""
    for record in records:
        if any(isinstance(change, ExecutionWaits) for change in record.changes):
            _sleep(tx, record.execution.id)
    ended = [(r.execution, change) for r in records for change in r.changes if isinstance(change, ExecutionEnded)]
    if not ended:
        return 0
    _STATEMENTS["end"].run(
        tx,
        [
            {
                "b_id": execution.id,
                "b_state": change.state.value,
                "b_at": tx.now,
                "b_outputs": executions.seal_outputs(tx, change.outputs),
                "b_error": change.error,
                "b_reason": change.reason,
            }
            for execution, change in ended
        ],
    )
    events.record(tx, [_event(execution.id, execution, change) for execution, change in ended])
    runs = [EndedRun(execution, change.resource) for execution, change in ended if change.resource is not None]
    woken = settle_runs(tx, runs, choose=choose) if runs else 0
    return woken + steps.wake(tx, WaitKind.EXECUTION, [execution.id for execution, _ in ended])


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
    _look_later(tx, execution_id)
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


def _look_later(tx: Transaction, execution_id: ExecutionId) -> None:
    """A wait for an application has been looked at and is not over: its timer is set anew, or it would never sleep."""
    tx.connection.execute(
        sa.update(step_runs)
        .where(
            step_runs.c.execution_id == execution_id,
            step_runs.c.state == StepState.WAITING.value,
            step_runs.c.wait_kind == WaitKind.APPLICATION.value,
            step_runs.c.wake_at <= tx.now,
        )
        .values(wake_at=tx.now + timedelta(seconds=_LOOK_AGAIN_SECONDS))
    )


_LOOK_AGAIN_SECONDS = 5.0
