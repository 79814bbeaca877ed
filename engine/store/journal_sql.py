"""The statements of the journal, for SQLite and for PostgreSQL: they run a thousand times a second.

SQLAlchemy's own way from statement to driver costs more per row than the database does, so these are handed to the
driver as they stand. SQLite gets its `executemany`. PostgreSQL gets the rows as JSON and one statement over all of
them, which checks the fences, moves the executions and writes their steps: one round trip, whatever the number of rows.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import NamedTuple

from engine.domain.values import ExecutionId
from engine.store.bulk import as_json
from engine.store.database import Transaction
from engine.store.folding import Folded, Row
from engine.store.types import dump_json, sqlite_time

MOST_COUNTED = 1000


class Written(NamedTuple):
    """`ours` are the executions that were written.

    Where some come to rest: whether others are `queued`, and how many are `running`, up to `MOST_COUNTED`.
    """

    ours: frozenset[ExecutionId]
    queued: bool = False
    running: int = 0


def write(tx: Transaction, folded: Folded, *, rests: bool) -> Written:
    """Write what belongs to executions that are ours and whose sequence is the next; with `rests`, some end or wait."""
    return (_write_postgresql if tx.postgresql else _write_sqlite)(tx, folded, rests=rests)


# --- SQLite: one writer at a time, so that looking first and writing then is safe ---

_SQLITE_STANDING = """\
SELECT id, fence, sequence FROM executions WHERE state = 'running' AND id IN (SELECT value FROM json_each(?))"""
_SQLITE_ADVANCE = """\
UPDATE executions SET
  sequence = :sequence,
  completed_steps = coalesce(:kept, completed_steps) + :completed,
  failed_steps = failed_steps + :failed,
  inputs_sealed = coalesce(:inputs, inputs_sealed),
  total_steps = coalesce(:total, total_steps),
  state = coalesce(:state, state),
  outputs_sealed = CASE WHEN :state IS NULL THEN outputs_sealed ELSE :outputs END,
  error = coalesce(:error, error),
  reason = coalesce(:reason, reason),
  finished_at = CASE WHEN :state IS NULL THEN finished_at ELSE :now END,
  ready_at = CASE WHEN :state IS NULL THEN ready_at END,
  worker = CASE WHEN :state IS NULL THEN worker END
WHERE id = :id"""
_QUEUED = """\
EXISTS (SELECT 1 FROM executions WHERE state = 'pending' AND ready_at <= {now})
  OR EXISTS (SELECT 1 FROM executions WHERE ready_at IS NOT NULL AND state <> 'pending' AND ready_at <= {now})"""
_RUNNING = f"(SELECT count(*) FROM (SELECT 1 FROM executions WHERE state = 'running' LIMIT {MOST_COUNTED}) AS running)"  # noqa: S608 - ours
_SQLITE_REST = f"SELECT {_QUEUED.format(now=':now')}, {_RUNNING}"
_SQLITE_BEGIN = """\
INSERT INTO step_runs (execution_id, position, attempt, name, type, execution_attempt, state, reason, error,
  outputs_sealed, wait_kind, wait_ref, memo_sealed, wake_at, started_at, finished_at)
