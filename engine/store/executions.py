"""Executions: queueing and reading them, asking for their end or another attempt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import FINAL, ExecutionState
from engine.domain.provider import Operation
from engine.domain.runs import Execution, ListedExecution, Outputs
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.store import fair_queue
from engine.store.among import among
from engine.store.bulk import insert_numbered
from engine.store.database import Transaction
from engine.store.likeness import ESCAPE, escaped
from engine.store.sealed_outputs import seal, unseal
from engine.store.tables import (
    EXECUTION_BROKEN,
    EXECUTION_PENDING,
    EXECUTION_RUNNING,
    EXECUTION_WAITING,
    applications,
    executions,
)

_INPUTS, _OUTPUTS = "executions.inputs", "executions.outputs"
_BEYOND = 2**63 - 1
"""More than any id."""
_READ = (
    executions.c.id, executions.c.provider, executions.c.digest, executions.c.workflow, executions.c.state,
    executions.c.application_id, executions.c.environment, executions.c.resource_id, executions.c.operation,
    executions.c.generation, executions.c.parent_id, executions.c.parent_step, executions.c.inputs_sealed,
    executions.c.attempt, executions.c.fence, executions.c.sequence, executions.c.cancel_requested,
    executions.c.outputs_sealed, executions.c.error, executions.c.reason, executions.c.actor,
    executions.c.total_steps, executions.c.completed_steps, executions.c.failed_steps, executions.c.created_at,
    executions.c.started_at, executions.c.finished_at,
)  # fmt: skip
_ITS_APPLICATION = applications.c.id == executions.c.application_id
SELECT = sa.select(*_READ, applications.c.name, applications.c.environment.label("its_environment")).join(
    applications, _ITS_APPLICATION, isouter=True
)
RETURNED = (
    *_READ,
    sa.select(applications.c.name).where(_ITS_APPLICATION).scalar_subquery(),
    sa.select(applications.c.environment).where(_ITS_APPLICATION).scalar_subquery(),
)
"""Every row that `execution_of` reads comes from one of these: taken apart at once, quicker than name by name."""


_STATES = {state.value: state for state in ExecutionState}
_OPERATIONS = {None: None, **{operation.value: operation for operation in Operation}}


def seal_outputs(tx: Transaction, outputs: Outputs) -> bytes | None:
    return seal(tx, outputs, _OUTPUTS)


def seal_inputs(tx: Transaction, inputs: Outputs) -> bytes | None:
    return seal(tx, inputs, _INPUTS)


def execution_of(tx: Transaction, row: Any) -> Execution:
    (
        number, provider, digest, workflow, state, application_id, environment, resource_id, operation, generation,
        parent_id, parent_step, inputs_sealed, attempt, fence, sequence, cancel_requested, outputs_sealed, error,
        reason, actor, total_steps, completed_steps, failed_steps, created_at, started_at, finished_at,
        application, its_environment,
    ) = row  # fmt: skip
    return Execution(
        id=number,
        provider=provider,
        digest=digest,
        workflow=workflow,
        state=_STATES[state],
        application_id=application_id,
        application=application or "",
        environment=its_environment or environment,
        resource_id=resource_id,
        operation=_OPERATIONS[operation],
        generation=generation,
        parent_id=parent_id,
        parent_step=parent_step,
        inputs=unseal(tx, inputs_sealed, _INPUTS),
        attempt=attempt,
        fence=fence,
        sequence=sequence,
        cancel_requested=cancel_requested,
        outputs=unseal(tx, outputs_sealed, _OUTPUTS),
        error=error,
        reason=reason,
        actor=actor,
        total_steps=total_steps,
        completed_steps=completed_steps,
        failed_steps=failed_steps,
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
    )


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An execution to queue. Runs of one `fair_key` share their turns with those of the others."""

    provider: str
    digest: str
    workflow: str
    fair_key: str
    actor: str
    application_id: ApplicationId | None = None
    resource_id: ResourceId | None = None
    operation: Operation | None = None
    generation: int = 0
    parent_id: ExecutionId | None = None
    parent_step: str | None = None
    environment: str = ""
    """For an execution without an application: where what it asks for lives."""
    inputs: Outputs = field(default_factory=Outputs)
    total_steps: int = 0


