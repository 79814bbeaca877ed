"""The rows of many records, collected per statement so that each statement runs once per transaction."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from engine.domain.execution import StepState
from engine.domain.values import ExecutionId
from engine.store import executions, leavings, steps
from engine.store.bulk import Bulk, Row
from engine.store.database import Transaction
from engine.store.records import (
    RETRY,
    AttemptBegun,
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
from engine.store.tables import executions as executions_table
from engine.store.tables import step_runs

_PLACE = ("execution_id", "position", "attempt")
_INSERT_STEP = Bulk(
    step_runs,
    (*_PLACE, "name", "type", "execution_attempt", "state", "reason", "started_at", "finished_at"),
)
_FINISH_STEP = Bulk(step_runs, ("state", "finished_at", "outputs_sealed", "error", "reason"), keys=_PLACE)
_WAIT_STEP = Bulk(
    step_runs,
    ("wait_kind", "wait_ref", "wake_at", "memo_sealed", "reason"),
    keys=_PLACE,
    fixed={"state": StepState.WAITING.value},
)
_RESUME_STEP = Bulk(step_runs, (), keys=_PLACE, fixed={"state": StepState.RUNNING.value, "wake_at": None, "reason": ""})
_RESOLVE_INPUTS = Bulk(executions_table, ("inputs_sealed", "total_steps"), keys=("id",))
_ADVANCE = Bulk(executions_table, ("sequence",), keys=("id",), adds=("completed_steps", "failed_steps"))
_DONE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
_BEGIN_ATTEMPT = Bulk(executions_table, ("completed_steps",), keys=("id",))
_IN_ORDER = (
    _RESOLVE_INPUTS, _BEGIN_ATTEMPT, _INSERT_STEP, _RESUME_STEP, _WAIT_STEP, _FINISH_STEP, _ADVANCE
)  # fmt: skip
"""One record may begin a step, put it to sleep and end it."""


class Batch:
    """Collects the rows of all records per kind of statement, so that each statement runs once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._rows: defaultdict[int, list[Row]] = defaultdict(list)
        self._logs: list[tuple[ExecutionId, int, int, int, str]] = []

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            finished = failed = 0
            for change in record.changes:
                self._collect(record.execution.id, change)
                finished += isinstance(change, StepSkipped | StepFinished) and change.state in _DONE
                failed += (
                    isinstance(change, StepFinished) and change.state is StepState.FAILED and change.reason != RETRY
                )
            advanced = {"id": record.execution.id, "sequence": record.sequence}
            self._add(_ADVANCE, {**advanced, "completed_steps": finished, "failed_steps": failed})
        for statement in _IN_ORDER:
            statement.run(self._tx, self._rows[id(statement)])
        leavings.add_log(self._tx, self._logs)

    def _collect(self, execution_id: ExecutionId, change: Change) -> None:
        tx = self._tx
        match change:
            case StepStarted() | StepSkipped():
                self._add(_INSERT_STEP, _new_step(tx, execution_id, change))
            case StepFinished():
                self._add(_FINISH_STEP, _end_of_step(tx, execution_id, change))
                self._log(execution_id, change)
                if change.artifacts is not None:
                    leavings.put_artifact(tx, execution_id, change.position, change.artifacts)
            case StepWaits():
                self._add(_WAIT_STEP, _wait(tx, execution_id, change))
                self._log(execution_id, change)
            case StepResumed():
                self._add(_RESUME_STEP, _place(execution_id, change))
            case InputsResolved(inputs, total_steps):
                sealed = executions.seal_inputs(tx, inputs)
                self._add(_RESOLVE_INPUTS, {"id": execution_id, "inputs_sealed": sealed, "total_steps": total_steps})
            case AttemptBegun(kept):
                self._add(_BEGIN_ATTEMPT, {"id": execution_id, "completed_steps": kept})
            case ExecutionWaits() | ExecutionEnded():
                pass  # written by `_ends`, once the steps stand

    def _add(self, statement: Bulk, row: Row) -> None:
        self._rows[id(statement)].append(row)

    def _log(self, execution_id: ExecutionId, change: StepFinished | StepWaits) -> None:
        self._logs += [(execution_id, change.position, change.attempt, number, text) for number, text in change.log]


def _place(execution_id: ExecutionId, change: StepFinished | StepWaits | StepResumed) -> Row:
    return {"execution_id": execution_id, "position": change.position, "attempt": change.attempt}


def _end_of_step(tx: Transaction, execution_id: ExecutionId, change: StepFinished) -> Row:
    return {
        **_place(execution_id, change),
        "state": change.state.value,
        "finished_at": tx.now,
        "outputs_sealed": steps.seal_outputs(tx, change.outputs),
        "error": change.error,
        "reason": change.reason,
    }


def _new_step(tx: Transaction, execution_id: ExecutionId, change: StepStarted | StepSkipped) -> Row:
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


def _wait(tx: Transaction, execution_id: ExecutionId, change: StepWaits) -> Row:
    return {
        **_place(execution_id, change),
        "wait_kind": change.kind.value,
        "wait_ref": change.ref,
        "wake_at": None if change.wake_after is None else tx.now + timedelta(seconds=change.wake_after),
        "memo_sealed": steps.seal_memo(tx, change.memo) if change.memo else None,
        "reason": change.reason,
    }
