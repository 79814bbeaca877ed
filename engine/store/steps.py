"""Step runs, and what the waiting ones wait for."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import FINAL, ExecutionState, StepState, WaitKind
from engine.domain.resource import AWAITS_TURN, IN_PROGRESS, PROVISIONED, ResourceState
from engine.domain.runs import Outputs, StepRun
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.sealed_outputs import seal, unseal
from engine.store.tables import (
    EXECUTION_WAITING,
    STEP_WAITING,
    executions,
    resource_references,
    resources,
    step_runs,
)

_OUTPUTS, _MEMO = "step_runs.outputs", "step_runs.memo"


def seal_outputs(tx: Transaction, outputs: Outputs) -> bytes | None:
    return seal(tx, outputs, _OUTPUTS)


def seal_memo(tx: Transaction, memo: object) -> bytes:
    return tx.sealer.seal_json(memo, _MEMO)


def of_execution(tx: Transaction, execution_id: ExecutionId) -> list[StepRun]:
    """Every attempt of every step, by position and attempt."""
    return [_step_run(tx, row) for row in tx.connection.execute(_OF_EXECUTION, {"id": execution_id})]


_ITS_OWN = step_runs.c.execution_id == sa.bindparam("id")
_OF_EXECUTION = sa.select(step_runs).where(_ITS_OWN).order_by(step_runs.c.position, step_runs.c.attempt)


def _step_run(tx: Transaction, row: Any) -> StepRun:
    memo: Any = {} if row.memo_sealed is None else tx.sealer.open_json(row.memo_sealed, _MEMO)
    return StepRun(
        position=row.position,
        name=row.name,
        type=row.type,
        attempt=row.attempt,
        execution_attempt=row.execution_attempt,
        state=StepState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        outputs=unseal(tx, row.outputs_sealed, _OUTPUTS),
        error=row.error,
        reason=row.reason,
        wait_kind=None if row.wait_kind is None else WaitKind(row.wait_kind),
        wait_ref=row.wait_ref,
        wake_at=row.wake_at,
        memo=memo,
    )


def unfinished(tx: Transaction, execution_id: ExecutionId) -> list[StepRun]:
    """The attempts at work or waiting, without what is sealed."""
    return [_unsealed(row) for row in tx.connection.execute(_UNFINISHED, {"id": execution_id})]


def standing(tx: Transaction, execution_id: ExecutionId) -> list[StepRun]:
    """Every attempt of every step, by position and attempt, without what is sealed."""
    return [_unsealed(row) for row in tx.connection.execute(_STANDING, {"id": execution_id})]


_UNSEALED = sa.select(*(column for column in step_runs.c if not column.name.endswith("_sealed"))).where(_ITS_OWN)
_UNFINISHED = _UNSEALED.where(step_runs.c.state.in_([StepState.RUNNING.value, StepState.WAITING.value]))
_STANDING = _UNSEALED.order_by(step_runs.c.position, step_runs.c.attempt)


def _unsealed(row: Any) -> StepRun:
    return StepRun(
        position=row.position,
        name=row.name,
        type=row.type,
        attempt=row.attempt,
        execution_attempt=row.execution_attempt,
        state=StepState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        reason=row.reason,
        wait_kind=None if row.wait_kind is None else WaitKind(row.wait_kind),
        wait_ref=row.wait_ref,
        wake_at=row.wake_at,
    )


def wake(tx: Transaction, kind: WaitKind, refs: Iterable[int]) -> int:
    """Make ready the executions that wait for one of `refs`; returns how many."""
    wanted = sorted(set(refs))
    waiting = _WAITING_FOR[kind]
    return sum(_wake(tx, waiting, {"refs": wanted[start : start + 500]}) for start in range(0, len(wanted), 500))


def wake_for_resources(tx: Transaction, owners: Mapping[ResourceId, ApplicationId]) -> int:
    """Make ready what waits for these resources, for the applications that own them, or for those that refer to them.

    Returns how many executions.
    """
    wanted = sorted(owners)
    woken = 0
    for start in range(0, len(wanted), 500):
        ids = wanted[start : start + 500]
        given = {"resources": ids, "owners": sorted({owners[resource_id] for resource_id in ids})}
        woken += _wake(tx, _WAITING_FOR_RESOURCES, given)
    return woken


def _waiting_for(kind: WaitKind, refs: str) -> sa.Select[Any]:
    return sa.select(step_runs.c.execution_id).where(
        STEP_WAITING, step_runs.c.wait_kind == kind.value, among(step_runs.c.wait_ref, refs)
    )


_WAITING_FOR = {kind: _waiting_for(kind, "refs") for kind in WaitKind}
_REFERRING = sa.select(step_runs.c.execution_id).where(
    STEP_WAITING,
    step_runs.c.wait_kind == WaitKind.APPLICATION.value,
    step_runs.c.wait_ref == resource_references.c.application_id,
    among(resource_references.c.resource_id, "resources"),
)
_WAITING_FOR_RESOURCES = sa.union_all(
    _waiting_for(WaitKind.RESOURCE, "resources"), _waiting_for(WaitKind.APPLICATION, "owners"), _REFERRING
)


def _wake(tx: Transaction, waiting: sa.Executable, given: Mapping[str, Collection[int]]) -> int:
    ids: list[ExecutionId] = sorted(set(tx.connection.execute(waiting, given).scalars()))
    if not ids:
        return 0
    tx.readied.extend(ids)
    return tx.connection.execute(_MAKE_READY, {"b_ids": ids, "b_now": tx.now}).rowcount


_MAKE_READY = (
    sa.update(executions)
    .where(among(executions.c.id, "b_ids"), executions.c.state == ExecutionState.WAITING.value)
    .values(ready_at=sa.bindparam("b_now"))
)


def wake_person(tx: Transaction, execution_id: ExecutionId, step: str) -> bool:
    """Continue a step that waits for a person; False when it does not wait for one."""
    updated = tx.connection.execute(
        sa.update(step_runs)
        .where(
            step_runs.c.execution_id == execution_id,
            step_runs.c.name == step,
            step_runs.c.state == StepState.WAITING.value,
            step_runs.c.wait_kind == WaitKind.PERSON.value,
        )
        .values(wake_at=tx.now)
    )
    if not updated.rowcount:
        return False
    tx.readied.append(execution_id)
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id == execution_id, executions.c.state == ExecutionState.WAITING.value)
        .values(ready_at=tx.now)
    )
    return True


def due_waits(tx: Transaction, *, limit: int, only: ExecutionId | None = None) -> list[ExecutionId]:
    """Waiting executions whose child, resource or application has come to its end, though nobody woke them.

    The same verdict as `runtime.waits`: what is woken for less would fall asleep and be woken again and again.
    """
    query = (
        sa.select(executions.c.id)
        .join(step_runs, step_runs.c.execution_id == executions.c.id)
        .where(
            EXECUTION_WAITING,
            sa.or_(executions.c.ready_at.is_(None), executions.c.ready_at > tx.now),
            STEP_WAITING,
            sa.or_(
                sa.and_(step_runs.c.wait_kind == WaitKind.EXECUTION.value, _CHILD_ENDED),
                sa.and_(step_runs.c.wait_kind == WaitKind.RESOURCE.value, _RESOURCE_OVER),
                sa.and_(step_runs.c.wait_kind == WaitKind.APPLICATION.value, _APPLICATION_OVER),
            ),
        )
        .limit(limit)
    )
    if only is not None:
        query = query.where(executions.c.id == only)
    return [ExecutionId(value) for value in tx.connection.execute(query).scalars()]


_SETTLED = sa.and_(resources.c.pending.is_(None), resources.c.state.in_([state.value for state in PROVISIONED]))
_IN_THE_WAY = sa.or_(
    resources.c.state == ResourceState.BLOCKED.value,
    resources.c.blocked_by.is_not(None),
    sa.and_(resources.c.state == ResourceState.FAILED.value, resources.c.reason != AWAITS_TURN),
)


def _child_ended() -> sa.ColumnElement[bool]:
    child = executions.alias("child")
    state = sa.select(child.c.state).where(child.c.id == step_runs.c.wait_ref).scalar_subquery()
    return state.in_([state.value for state in FINAL])


def _some_resource(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The application that is waited for refers to a resource like that."""
    return (
        sa.exists()
        .where(resource_references.c.application_id == step_runs.c.wait_ref)
        .where(resources.c.id == resource_references.c.resource_id, condition)
    )


_CHILD_ENDED = _child_ended()
_RESOURCE_OVER = (
    sa.select(sa.or_(_SETTLED, _IN_THE_WAY, resources.c.state == ResourceState.TERMINATED.value))
    .where(resources.c.id == step_runs.c.wait_ref)
    .scalar_subquery()
)
"""Like the child's state a value, not an EXISTS: PostgreSQL may answer that one by reading the whole table."""
_APPLICATION_OVER = sa.or_(
    ~_some_resource(~_SETTLED),
    sa.and_(
        _some_resource(_IN_THE_WAY),
        ~_some_resource(resources.c.state.in_([state.value for state in IN_PROGRESS])),
    ),
)


def make_ready(tx: Transaction, ids: Collection[ExecutionId]) -> None:
    tx.readied.extend(ids)
    tx.connection.execute(_MAKE_READY, {"b_ids": sorted(ids), "b_now": tx.now})
