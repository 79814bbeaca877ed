"""Records as rows: whatever one record does to a row becomes one change of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.domain.execution import StepState
from engine.domain.values import ExecutionId
from engine.store import executions, steps
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

Row = dict[str, Any]
_DONE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})


@dataclass
class Folded:
    """The rows of many records. Moments are still relative: `ended` means now, `wake_after` is in seconds from now.

    `advanced` has a row per record: what happens to its execution; a value that is missing leaves the column as it is.
    `begun` are step attempts that begin in their record, as they stand at its end; `finished`, `waiting` and `resumed`
    are changes of attempts begun before.
    """

    advanced: list[Row] = field(default_factory=list[Row])
    begun: list[Row] = field(default_factory=list[Row])
    finished: list[Row] = field(default_factory=list[Row])
    waiting: list[Row] = field(default_factory=list[Row])
    resumed: list[Row] = field(default_factory=list[Row])
    logs: list[tuple[ExecutionId, int, int, int, str]] = field(
        default_factory=list[tuple[ExecutionId, int, int, int, str]]
    )
    artifacts: list[tuple[ExecutionId, int, bytes]] = field(default_factory=list[tuple[ExecutionId, int, bytes]])


def fold(tx: Transaction, records: Sequence[Record]) -> Folded:
    """The rows of `records`, which hold at most one record per execution, in the order of the executions."""
    folded = Folded()
    for record in sorted(records, key=lambda record: record.execution.id):
        _Folder(tx, folded, record).fold()
    return folded


class _Folder:
    def __init__(self, tx: Transaction, folded: Folded, record: Record) -> None:
        self._tx = tx
        self._folded = folded
        self._record = record
        self._id = record.execution.id
        self._begun: dict[tuple[int, int], Row] = {}
        self._advanced: Row = {
            "id": self._id,
            "fence": record.execution.fence,
            "sequence": record.sequence,
            "completed": 0,
            "failed": 0,
        }

    def fold(self) -> None:
        for change in self._record.changes:
            self._take(change)
        self._folded.advanced.append(self._advanced)
        self._folded.begun += self._begun.values()

    def _take(self, change: Change) -> None:
        match change:
            case StepStarted():
                self._begin(change, StepState.RUNNING)
            case StepFinished():
                self._finish(change)
            case StepSkipped():
                self._begin(change, change.state).update(ended=True, reason=change.reason)
                self._count(change.state, retried=False)
            case StepWaits():
                self._wait(change)
            case StepResumed():
                self._folded.resumed.append(self._place(change))
            case InputsResolved(inputs, total_steps):
                self._advanced.update(inputs=executions.seal_inputs(self._tx, inputs), total=total_steps)
            case AttemptBegun(kept):
                self._advanced["kept"] = kept
            case ExecutionEnded():
                outputs = executions.seal_outputs(self._tx, change.outputs)
                end = {"outputs": outputs, "error": change.error, "reason": change.reason}
                self._advanced.update(end, state=change.state.value)
            case ExecutionWaits():
                pass  # put to sleep once its steps stand

    def _place(self, change: StepStarted | StepSkipped | StepFinished | StepWaits | StepResumed) -> Row:
        return {"execution_id": self._id, "position": change.position, "attempt": change.attempt}

    def _begin(self, change: StepStarted | StepSkipped, state: StepState) -> Row:
        row = self._begun[change.position, change.attempt] = {
            **self._place(change),
            "name": change.name,
            "type": change.type,
            "execution_attempt": change.execution_attempt,
            "state": state.value,
            "ended": False,
            "reason": "",
            "error": "",
        }
        return row

    def _finish(self, change: StepFinished) -> None:
        end: Row = {
            "state": change.state.value,
            "outputs": steps.seal_outputs(self._tx, change.outputs),
            "error": change.error,
            "reason": change.reason,
        }
        begun = self._begun.get((change.position, change.attempt))
        if begun is not None:
            begun.update(end, ended=True)
        else:
            self._folded.finished.append({**self._place(change), **end})
        self._count(change.state, retried=change.reason == RETRY)
        self._log(change)
        if change.artifacts is not None:
            self._folded.artifacts.append((self._id, change.position, change.artifacts))

    def _wait(self, change: StepWaits) -> None:
        wait: Row = {
            "wait_kind": change.kind.value,
            "wait_ref": change.ref,
            "wake_after": change.wake_after,
            "memo": steps.seal_memo(self._tx, change.memo) if change.memo else None,
            "reason": change.reason,
        }
        begun = self._begun.get((change.position, change.attempt))
        if begun is not None:
            begun.update(wait, state=StepState.WAITING.value)
        else:
            self._folded.waiting.append({**self._place(change), **wait})
        self._log(change)

    def _count(self, state: StepState, *, retried: bool) -> None:
        if state in _DONE:
            self._advanced["completed"] += 1
        elif state is StepState.FAILED and not retried:
            self._advanced["failed"] += 1

    def _log(self, change: StepFinished | StepWaits) -> None:
        if change.log:
            place = (self._id, change.position, change.attempt)
            self._folded.logs += [(*place, number, text) for number, text in change.log]
