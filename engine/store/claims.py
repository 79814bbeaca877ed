"""Who works on what: claims, leases and fences."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import ExecutionState
from engine.domain.runs import Claim
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.store import facts, resources
from engine.store.among import among
from engine.store.database import Transaction
from engine.store.executions import RETURNED, execution_of
from engine.store.tables import (
    EXECUTION_PENDING,
    EXECUTION_RUNNING,
    EXECUTION_TO_END,
    EXECUTION_UNDUE,
    executions,
)
from engine.store.types import UtcDateTime, moment

_PUT_OFF_SECONDS = 60.0
_E = executions.c
_RUNNING = (
    sa.select(_E.fair_key, sa.func.count().label("running"))
    .where(EXECUTION_RUNNING)
    .group_by(_E.fair_key)
    .cte("running")
)
_MOST_LOCK = 0x696E6E6F72  # "innor": claims of one PostgreSQL database take turns on it while a cap is set


def claim(
    tx: Transaction,
    *,
    worker: str,
    limit: int,
    cap: int,
    lease: float,
    busy: Collection[ExecutionId] = (),
    take_over: bool = True,
    most: int = 0,
) -> list[Claim]:
    """Take up to `limit` executions that are ready, at most `cap` running per fair key, for `lease` seconds.

    `busy` are executions this process still works on. With `take_over` false, runs of other workers are left alone.
    The cap is fairness, not a limit to rely on: claims of the same moment on PostgreSQL do not see each other, so for
    that moment each worker may fill the cap by itself. Counting strictly would make all claims wait for each other.
    While an operator has paused claiming, nothing is taken.

    `most`, unless 0, is the most that may run at once over all workers, exactly: with it, claims take turns.

    What is cancelled comes first and in spite of pause and caps: whoever claims it only ends it.
    """
    room = _room(tx, most) if most else limit
    given = {"limit": limit, "cap": cap, "busy": busy, **tx.moment}
    found = tx.connection.execute(candidates(take_over=take_over), given).all()
    taken: dict[str, int] = {}
    chosen: dict[int, str] = {}
    for row in sorted(found, key=lambda row: (not row.cancel_requested, row.fair_tag, row.id)):
        free = row.cancel_requested or row.state == "running"  # a run that is taken over counts already
        taken[row.fair_key] = taken.get(row.fair_key, row.running or 0) + (not free)
        if len(chosen) < limit and (free or (taken[row.fair_key] <= cap and room > 0)):
            chosen[row.id] = row.state
            room -= not free
    if not chosen:
        return []
    tx.knows(found[0].now)
    return _take(tx, chosen, worker=worker, lease=lease)


def claim_to_end(
    tx: Transaction,
    *,
    worker: str,
    limit: int,
    lease: float,
    busy: Collection[ExecutionId] = (),
    take_over: bool = True,
) -> list[Claim]:
    """As `claim`, of what is cancelled only: whoever has no thread free for work can still end that."""
    found = tx.connection.execute(_ended(take_over=take_over), {"limit": limit, "busy": busy, **tx.moment}).all()
    return _take(tx, {row.id: row.state for row in found}, worker=worker, lease=lease) if found else []


def _room(tx: Transaction, most: int) -> int:
    """How many more may run. From here to its end no other claim of this database counts or takes anything."""
    if tx.postgresql:
        tx.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MOST_LOCK)))
    query = sa.select(sa.func.count()).select_from(executions).where(EXECUTION_RUNNING)
    return most - tx.connection.execute(query).scalar_one()


@lru_cache
def candidates(*, take_over: bool) -> sa.CompoundSelect[Any]:
    """The first in the queue, of those that sleep or whose lease has run out the first that are due, and what is
    cancelled of either. It takes `limit`, `cap` and `busy`.
    """
    full = sa.select(_RUNNING.c.fair_key).where(_RUNNING.c.running >= sa.bindparam("cap", type_=sa.BigInteger))
    room = sa.or_(_E.fair_key.not_in(full), EXECUTION_RUNNING)  # a run that is taken over counts already
    wanted = sa.and_(room, ~facts.holds(facts.PAUSED), ~_E.cancel_requested)
    queued = sa.and_(EXECUTION_PENDING, wanted)
    due = sa.and_(EXECUTION_UNDUE, _E.ready_at.is_not(None), wanted)
    if not take_over:
        due = sa.and_(due, ~EXECUTION_RUNNING)
    conditions = (queued, due, _to_end(take_over=take_over))
    return sa.union_all(*(_part(number, condition) for number, condition in enumerate(conditions)))


@lru_cache
def _ended(*, take_over: bool) -> sa.Select[Any]:
    return _part(0, _to_end(take_over=take_over))


def _to_end(*, take_over: bool) -> sa.ColumnElement[bool]:
    return EXECUTION_TO_END if take_over else sa.and_(EXECUTION_TO_END, ~EXECUTION_RUNNING)


def _part(number: int, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The first of those that are ready and fulfil `condition`, locked, with how many of their key run."""
    part = sa.select(_E.id, _E.fair_tag, _E.fair_key, _E.state, _E.cancel_requested)
    part = part.where(condition, _E.ready_at <= moment(), sa.not_(among(_E.id, "busy")))
    part = part.order_by(_E.fair_tag, _E.id).limit(sa.bindparam("limit", type_=sa.Integer))
    first = part.with_for_update(skip_locked=True).cte(f"part{number}")
    part = sa.select(first, _RUNNING.c.running, moment().label("now"))
    return part.join(_RUNNING, _RUNNING.c.fair_key == first.c.fair_key, isouter=True)


