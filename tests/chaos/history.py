"""What happened, for the judge: every change of a row, in order, and every effect that a step had on the world.

Changes are kept by triggers in the database itself, in the transaction that makes them: what was rolled back is not in
them, and nothing is missed between two looks. Effects are lines in a file, which no crash of a database takes back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import psycopg

Row = dict[str, Any]
WATCHED = ("executions", "step_runs", "resources", "resource_dependencies", "events")
_RECORDER = """
CREATE TABLE chaos_history (
  number bigserial PRIMARY KEY, at timestamptz NOT NULL, tx bigint NOT NULL, noun text NOT NULL,
  before jsonb, after jsonb
);
CREATE FUNCTION chaos_plain(given anyelement) RETURNS jsonb LANGUAGE sql AS $$
  SELECT to_jsonb(given) - '{inputs_sealed,outputs_sealed,memo_sealed,params_sealed}'::text[]
$$;
CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos_history (at, tx, noun, before, after) VALUES (
    clock_timestamp(), txid_current(), TG_TABLE_NAME,
    CASE WHEN TG_OP <> 'INSERT' THEN chaos_plain(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN chaos_plain(NEW) END
  );
  RETURN NULL;
END $$;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after; None where there was none. `at` is in seconds, by the database's clock."""

    number: int
    at: float
    tx: int
    noun: str
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Effect:
    """A step that begins its effect, or has done it, told by the step's own program."""

    what: str
    """`begin` or `end`."""
    execution: int
    attempt: int
    """Of the execution: it rises when a person asks for a retry."""
    step: str
    key: str
    pid: int
    note: str = ""


def conninfo(url: str) -> str:
    """A libpq connection string for an SQLAlchemy URL."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def record(url: str) -> None:
    """Keep every change of the tables from now on."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(_RECORDER)
        for table in WATCHED:
            statement = f"CREATE TRIGGER chaos AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION chaos_note()"
            connection.execute(statement.encode())


def changes(url: str) -> list[Change]:
    """Every change that was committed, in the order in which the rows were written."""
    query = "SELECT number, extract(epoch FROM at)::float8, tx, noun, before, after FROM chaos_history ORDER BY number"
    with psycopg.connect(conninfo(url)) as connection:
        return [
            Change(*cast("tuple[int, float, int, str, Row | None, Row | None]", row))
            for row in connection.execute(query)
        ]


def effects(ledger: Path) -> list[Effect]:
    """The effects in the order in which they happened."""
    return list(_read(ledger.read_text().splitlines())) if ledger.exists() else []


def _read(lines: Iterable[str]) -> Iterable[Effect]:
    for line in lines:
        what, execution, attempt, step, key, pid, *note = line.split()
        yield Effect(what, int(execution), int(attempt), step, key, int(pid), " ".join(note))


def moment(text: str) -> float:
    """Seconds since the epoch of a timestamp as the database writes it into JSON."""
    return datetime.fromisoformat(text).timestamp()