def queue(tx: Transaction, new: Sequence[NewExecution]) -> list[ExecutionId]:
    """Insert pending executions, ready at once; ids in the order given."""
    if not new:
        return []
    counts: dict[str, int] = {}
    for item in new:
        counts[item.fair_key] = counts.get(item.fair_key, 0) + 1
    tags = {key: fair_queue.take_tags(tx, key, counts[key]) for key in sorted(counts)}
    rows: list[dict[str, object]] = []
    for item in new:
        rows.append(
            {
                "provider": item.provider,
                "digest": item.digest,
                "workflow": item.workflow,
                "fair_key": item.fair_key,
                "fair_tag": tags[item.fair_key],
                "actor": item.actor,
                "application_id": item.application_id,
                "environment": item.environment,
                "resource_id": item.resource_id,
                "operation": None if item.operation is None else item.operation.value,
                "generation": item.generation,
                "parent_id": item.parent_id,
                "parent_step": item.parent_step,
                "inputs_sealed": seal_inputs(tx, item.inputs),
                "total_steps": item.total_steps,
                "state": ExecutionState.PENDING.value,
                "ready_at": tx.now,
                "created_at": tx.now,
            }
        )
        tags[item.fair_key] += 1
    ids = [ExecutionId(value) for value in insert_numbered(tx, executions, rows)]
    tx.readied.extend(ids)
    return ids


def generations(tx: Transaction, ids: Iterable[ExecutionId]) -> dict[ExecutionId, int]:
    """The generation of its resource that each execution runs for."""
    wanted = sorted(ids)
    found: dict[ExecutionId, int] = {}
    for start in range(0, len(wanted), 500):
        rows = tx.connection.execute(_GENERATIONS, {"ids": wanted[start : start + 500]})
        found |= {ExecutionId(row.id): row.generation for row in rows}
    return found


_GENERATIONS = sa.select(executions.c.id, executions.c.generation).where(among(executions.c.id, "ids"))


def child(tx: Transaction, parent_id: ExecutionId, parent_step: str) -> ExecutionId | None:
    query = sa.select(executions.c.id).where(
        executions.c.parent_id == parent_id, executions.c.parent_step == parent_step
    )
    value = tx.connection.execute(query).scalar_one_or_none()
    return None if value is None else ExecutionId(value)


def lineage(tx: Transaction, execution_id: ExecutionId) -> list[str]:
    """The workflows of the executions that led to this one, its own last."""
    names: list[str] = []
    current: int | None = execution_id
    while current is not None:
        query = sa.select(executions.c.workflow, executions.c.parent_id).where(executions.c.id == current)
        row = tx.connection.execute(query).one()
        names.insert(0, row.workflow)
        current = row.parent_id
    return names


def get(tx: Transaction, execution_id: ExecutionId, *, lock: bool = False) -> Execution | None:
    row = tx.connection.execute(_GET_LOCKED if lock else _GET, {"id": execution_id}).one_or_none()
    return None if row is None else execution_of(tx, row)


_GET = SELECT.where(executions.c.id == sa.bindparam("id"))
_GET_LOCKED = _GET.with_for_update(of=executions)


def state(tx: Transaction, execution_id: ExecutionId) -> ExecutionState | None:
    found = tx.connection.execute(_STATE, {"id": execution_id}).scalar_one_or_none()
    return None if found is None else ExecutionState(found)


_STATE = sa.select(executions.c.state).where(executions.c.id == sa.bindparam("id"))