VALUES (:execution_id, :position, :attempt, :name, :type, :execution_attempt, :state, :reason, :error,
  :outputs, :wait_kind, :wait_ref, :memo, :wake_at, :now, :finished_at)"""
_SQLITE_PLACE = "WHERE execution_id = :execution_id AND position = :position AND attempt = :attempt"
_SQLITE_RESUME = f"UPDATE step_runs SET state = 'running', wake_at = NULL, reason = '' {_SQLITE_PLACE}"  # noqa: S608 - ours
_SQLITE_WAIT = f"""\
UPDATE step_runs SET state = 'waiting', wait_kind = :wait_kind, wait_ref = :wait_ref, wake_at = :wake_at,
  memo_sealed = :memo, reason = :reason
{_SQLITE_PLACE}"""  # noqa: S608 - ours
_SQLITE_FINISH = f"""\
UPDATE step_runs SET state = :state, finished_at = :now, outputs_sealed = :outputs, error = :error, reason = :reason
{_SQLITE_PLACE}"""  # noqa: S608 - ours


_LEFT: Row = dict.fromkeys(("kept", "inputs", "total", "state", "outputs", "error", "reason"))
_FRESH: Row = dict.fromkeys(("outputs", "wait_kind", "wait_ref", "memo"))
"""What rows leave out is null to PostgreSQL; SQLite wants to be told."""


def _write_sqlite(tx: Transaction, folded: Folded, *, rests: bool) -> Written:
    run = tx.connection.exec_driver_sql
    now = sqlite_time(tx.now)
    standing = {
        row[0]: (row[1], row[2]) for row in run(_SQLITE_STANDING, (dump_json([r["id"] for r in folded.advanced]),))
    }
    ours = {
        ExecutionId(row["id"])
        for row in folded.advanced
        if standing.get(row["id"]) == (row["fence"], row["sequence"] - 1)
    }

    queued, running = run(_SQLITE_REST, {"now": now}).one() if rests else (False, 0)

    def wake_at(row: Row) -> str | None:
        after = row.get("wake_after")
        return None if after is None else sqlite_time(tx.now + timedelta(seconds=after))

    mine = [{**_LEFT, **row, "now": now} for row in folded.advanced if row["id"] in ours]
    begun = [
        {**_FRESH, **row, "now": now, "wake_at": wake_at(row), "finished_at": now if row["ended"] else None}
        for row in _of(folded.begun, ours)
    ]
    waiting = [{**row, "wake_at": wake_at(row)} for row in _of(folded.waiting, ours)]
    finished = [{**row, "now": now} for row in _of(folded.finished, ours)]
    for statement, rows in (
        (_SQLITE_ADVANCE, mine),
        (_SQLITE_BEGIN, begun),
        (_SQLITE_RESUME, list(_of(folded.resumed, ours))),
        (_SQLITE_WAIT, waiting),
        (_SQLITE_FINISH, finished),
    ):
        if rows:
            run(statement, rows)
    return Written(frozenset(ours), bool(queued), running)


def _of(rows: Iterable[Row], ours: Collection[ExecutionId]) -> Iterable[Row]:
    return (row for row in rows if row["execution_id"] in ours)


# --- PostgreSQL ---

_ADVANCE = """\
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(advanced)s::json) AS g(id bigint, fence int, sequence int, kept int,
    completed int, failed int, inputs text, total int, state text, outputs text, error text, reason text)
  ORDER BY id
), advanced AS (
  UPDATE executions SET
    sequence = g.sequence,
    completed_steps = coalesce(g.kept, executions.completed_steps) + g.completed,
    failed_steps = executions.failed_steps + g.failed,
    inputs_sealed = coalesce(decode(g.inputs, 'hex'), executions.inputs_sealed),
    total_steps = coalesce(g.total, executions.total_steps),
    state = coalesce(g.state, executions.state),
    outputs_sealed = CASE WHEN g.state IS NULL THEN executions.outputs_sealed ELSE decode(g.outputs, 'hex') END,
    error = coalesce(g.error, executions.error),
    reason = coalesce(g.reason, executions.reason),
    finished_at = CASE WHEN g.state IS NULL THEN executions.finished_at ELSE clock_timestamp() END,
    ready_at = CASE WHEN g.state IS NULL THEN executions.ready_at END,
    worker = CASE WHEN g.state IS NULL THEN executions.worker END
  FROM given g
  WHERE executions.id = ANY(%(ids)s) AND executions.id = g.id AND executions.fence = g.fence
    AND executions.state IS NOT DISTINCT FROM 'running' AND executions.sequence = g.sequence - 1
  RETURNING executions.id
)"""
"""The ids stand twice: as an array they are looked up in the index, in their order, however large the table is.