def _take(tx: Transaction, chosen: Mapping[int, str], *, worker: str, lease: float) -> list[Claim]:
    """Claim the executions of `chosen`, in that order; it says what state they are in."""
    given = {"b_ids": chosen, "b_worker": worker, "b_until": tx.now + timedelta(seconds=lease), "b_now": tx.now}
    rows = {row.id: row for row in tx.connection.execute(_TAKE, given).all()}
    subjects = resources.rows(tx, [row.resource_id for row in rows.values() if row.resource_id is not None])
    claims: list[Claim] = []
    for execution_id, state in chosen.items():
        row = rows[execution_id]
        subject = subjects.get(row.resource_id)
        try:
            resource = None if subject is None else resources.resource_of(tx, subject)
            claims.append(Claim(execution_of(tx, row), state == "running", resource))
        except Unavailable as error:
            _put_off(tx, execution_id, state, error.message)
    return claims


_TAKE = (
    sa.update(executions)
    .where(among(_E.id, "b_ids"))
    .values(
        state=ExecutionState.RUNNING.value,
        fence=_E.fence + 1,
        worker=sa.bindparam("b_worker"),
        ready_at=sa.bindparam("b_until"),
        started_at=sa.func.coalesce(_E.started_at, sa.bindparam("b_now", type_=UtcDateTime())),
    )
    .returning(*RETURNED)
)


def _put_off(tx: Transaction, execution_id: int, state: str, error: str) -> None:
    """What cannot be opened now (another key) keeps for later, and does not hold up the others."""
    tx.connection.execute(
        sa.update(executions)
        .where(_E.id == execution_id)
        .values(state=state, worker=None, ready_at=tx.now + timedelta(seconds=_PUT_OFF_SECONDS), error=error)
    )


def extend_leases(
    tx: Transaction, *, worker: str, lease: float, held: Iterable[tuple[ExecutionId, int]]
) -> dict[ExecutionId, bool]:
    """Renew the leases still held under the fence given; per execution, whether it is to be cancelled."""
    fences = dict(held)
    ids = sorted(fences)
    if not ids:
        return {}
    given = {"b_ids": ids, "b_worker": worker}
    if tx.postgresql:  # in the journal's order: two statements that meet must not wait for each other in a circle
        tx.connection.execute(_LOCK_MINE, given)
    rows = tx.connection.execute(_EXTEND, {**given, "b_until": tx.now + timedelta(seconds=lease)})
    return {ExecutionId(row.id): row.cancel_requested for row in rows if fences[ExecutionId(row.id)] == row.fence}


_MINE = sa.and_(among(_E.id, "b_ids"), _E.worker == sa.bindparam("b_worker"), _E.state == "running")
_LOCK_MINE = sa.select(_E.id).where(_MINE).order_by(_E.id).with_for_update()
_EXTEND = (
    sa.update(executions)
    .where(_MINE)
    .values(ready_at=sa.bindparam("b_until"))
    .returning(_E.id, _E.fence, _E.cancel_requested)
)


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
