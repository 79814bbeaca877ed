"""What has failed, in rows without anything sealed."""

from typing import NamedTuple

import sqlalchemy as sa

from engine.domain.provider import Operation
from engine.domain.resource import AWAITS_TURN, ResourceKey, ResourceState
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.store.among import found_by
from engine.store.database import Transaction
from engine.store.tables import EXECUTION_BROKEN, executions, resource_references, resources

_FAILED = sa.and_(resources.c.state == ResourceState.FAILED.value, resources.c.reason != AWAITS_TURN)


class FailedResource(NamedTuple):
    id: ResourceId
    key: ResourceKey
    error: str


def _mine(application_id: ApplicationId) -> sa.ColumnElement[bool]:
    mine = sa.select(resource_references.c.resource_id).where(resource_references.c.application_id == application_id)
    return found_by(resources.c.id, mine)


def of_application(tx: Transaction, application_id: ApplicationId, *, limit: int) -> list[FailedResource]:
    """Those that the application refers to and that failed, then those that are blocked; each the earliest first."""
    query = (
        sa.select(resources)
        .where(_mine(application_id), sa.or_(_FAILED, resources.c.blocked_by.is_not(None)))
        .order_by(sa.case((_FAILED, 0), else_=1), resources.c.updated_at, resources.c.id)
        .limit(limit)
    )
    found = tx.connection.execute(query)
    return [
        FailedResource(
            ResourceId(row.id), ResourceKey(row.environment, row.type, row.resource_class, row.identity), row.error
        )
        for row in found
    ]


def states(tx: Transaction, application_id: ApplicationId) -> dict[str, int]:
    """How many of the application's resources are in which state."""
    query = sa.select(resources.c.state, sa.func.count()).where(_mine(application_id)).group_by(resources.c.state)
    return {row[0]: row[1] for row in tx.connection.execute(query.order_by(resources.c.state))}


def newest_check(tx: Transaction, resource_id: ResourceId) -> ExecutionId | None:
    """The newest health check of a resource that failed."""
    query = (
        sa.select(executions.c.id)
        .where(executions.c.resource_id == resource_id, executions.c.operation == Operation.READ.value)
        .where(EXECUTION_BROKEN)
        .order_by(executions.c.id.desc())
        .limit(1)
    )
    found = tx.connection.execute(query).scalar_one_or_none()
    return None if found is None else ExecutionId(found)