It has to be this index: by that of what is running the rows would be locked in another order than the heartbeat does,
and the two would wait for each other in a circle. What is written with DISTINCT FROM finds no partial index.
"""
_OURS = "(execution_id IN (SELECT id FROM advanced)) IS TRUE"
"""`IS TRUE` makes it a look-up in a hash table. As a join it would be a loop in a loop: the planner expects one row."""
_BEGIN = f""", begun AS (
  INSERT INTO step_runs (execution_id, position, attempt, name, type, execution_attempt, state, reason, error,
    outputs_sealed, wait_kind, wait_ref, memo_sealed, wake_at, started_at, finished_at)
  SELECT b.execution_id, b.position, b.attempt, b.name, b.type, b.execution_attempt, b.state, b.reason, b.error,
    decode(b.outputs, 'hex'), b.wait_kind, b.wait_ref, decode(b.memo, 'hex'),
    clock_timestamp() + make_interval(secs => b.wake_after), clock_timestamp(),
    CASE WHEN b.ended THEN clock_timestamp() END
  FROM json_to_recordset(%(begun)s::json) AS b(execution_id bigint, position int, attempt int, name text, type text,
    execution_attempt int, state text, reason text, error text, outputs text, wait_kind text, wait_ref bigint,
    memo text, wake_after float8, ended boolean)
  WHERE {_OURS}
)"""  # noqa: S608 - ours
_FINISH_GIVEN = """\
  UPDATE step_runs SET state = f.state, finished_at = clock_timestamp(), outputs_sealed = decode(f.outputs, 'hex'),
    error = f.error, reason = f.reason
  FROM (
    SELECT * FROM json_to_recordset(%(finished)s::json) AS g(execution_id bigint, position int, attempt int, state text,
      outputs text, error text, reason text)
    WHERE {which}
  ) f
  WHERE step_runs.execution_id = f.execution_id AND step_runs.position = f.position AND step_runs.attempt = f.attempt"""
_FINISH = f", finished AS (\n{_FINISH_GIVEN.format(which=_OURS)}\n)"
_FINISH_ALONE = _FINISH_GIVEN.format(which="true")
_TOLD = "\nSELECT id, clock_timestamp(), {rest} FROM advanced"
_REST = f"{_QUEUED.format(now='clock_timestamp()')}, {_RUNNING}"
_STATEMENTS = {
    (begins, finishes, rests): _ADVANCE
    + (_BEGIN if begins else "")
    + (_FINISH if finishes else "")
    + _TOLD.format(rest=_REST if rests else "false, 0")
    for begins in (False, True)
    for finishes in (False, True)
    for rests in (False, True)
}
"""By whether attempts begin, attempts finish and executions come to rest in it. An attempt that does both in one record
stands among the begun.
"""
_RESUME = """\
UPDATE step_runs SET state = 'running', wake_at = NULL, reason = ''
FROM json_to_recordset(%(rows)s::json) AS r(execution_id bigint, position int, attempt int)
WHERE step_runs.execution_id = r.execution_id AND step_runs.position = r.position AND step_runs.attempt = r.attempt"""
_WAIT = """\
UPDATE step_runs SET state = 'waiting', wait_kind = w.wait_kind, wait_ref = w.wait_ref,
  wake_at = clock_timestamp() + make_interval(secs => w.wake_after), memo_sealed = decode(w.memo, 'hex'),
  reason = w.reason
FROM json_to_recordset(%(rows)s::json) AS w(execution_id bigint, position int, attempt int, wait_kind text,
  wait_ref bigint, wake_after float8, memo text, reason text)
WHERE step_runs.execution_id = w.execution_id AND step_runs.position = w.position AND step_runs.attempt = w.attempt"""


def _write_postgresql(tx: Transaction, folded: Folded, *, rests: bool) -> Written:
    run = tx.connection.exec_driver_sql
    first = {} if folded.resumed or folded.waiting else {"finished": folded.finished}
    given = {"advanced": folded.advanced, "begun": folded.begun, **first}
    statement = _STATEMENTS[bool(folded.begun), bool(first.get("finished")), rests]
    parameters: dict[str, object] = {name: as_json(rows) for name, rows in given.items() if rows}
    found = run(statement, {**parameters, "ids": [row["id"] for row in folded.advanced]}).all()
    if found:
        tx.knows(found[0][1])
    ours = {ExecutionId(row[0]) for row in found}
    if not first:  # an attempt may wait or be resumed, and end, in one record: in that order
        for statement, rows in ((_RESUME, folded.resumed), (_WAIT, folded.waiting)):
            if mine := list(_of(rows, ours)):
                run(statement, {"rows": as_json(mine)})
        if mine := list(_of(folded.finished, ours)):
            run(_FINISH_ALONE, {"finished": as_json(mine)})
    return Written(frozenset(ours), *found[0][2:]) if found else Written(frozenset())
