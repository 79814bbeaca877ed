"""Many rows in one statement hold what one row at a time would."""

from datetime import UTC, datetime

import sqlalchemy as sa

from engine.domain.event import Event
from engine.domain.values import JsonObject
from engine.store import applications, events, executions
from engine.store.bulk import insert_numbered, insert_rows
from engine.store.database import Store
from engine.store.executions import NewExecution
from engine.store.tables import events as timeline
from engine.store.tables import executions as table
from engine.store.tables import provider_bundles, resources, step_logs

NEW = NewExecution("p", "d", "w", "k", "user:me")


def test_the_ids_of_thousands_come_in_the_order_of_the_rows(store: Store) -> None:
    with store.begin() as tx:
        new = [NewExecution("p", "d", f"w{number}", f"k{number % 3}", "user:me") for number in range(3000)]
        ids = executions.queue(tx, new)
    assert ids == sorted(set(ids))
    with store.read() as tx:
        rows = tx.connection.execute(sa.select(table.c.id, table.c.workflow).order_by(table.c.id)).all()
    assert [tuple(row) for row in rows] == [(made, item.workflow) for made, item in zip(ids, new, strict=True)]


def test_every_kind_of_value_comes_back_as_it_was(store: Store) -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)
    odd = 'quote " backslash \\ percent %s {brace} newline \n umlaut ü pile 💩'
    with store.begin() as tx:
        owner = applications.ensure(tx, "app", "default", actor="user:me").application.id
    row: dict[str, object] = {
        "environment": odd, "type": "t", "resource_class": "c", "identity": "i", "created_at": at, "updated_at": at,
        "application_id": owner, "name": odd, "params_sealed": bytes(range(256)), "state": "active", "pending": None,
        "desired_generation": 2**31 - 1, "observed_generation": 0, "outputs_sealed": None,
    }  # fmt: skip
    with store.begin() as tx:
        (number,) = insert_numbered(tx, resources, [row])
    with store.read() as tx:
        found = tx.connection.execute(sa.select(*(resources.c[key] for key in row))).one()
    assert number > 0
    assert dict(zip(row, found, strict=True)) == row


def test_json_keeps_its_shape(store: Store) -> None:
    data: JsonObject = {"text": "a\\b\"c'd", "number": 1.5, "none": None, "list": [1, {"deep": True}], "empty": {}}
    with store.begin() as tx:
        events.record(tx, [Event("x", "user:me", data=data), Event("y", "user:me")])
    with store.read() as tx:
        assert list(tx.connection.execute(sa.select(timeline.c.data).order_by(timeline.c.id)).scalars()) == [data, {}]


def test_rows_that_are_there_already_are_left_as_they_are(store: Store) -> None:
    with store.begin() as tx:
        (run,) = executions.queue(tx, [NEW])
        chunk = {"execution_id": run, "position": 0, "attempt": 1, "written_at": tx.now}
        insert_rows(tx, step_logs, [{**chunk, "chunk": 1, "text_sealed": b"first"}], anew=True)
        both = [{**chunk, "chunk": number, "text_sealed": b"second"} for number in (1, 2)]
        insert_rows(tx, step_logs, both, anew=True)
        found = tx.connection.execute(sa.select(step_logs.c.text_sealed).order_by(step_logs.c.chunk)).scalars()
        assert [bytes(text) for text in found] == [b"first", b"second"]


def test_no_rows_are_no_statement(store: Store) -> None:
    with store.begin() as tx:
        insert_rows(tx, provider_bundles, [])
        assert insert_numbered(tx, resources, []) == []
