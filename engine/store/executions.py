"""Executions and their step runs: queueing, claiming, leases, reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import FINAL, ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.runs import Claim, Execution, Outputs, StepRun
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.errors import Unavailable
from engine.store import fair_queue
from engine.store.database import Transaction
from engine.store.tables import applications, artifacts, executions, resources, step_logs, step_runs

_INPUTS, _OUTPUTS, _STEP_OUTPUTS, _MEMO = (
    "executions.inputs",
    "executions.outputs",
    "step_runs.outputs",
    "step_runs.memo",
)
_LOG, _ARTIFACT = "step_logs.text", "artifacts.content"
_PUT_OFF_SECONDS = 60.0
_SELECT = sa.select(
    executions, applications.c.name.label("application"), applications.c.environment.label("environment")
).join(applications, applications.c.id == executions.c.application_id, isouter=True)


def seal_outputs(tx: Transaction, outputs: Outputs, purpose: str = _STEP_OUTPUTS) -> bytes | None:
    if not outputs.values:
        return None
    return tx.sealer.seal_json({"values": outputs.values, "secret": sorted(outputs.secret)}, purpose)


def seal_execution_outputs(tx: Transaction, outputs: Outputs) -> bytes | None:
    return seal_outputs(tx, outputs, _OUTPUTS)


def seal_inputs(tx: Transaction, inputs: Outputs) -> bytes | None:
    return seal_outputs(tx, inputs, _INPUTS)


def seal_memo(tx: Transaction, memo: object) -> bytes:
    return tx.sealer.seal_json(memo, _MEMO)


def _open_outputs(tx: Transaction, sealed: bytes | None, purpose: str) -> Outputs:
    if sealed is None:
        return Outputs()
    opened: Any = tx.sealer.open_json(sealed, purpose)
    return Outputs(opened["values"], frozenset(opened["secret"]))


def _execution(tx: Transaction, row: Any) -> Execution:
    return Execution(
        id=ExecutionId(row.id),
        provider=row.provider,
        digest=row.digest,
        workflow=row.workflow,
        state=ExecutionState(row.state),
        application_id=None if row.application_id is None else ApplicationId(row.application_id),
        application=row.application or "",
        environment=row.environment or "",
        resource_id=None if row.resource_id is None else ResourceId(row.resource_id),
        operation=None if row.operation is None else Operation(row.operation),
        generation=row.generation,
        parent_id=None if row.parent_id is None else ExecutionId(row.parent_id),
        parent_step=row.parent_step,
        inputs=_open_outputs(tx, row.inputs_sealed, _INPUTS),
        attempt=row.attempt,
        fence=row.fence,
        sequence=row.sequence,
        cancel_requested=row.cancel_requested,
        outputs=_open_outputs(tx, row.outputs_sealed, _OUTPUTS),
        error=row.error,
        reason=row.reason,
        actor=row.actor,
        total_steps=row.total_steps,
        completed_steps=row.completed_steps,
        failed_steps=row.failed_steps,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
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
    inputs: Outputs = Outputs()
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
    statement = sa.insert(executions).returning(executions.c.id, sort_by_parameter_order=True)
    return [ExecutionId(value) for value in tx.connection.execute(statement, rows).scalars()]


def generations(tx: Transaction, ids: Iterable[ExecutionId]) -> dict[ExecutionId, int]:
    """The generation of its resource that each execution runs for."""
    wanted = sorted(ids)
    found: dict[ExecutionId, int] = {}
    for start in range(0, len(wanted), 500):
        query = sa.select(executions.c.id, executions.c.generation).where(
            executions.c.id.in_(wanted[start : start + 500])
        )
        found |= {ExecutionId(row.id): row.generation for row in tx.connection.execute(query)}
    return found


def child(tx: Transaction, parent_id: ExecutionId, parent_step: str) -> ExecutionId | None:
    query = sa.select(executions.c.id).where(
        executions.c.parent_id == parent_id, executions.c.parent_step == parent_step
    )
    value = tx.connection.execute(query).scalar_one_or_none()
    return None if value is None else ExecutionId(value)


def claim(
    tx: Transaction,
    *,
    worker: str,
    limit: int,
    cap: int,
    lease: float,
    busy: Iterable[ExecutionId] = (),
    take_over: bool = True,
) -> list[Claim]:
    """Take up to `limit` executions that are ready, at most `cap` running per fair key, under a lease of `lease` seconds.

    `busy` are executions this process still works on. With `take_over` false, runs of other workers are left alone.
    """
    running = {
        row.fair_key: row.running
        for row in tx.connection.execute(
            sa.select(executions.c.fair_key, sa.func.count().label("running"))
            .where(executions.c.state == "running")
            .group_by(executions.c.fair_key)
        )
    }
    full = sorted(key for key, count in running.items() if count >= cap)
    query = sa.select(executions.c.id, executions.c.fair_key).where(executions.c.ready_at <= tx.now)
    if full:  # a run that is taken over counts already
        query = query.where(sa.or_(executions.c.fair_key.not_in(full), executions.c.state == "running"))
    if not take_over:
        query = query.where(executions.c.state != "running")
    if held := sorted(busy):
        query = query.where(executions.c.id.not_in(held))
    query = query.order_by(executions.c.fair_tag, executions.c.id).limit(limit)
    if tx.postgresql:
        query = query.with_for_update(skip_locked=True)
    chosen: list[int] = []
    for row in tx.connection.execute(query):
        running[row.fair_key] = running.get(row.fair_key, 0) + 1
        if running[row.fair_key] <= cap or row.fair_key in full:
            chosen.append(row.id)
    return _take(tx, chosen, worker=worker, lease=lease) if chosen else []


def _take(tx: Transaction, chosen: Sequence[int], *, worker: str, lease: float) -> list[Claim]:
    query = _SELECT.where(executions.c.id.in_(chosen)).order_by(executions.c.fair_tag, executions.c.id)
    claims: list[Claim] = []
    last_tag = 0.0
    for row in tx.connection.execute(query).all():
        try:
            before = _execution(tx, row)
        except Unavailable as error:
            _put_off(tx, row.id, error.message)
            continue
        held = replace(
            before, state=ExecutionState.RUNNING, fence=before.fence + 1, started_at=before.started_at or tx.now
        )
        claims.append(Claim(held, taken_over=before.state is ExecutionState.RUNNING))
        last_tag = row.fair_tag
    if not claims:
        return []
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id.in_([claim.execution.id for claim in claims]))
        .values(
            state=ExecutionState.RUNNING.value,
            fence=executions.c.fence + 1,
            worker=worker,
            ready_at=tx.now + timedelta(seconds=lease),
            started_at=sa.func.coalesce(executions.c.started_at, tx.now),
        )
    )
    fair_queue.raise_to(tx, fair_queue.VIRTUAL_TIME, last_tag)
    return claims


def _put_off(tx: Transaction, execution_id: int, error: str) -> None:
    """What cannot be opened now (another key) keeps for later, and does not hold up the others."""
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id == execution_id)
        .values(ready_at=tx.now + timedelta(seconds=_PUT_OFF_SECONDS), error=error)
    )


def extend_leases(
    tx: Transaction, *, worker: str, lease: float, held: Iterable[tuple[ExecutionId, int]]
) -> dict[ExecutionId, bool]:
    """Renew the leases of the executions still held under the fence given; per execution, whether it is to be cancelled."""
    fences = dict(held)
    ids = sorted(fences)
    if not ids:
        return {}
    mine = sa.and_(executions.c.id.in_(ids), executions.c.worker == worker, executions.c.state == "running")
    if tx.postgresql:  # in the journal's order: two statements that meet must not wait for each other in a circle
        tx.connection.execute(sa.select(executions.c.id).where(mine).order_by(executions.c.id).with_for_update())
    tx.connection.execute(sa.update(executions).where(mine).values(ready_at=tx.now + timedelta(seconds=lease)))
    query = sa.select(executions.c.id, executions.c.fence, executions.c.cancel_requested).where(mine)
    return {
        ExecutionId(row.id): row.cancel_requested
        for row in tx.connection.execute(query)
        if fences[ExecutionId(row.id)] == row.fence
    }


def release(tx: Transaction, *, worker: str, claims: Iterable[tuple[ExecutionId, int]]) -> None:
    """Give back executions that were claimed and not begun, or that stop with their process: ready at once for anyone."""
    for execution_id, fence in sorted(claims):
        tx.connection.execute(
            sa.update(executions)
            .where(
                executions.c.id == execution_id,
                executions.c.fence == fence,
                executions.c.worker == worker,
                executions.c.state == "running",
            )
            .values(ready_at=tx.now)
        )


def wake(tx: Transaction, kind: WaitKind, refs: Iterable[int]) -> int:
    """Make ready the executions that wait for one of `refs`; returns how many."""
    wanted = sorted(set(refs))
    woken = 0
    for start in range(0, len(wanted), 500):
        waiting = sa.select(step_runs.c.execution_id).where(
            step_runs.c.state == StepState.WAITING.value,
            step_runs.c.wait_kind == kind.value,
            step_runs.c.wait_ref.in_(wanted[start : start + 500]),
        )
        ids = sorted(set(tx.connection.execute(waiting).scalars()))
        if ids:
            woken += tx.connection.execute(
                sa.update(executions)
                .where(executions.c.id.in_(ids), executions.c.state == ExecutionState.WAITING.value)
                .values(ready_at=tx.now)
            ).rowcount
    return woken


def get(tx: Transaction, execution_id: ExecutionId, *, lock: bool = False) -> Execution | None:
    query = _SELECT.where(executions.c.id == execution_id)
    if lock and tx.postgresql:
        query = query.with_for_update(of=executions)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else _execution(tx, row)


def listed(
    tx: Transaction,
    *,
    application: str | None = None,
    search: str = "",
    state: ExecutionState | None = None,
    resource_id: ResourceId | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[Execution]:
    """Executions, newest first."""
    query = _SELECT.order_by(executions.c.id.desc()).limit(limit)
    if application is not None:
        query = query.where(applications.c.name == application)
    if search:
        query = query.where(executions.c.workflow.contains(search, autoescape=True))
    if state is not None:
        query = query.where(executions.c.state == state.value)
    if resource_id is not None:
        query = query.where(executions.c.resource_id == resource_id)
    if before is not None:
        query = query.where(executions.c.id < before)
    return [_execution(tx, row) for row in tx.connection.execute(query)]


def counts(tx: Transaction) -> dict[str, int]:
    """How many executions per state."""
    query = sa.select(executions.c.state, sa.func.count()).group_by(executions.c.state)
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def step_runs_of(tx: Transaction, execution_id: ExecutionId) -> list[StepRun]:
    """Every attempt of every step, by position and attempt."""
    query = (
        sa.select(step_runs)
        .where(step_runs.c.execution_id == execution_id)
        .order_by(step_runs.c.position, step_runs.c.attempt)
    )
    return [_step_run(tx, row) for row in tx.connection.execute(query)]


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
        outputs=_open_outputs(tx, row.outputs_sealed, _STEP_OUTPUTS),
        error=row.error,
        reason=row.reason,
        wait_kind=None if row.wait_kind is None else WaitKind(row.wait_kind),
        wait_ref=row.wait_ref,
        wake_at=row.wake_at,
        memo=memo,
    )


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
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id == execution_id, executions.c.state == ExecutionState.WAITING.value)
        .values(ready_at=tx.now)
    )
    return True


def add_log(tx: Transaction, rows: Sequence[tuple[ExecutionId, int, int, int, str]]) -> None:
    """Append chunks (execution, position, attempt, chunk number, text) to step logs; a chunk written before is kept."""
    if not rows:
        return
    values = [
        {
            "execution_id": execution_id,
            "position": position,
            "attempt": attempt,
            "chunk": chunk,
            "text_sealed": tx.sealer.seal(text.encode(), _LOG),
            "written_at": tx.now,
        }
        for execution_id, position, attempt, chunk, text in rows
    ]
    if tx.postgresql:
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert
    tx.connection.execute(insert(step_logs).on_conflict_do_nothing(), values)


def logs(tx: Transaction, execution_id: ExecutionId) -> dict[tuple[int, int], str]:
    """The log text per (position, attempt)."""
    query = (
        sa.select(step_logs)
        .where(step_logs.c.execution_id == execution_id)
        .order_by(step_logs.c.position, step_logs.c.attempt, step_logs.c.chunk)
    )
    found: dict[tuple[int, int], list[str]] = {}
    for row in tx.connection.execute(query):
        found.setdefault((row.position, row.attempt), []).append(tx.sealer.open(row.text_sealed, _LOG).decode())
    return {place: "".join(chunks) for place, chunks in found.items()}


def put_artifact(tx: Transaction, execution_id: ExecutionId, position: int, content: bytes) -> None:
    where = sa.and_(artifacts.c.execution_id == execution_id, artifacts.c.position == position)
    tx.connection.execute(sa.delete(artifacts).where(where))
    tx.connection.execute(
        sa.insert(artifacts).values(
            execution_id=execution_id, position=position, content_sealed=tx.sealer.seal(content, _ARTIFACT)
        )
    )


def artifacts_of(tx: Transaction, execution_id: ExecutionId) -> dict[int, bytes]:
    """Archives of artifacts per step position."""
    query = sa.select(artifacts).where(artifacts.c.execution_id == execution_id)
    return {row.position: tx.sealer.open(row.content_sealed, _ARTIFACT) for row in tx.connection.execute(query)}


def due_waits(tx: Transaction, *, limit: int, only: ExecutionId | None = None) -> list[ExecutionId]:
    """Waiting executions whose child or resource has come to its end, though nobody woke them."""
    children = executions.alias("child")
    ended_child = sa.exists().where(
        children.c.id == step_runs.c.wait_ref, children.c.state.in_([state.value for state in FINAL])
    )
    settled = sa.exists().where(
        resources.c.id == step_runs.c.wait_ref,
        sa.or_(
            sa.and_(resources.c.pending.is_(None), resources.c.state.in_(["active", "degraded", "terminated"])),
            resources.c.state.in_(["failed", "blocked"]),
        ),
    )
    query = (
        sa.select(executions.c.id)
        .join(step_runs, step_runs.c.execution_id == executions.c.id)
        .where(
            executions.c.state == ExecutionState.WAITING.value,
            sa.or_(executions.c.ready_at.is_(None), executions.c.ready_at > tx.now),
            step_runs.c.state == StepState.WAITING.value,
            sa.or_(
                sa.and_(step_runs.c.wait_kind == WaitKind.EXECUTION.value, ended_child),
                sa.and_(step_runs.c.wait_kind == WaitKind.RESOURCE.value, settled),
            ),
        )
        .limit(limit)
    )
    if only is not None:
        query = query.where(executions.c.id == only)
    return [ExecutionId(value) for value in tx.connection.execute(query).scalars()]


def make_ready(tx: Transaction, ids: Iterable[ExecutionId]) -> None:
    tx.connection.execute(
        sa.update(executions)
        .where(executions.c.id.in_(sorted(ids)), executions.c.state == ExecutionState.WAITING.value)
        .values(ready_at=tx.now)
    )
