"""What a sweep looks for: work that is due or was lost. Each function does at most `limit` rows."""

from datetime import timedelta

import sqlalchemy as sa

from engine.domain.execution import FINAL
from engine.domain.provider import Operation
from engine.domain.resource import AWAITS_TURN, Resource, ResourceState
from engine.domain.values import SYSTEM, ResourceId
from engine.store import executions, resources, steps, tallies
from engine.store.database import Transaction
from engine.store.executions import NewExecution
from engine.store.readiness import start_ready
from engine.store.settling import Choose, settle_orphans
from engine.store.tables import (
    EXECUTION_UNDUE,
    EXECUTION_WAITING,
    RESOURCE_PROVISIONED,
    RESOURCE_UNDER_WAY,
    idempotency_keys,
    resource_dependencies,
)
from engine.store.tables import executions as execution_table
from engine.store.tables import resources as resource_table

_ACTOR = str(SYSTEM)
_FINAL = [state.value for state in FINAL]
_KEY_LIFE = timedelta(hours=24)


def start_forgotten(tx: Transaction, *, limit: int) -> int:
    """Resources that could start and have no execution. Those that wait for others do not use up `limit`."""
    edge = resource_dependencies.alias()
    waits = sa.exists().where(edge.c.resource_id == resource_table.c.id, edge.c.unmet.is_(sa.true()))
    needed = sa.exists().where(edge.c.depends_on_id == resource_table.c.id)
    deleting = resource_table.c.pending == Operation.DELETE.value
    query = (
        sa.select(resource_table.c.id)
        .where(
            resource_table.c.pending.is_not(None),
            resource_table.c.blocked_by.is_(None),
            ~RESOURCE_UNDER_WAY,
            sa.or_(resource_table.c.state != ResourceState.FAILED.value, resource_table.c.reason == AWAITS_TURN),
            sa.case((deleting, ~needed), else_=~waits),
        )
        .order_by(resource_table.c.id)
        .limit(limit)
    )
    ids = [ResourceId(value) for value in tx.connection.execute(query).scalars()]
    locked = resources.lock(tx, ids)
    return len(start_ready(tx, locked, ids, actor=_ACTOR))


def fail_orphans(tx: Transaction, *, limit: int) -> int:
    """Resources under way whose execution has ended or is gone: they fail, so that a person can retry."""
    ended = sa.exists().where(
        execution_table.c.id == resource_table.c.execution_id, execution_table.c.state.not_in(_FINAL)
    )
    query = sa.select(resource_table.c.id).where(RESOURCE_UNDER_WAY, ~ended).order_by(resource_table.c.id).limit(limit)
    orphans = {ResourceId(value) for value in tx.connection.execute(query).scalars()}
    return settle_orphans(tx, orphans) if orphans else 0


def wake_forgotten(tx: Transaction, *, limit: int) -> int:
    """Executions whose wait is over though nobody woke them."""
    due = steps.due_waits(tx, limit=limit)
    if due:
        steps.make_ready(tx, due)
    return len(due)


def queue_health_checks(tx: Transaction, *, older_than: float, choose: Choose, limit: int) -> int:
    """Ask for a health check (read) of resources whose last one is older than so many seconds."""
    running_check = sa.exists().where(
        execution_table.c.resource_id == resource_table.c.id,
        execution_table.c.operation == Operation.READ.value,
        execution_table.c.state.not_in(_FINAL),
    )
    query = (
        sa.select(resource_table.c.id)
        .where(
            RESOURCE_PROVISIONED,
            resource_table.c.pending.is_(None),
            sa.or_(
                resource_table.c.checked_at.is_(None),
                resource_table.c.checked_at <= tx.now - timedelta(seconds=older_than),
            ),
            ~running_check,
        )
        .order_by(resource_table.c.checked_at, resource_table.c.id)
        .limit(limit)
    )
    ids = [ResourceId(value) for value in tx.connection.execute(query).scalars()]
    found = resources.by_ids(tx, ids)
    checks = [check for resource in found.values() if (check := _check(resource, choose)) is not None]
    _drop_old_checks(tx, [check.resource_id for check in checks if check.resource_id is not None])
    executions.queue(tx, checks)
    if ids:
        resources.touch_checked(tx, ids)
    return len(checks)


def _check(resource: Resource, choose: Choose) -> NewExecution | None:
    choice = choose(resource.key.type, Operation.READ)
    if choice is None:
        return None
    return NewExecution(
        provider=choice.provider,
        digest=choice.digest,
        workflow=choice.workflow,
        fair_key=resource.application,
        actor=_ACTOR,
        application_id=resource.application_id,
        resource_id=resource.id,
        operation=Operation.READ,
        generation=resource.observed_generation,
    )


def _drop_old_checks(tx: Transaction, ids: list[ResourceId]) -> None:
    """Of the health checks of a resource only the newest is kept."""
    if ids:
        tx.connection.execute(
            sa.delete(execution_table).where(
                execution_table.c.resource_id.in_(ids),
                execution_table.c.operation == Operation.READ.value,
                execution_table.c.state.in_(_FINAL),
            )
        )


def count_events(tx: Transaction, *, limit: int) -> None:
    """Events that have settled go into the tallies, so that whoever asks for totals need not read them again."""
    tallies.fold(tx, limit=limit)


def drop_old_keys(tx: Transaction) -> None:
    tx.connection.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.created_at < tx.now - _KEY_LIFE))


def next_due(tx: Transaction) -> float | None:
    """Seconds until the next sleeping execution is due; None when none sleeps with a time."""
    query = sa.select(sa.func.min(execution_table.c.ready_at)).where(
        execution_table.c.ready_at > tx.now, EXECUTION_WAITING, EXECUTION_UNDUE
    )
    due = tx.connection.execute(query).scalar_one_or_none()
    return None if due is None else (due - tx.now).total_seconds()
