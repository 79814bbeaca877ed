"""What lists find, and that they open nothing which they do not show."""

import pytest
import sqlalchemy as sa

from engine.domain.execution import ExecutionState
from engine.domain.provider import Operation
from engine.domain.runs import Outputs
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.store import applications, executions
from engine.store.database import Store, Transaction
from engine.store.executions import NewExecution
from engine.store.tables import executions as table

SECRET = Outputs({"token": "s3cret"}, frozenset({"token"}))


def queue(
    tx: Transaction, workflow: str = "w", *, application: str = "", environment: str = "default", check: bool = False
) -> ExecutionId:
    its = applications.ensure(tx, application, environment, actor="user:me").application.id if application else None
    new = NewExecution(
        provider="p",
        digest="d",
        workflow=workflow,
        fair_key="k",
        actor="user:me",
        application_id=its,
        operation=Operation.READ if check else None,
        environment="" if application else environment,
        inputs=SECRET,
        total_steps=3,
    )
    return executions.queue(tx, [new])[0]


def test_a_list_shows_executions_whose_sealed_values_cannot_be_opened(store: Store) -> None:
    with store.begin() as tx:
        run = queue(tx)
        tx.connection.execute(sa.update(table).values(inputs_sealed=b"sealed by", outputs_sealed=b"another key"))
    with store.read() as tx:
        assert [found.id for found in executions.listed(tx)] == [run]
        with pytest.raises(Unavailable):
            executions.get(tx, run)


def test_a_list_says_of_an_execution_what_is_said_of_it_alone(store: Store) -> None:
    with store.begin() as tx:
        queue(tx, application="shop", environment="staging")
        queue(tx, environment="testing")
    with store.read() as tx:
        for listed in executions.listed(tx):
            alone = executions.get(tx, listed.id)
            assert {name: getattr(alone, name) for name in listed._fields} == listed._asdict()
            assert (listed.state, listed.duration_ms) == (ExecutionState.PENDING, None)


def test_a_list_of_executions_is_narrowed_by_all_that_is_asked_for(store: Store) -> None:
    with store.begin() as tx:
        here, there = (queue(tx, "make_it", application="shop", environment=where) for where in ("default", "staging"))
        other, like = queue(tx, "make_it", application="other"), queue(tx, "makeXit", application="shop")
        queue(tx, "make_it", application="shop", check=True)
        tx.connection.execute(sa.update(table).where(table.c.id == there).values(state="waiting"))

        def found(**asked: object) -> list[ExecutionId]:
            return [run.id for run in executions.listed(tx, **asked)]  # pyright: ignore[reportArgumentType] # by name

        assert found() == [like, other, there, here]
        assert found(application="shop") == [like, there, here]
        assert found(application="shop", search="e_i", before=like) == [there, here]
        assert found(application="shop", search="e_i", state=ExecutionState.WAITING) == [there]
        assert found(application="shop", limit=1) == [like]
        assert found(application="none") == found(search="%") == []