def listed(
    tx: Transaction,
    *,
    application: str | None = None,
    environment: str | None = None,
    search: str = "",
    state: ExecutionState | None = None,
    resource_id: ResourceId | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[ListedExecution]:
    """Executions, newest first; health checks are left out. Nothing sealed is read."""
    given: dict[str, object] = {"before": _BEYOND if before is None else before, "limit": limit}
    if search:
        given["search"] = escaped(search)
    if resource_id is not None:
        given["resource"] = resource_id
    walks: list[int] | None = None
    if application is not None:
        named = _NAMED if environment is None else _NAMED.where(applications.c.environment == environment)
        walks = list(tx.connection.execute(named, {"name": application}).scalars())
        if not walks:
            return []
        given |= {f"application_{number}": found for number, found in enumerate(walks)}
    elif environment is not None:
        given["environment"] = environment
    query = _list(
        walks=None if walks is None else len(walks),
        search=bool(search),
        state=state,
        resource=resource_id is not None,
        environment="environment" in given,
    )
    return [_listed(row) for row in tx.connection.execute(query, given).all()]


_NAMED = sa.select(applications.c.id).where(applications.c.name == sa.bindparam("name"))
_SHOWN: dict[str, sa.ColumnElement[Any]] = {
    **dict(executions.c.items()),
    "application": sa.func.coalesce(applications.c.name, sa.literal_column("''")),
    "environment": sa.func.coalesce(applications.c.environment, executions.c.environment),
}
_LISTED = sa.select(*(_SHOWN[name].label(name) for name in ListedExecution._fields)).join(
    applications, applications.c.id == executions.c.application_id, isouter=True
)


def _listed(row: Any) -> ListedExecution:
    state, operation, *rest = row
    return ListedExecution._make((_STATES[state], _OPERATIONS[operation], *rest))


@lru_cache(maxsize=256)
def _list(
    *, walks: int | None, search: bool, state: ExecutionState | None, resource: bool, environment: bool
) -> sa.Select[Any]:
    """The statement of one way to ask: putting it together each time would cost as much as carrying it out."""
    size = sa.bindparam("limit", type_=sa.Integer)
    ids = sa.select(executions.c.id).where(executions.c.id < sa.bindparam("before", type_=sa.BigInteger))
    ids = ids.where(sa.or_(executions.c.operation.is_(None), executions.c.operation != Operation.READ.value))
    ids = ids.order_by(executions.c.id.desc()).limit(size)
    if search:
        ids = ids.where(executions.c.workflow.contains(sa.bindparam("search"), escape=ESCAPE))
    if state is not None:
        ids = ids.where(*_in_state(state))
    if resource:
        ids = ids.where(executions.c.resource_id == sa.bindparam("resource"))
    if environment:
        ids = ids.where(_lives_in(sa.bindparam("environment")))
    if walks is not None:  # one walk along the index for each environment the application lives in
        found = [executions.c.application_id == sa.bindparam(f"application_{number}") for number in range(walks)]
        ids = sa.union_all(*(sa.select(ids.where(its).subquery()) for its in found))
    return _LISTED.where(executions.c.id.in_(ids)).order_by(executions.c.id.desc()).limit(size)


def _lives_in(environment: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    there = sa.select(applications.c.id).where(applications.c.environment == environment)
    alone = sa.and_(executions.c.application_id.is_(None), executions.c.environment == environment)
    return sa.or_(alone, executions.c.application_id.in_(there))


def _in_state(state: ExecutionState) -> list[sa.ColumnElement[bool]]:
    """The condition, in words that lead to the partial index of the state where it has one."""
    match state:
        case ExecutionState.PENDING:
            return [EXECUTION_PENDING]
        case ExecutionState.RUNNING:
            return [EXECUTION_RUNNING]
        case ExecutionState.WAITING:
            return [EXECUTION_WAITING]
        case ExecutionState.FAILED | ExecutionState.CANCELLED:
            return [EXECUTION_BROKEN, executions.c.state == state.value]
        case ExecutionState.SUCCEEDED:
            return [executions.c.state == state.value]


def unfinished(tx: Transaction) -> dict[str, int]:
    """How many executions are pending, running and waiting, each counted by an index that holds no others."""
    return dict(zip(("pending", "running", "waiting"), tx.connection.execute(_UNFINISHED).one(), strict=True))


_UNFINISHED = sa.select(
    *(
        sa.select(sa.func.count()).select_from(executions).where(condition).scalar_subquery()
        for condition in (EXECUTION_PENDING, EXECUTION_RUNNING, EXECUTION_WAITING)
    )
)


def counts(tx: Transaction) -> dict[str, int]:
    """How many executions per state. Reads them all: for figures and tests, not for what people ask often."""
    query = sa.select(executions.c.state, sa.func.count()).group_by(executions.c.state)
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def longest_wait(tx: Transaction) -> float:
    """Seconds for which the first in the queue has been ready; 0 with none."""
    query = (
        sa.select(executions.c.ready_at)
        .where(EXECUTION_PENDING)
        .order_by(executions.c.fair_tag, executions.c.id)
        .limit(1)
    )
    ready: datetime | None = tx.connection.execute(query).scalar_one_or_none()
    return 0.0 if ready is None else max(0.0, (tx.now - ready).total_seconds())


def any_held(tx: Transaction) -> bool:
    """Whether a worker that lives holds one: its lease has not run out."""
    held = sa.exists().where(EXECUTION_RUNNING, executions.c.ready_at > tx.now)
    return bool(tx.connection.execute(sa.select(held)).scalar_one())


def request_cancel(tx: Transaction, execution_id: ExecutionId) -> None:
    """Ask for the end of an execution: a worker that holds it stops it, a queued one is claimed to be ended."""
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id == execution_id, executions.c.state.not_in([state.value for state in FINAL]))
        .values(
            cancel_requested=True,
            ready_at=sa.case((executions.c.state == "running", executions.c.ready_at), else_=tx.now),
        )
    )


def requeue(tx: Transaction, execution: Execution, *, actor: str) -> None:
    """A new attempt of a failed or cancelled execution."""
    tag = fair_queue.take_tags(tx, execution.application or f"run:{execution.workflow}", 1)
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id == execution.id)
        .values(
            state=ExecutionState.PENDING.value,
            attempt=execution.attempt + 1,
            ready_at=tx.now,
            fair_tag=tag,
            cancel_requested=False,
            error="",
            reason="",
            actor=actor,
            finished_at=None,
            failed_steps=0,
        )
    )
    tx.readied.append(execution.id)
