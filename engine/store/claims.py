"""Who works on what: claims, leases and fences."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import ExecutionState
from engine.domain.runs import Claim
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.store import fair_queue
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.executions import SELECT, execution_of
from engine.store.tables import executions

_PUT_OFF_SECONDS = 60.0
_RUNNING = (
    sa.select(executions.c.fair_key, sa.func.count().label("running"))
    .where(executions.c.state == "running")
    .group_by(executions.c.fair_key)
)


def claim(
    tx: Transaction,
    *,
    worker: str,
    limit: int,
    cap: int,
    lease: float,
    busy: Collection[ExecutionId] = (),
    take_over: bool = True,
) -> list[Claim]:
    """Take up to `limit` executions that are ready, at most `cap` running per fair key, for `lease` seconds.

    `busy` are executions this process still works on. With `take_over` false, runs of other workers are left alone.
    The cap is fairness, not a limit to rely on: claims of the same moment on PostgreSQL do not see each other, so for
    that moment each worker may fill the cap by itself. Counting strictly would make all claims wait for each other.
    """
    running = {row.fair_key: row.running for row in tx.connection.execute(_RUNNING)}
    full = sorted(key for key, count in running.items() if count >= cap)
    query = SELECT.where(executions.c.ready_at <= tx.now)
    if full:  # a run that is taken over counts already
        query = query.where(sa.or_(executions.c.fair_key.not_in(full), executions.c.state == "running"))
    if not take_over:
        query = query.where(executions.c.state != "running")
    if busy:
        query = query.where(sa.not_(among(tx, executions.c.id, busy)))
    query = query.order_by(executions.c.fair_tag, executions.c.id).limit(limit)
    if tx.postgresql:
        query = query.with_for_update(of=executions, skip_locked=True)
    chosen: list[Any] = []
    for row in tx.connection.execute(query).all():
        running[row.fair_key] = running.get(row.fair_key, 0) + 1
        if running[row.fair_key] <= cap or row.fair_key in full:
            chosen.append(row)
    return _take(tx, chosen, worker=worker, lease=lease) if chosen else []


def _take(tx: Transaction, chosen: Sequence[Any], *, worker: str, lease: float) -> list[Claim]:
    claims: list[Claim] = []
    last_tag = 0.0
    for row in chosen:
        try:
            before = execution_of(tx, row)
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
        .where(among(tx, executions.c.id, [claim.execution.id for claim in claims]))
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
    """Renew the leases still held under the fence given; per execution, whether it is to be cancelled."""
    fences = dict(held)
    ids = sorted(fences)
    if not ids:
        return {}
    mine = sa.and_(among(tx, executions.c.id, ids), executions.c.worker == worker, executions.c.state == "running")
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
    """Give back executions not begun, or that stop with their process: ready at once for anyone."""
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
