"""A condition on ids means the same on both databases."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from engine.domain.values import ExecutionId
from engine.store import executions
from engine.store.among import among, found_by
from engine.store.database import Store
from engine.store.executions import NewExecution
from engine.store.tables import executions as table

NEW = NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
GIVEN = sa.select(table.c.id).where(among(table.c.id, "ids")).order_by(table.c.id)


@pytest.fixture
def ids(store: Store) -> list[ExecutionId]:
    with store.begin() as tx:
        return executions.queue(tx, [NEW] * 5)


def _found(store: Store, query: sa.Select[Any], **given: object) -> list[int]:
    with store.read() as tx:
        return list(tx.connection.execute(query, given).scalars())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_ids_come_as_a_parameter_or_stand_in_the_statement(store: Store, ids: list[ExecutionId], count: int) -> None:
    wanted = ids[:count]
    assert _found(store, GIVEN, ids=wanted) == wanted
    assert _found(store, GIVEN, ids=set(wanted)) == wanted
    assert _found(store, sa.select(table.c.id).where(among(table.c.id, wanted)).order_by(table.c.id)) == wanted


@pytest.mark.parametrize("count", [0, 2])
def test_it_can_be_denied(store: Store, ids: list[ExecutionId], count: int) -> None:
    others = sa.select(table.c.id).where(sa.not_(among(table.c.id, "ids"))).order_by(table.c.id)
    assert _found(store, others, ids=ids[:count]) == ids[count:]


def test_a_column_without_a_value_is_among_nothing(store: Store, ids: list[ExecutionId]) -> None:
    assert ids
    assert _found(store, sa.select(table.c.id).where(among(table.c.parent_id, ids))) == []


def test_a_forgotten_parameter_is_an_error_and_not_no_ids(store: Store, ids: list[ExecutionId]) -> None:
    assert ids
    with pytest.raises(StatementError, match="ids"):
        _found(store, GIVEN)


def test_those_that_another_query_finds(store: Store, ids: list[ExecutionId]) -> None:
    later = sa.select(table.c.id).where(table.c.id > ids[2])
    assert _found(store, sa.select(table.c.id).where(found_by(table.c.id, later)).order_by(table.c.id)) == ids[3:]
