"""What step attempts leave: their logs in chunks, their artifacts as archives."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from engine.domain.values import ExecutionId
from engine.store.bulk import insert_rows
from engine.store.database import Transaction
from engine.store.tables import artifacts, step_logs

_LOG, _ARTIFACT = "step_logs.text", "artifacts.content"


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
        for execution_id, position, attempt, chunk, text in sorted(rows, key=lambda row: row[:4])
    ]
    insert_rows(tx, step_logs, values, anew=True)
    tx.touched.update(row[0] for row in rows)


def log_chunks(tx: Transaction, execution_id: ExecutionId) -> dict[tuple[int, int], int]:
    """The number of the last chunk per (position, attempt)."""
    place = (step_logs.c.position, step_logs.c.attempt)
    query = sa.select(*place, sa.func.max(step_logs.c.chunk)).where(step_logs.c.execution_id == execution_id)
    return {(row[0], row[1]): row[2] for row in tx.connection.execute(query.group_by(*place))}


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


def log_end(tx: Transaction, execution_id: ExecutionId, position: int, attempt: int, *, most: int) -> str:
    """The last lines of one attempt's log, about `most` letters of them at most."""
    here = sa.and_(step_logs.c.execution_id == execution_id, step_logs.c.position == position)
    query = sa.select(step_logs).where(here, step_logs.c.attempt == attempt).order_by(step_logs.c.chunk.desc())
    chunks: list[str] = []
    for row in tx.connection.execute(query):
        chunks.insert(0, tx.sealer.open(row.text_sealed, _LOG).decode())
        if sum(map(len, chunks)) >= most:
            break
    text = "".join(chunks)
    return text if len(text) <= most else text[-most:].partition("\n")[2]


def logs_behind(
    tx: Transaction, execution_id: ExecutionId, read: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], list[tuple[int, str]]]:
    """The chunks (number, text) per (position, attempt) of `read` behind the number that was read there."""
    found: dict[tuple[int, int], list[tuple[int, str]]] = {}
    places = list(read.items())
    for start in range(0, len(places), _PLACES):
        newer = [
            sa.and_(step_logs.c.position == position, step_logs.c.attempt == attempt, step_logs.c.chunk > chunk)
            for (position, attempt), chunk in places[start : start + _PLACES]
        ]
        query = sa.select(step_logs).where(step_logs.c.execution_id == execution_id, sa.or_(*newer))
        for row in tx.connection.execute(query.order_by(step_logs.c.chunk)):
            text = tx.sealer.open(row.text_sealed, _LOG).decode()
            found.setdefault((row.position, row.attempt), []).append((row.chunk, text))
    return found


_PLACES = 100


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
