"""What is said of a transaction that failed: that nothing was changed only where that is sure."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from engine.services import executions
from engine.store.again import transacted
from engine.store.away import DatabaseAway, DatabaseBusy
from engine.store.database import Store, Transaction
from engine.store.executions import counts
from engine.store.sealing import Sealer
from engine.store.tables import event_tallies
from tests.chaos.proxy import Proxy
from tests.support.platforms import KEY, ME, build_platform, open_store
from tests.support.providers import values, workflow, write_provider

UNKNOWN = "It is not known whether this was done"


class Cut(sqlite3.Connection):
    """A connection whose commits fail as SQLite says `failure`: `after` they were carried out, or before."""

    failure = ""
    after = False

    def commit(self) -> None:
        if self.after or not self.failure:
            super().commit()
        if self.failure:
            error = sqlite3.OperationalError("told by the test")
            error.sqlite_errorname = self.failure
            raise error


@dataclass
class Weak:
    """A store whose next commits lose their answers: they were carried out, or never arrived."""

    store: Store
    proxy: Proxy | None
    carried_out: bool

    @contextmanager
    def cut(self) -> Generator[None]:
        if self.proxy is None:
            Cut.failure, Cut.after = "SQLITE_IOERR_FSYNC", self.carried_out
        else:
            self.proxy.share = 1.0
        try:
            yield
        finally:
            Cut.failure = ""
            if self.proxy is not None:
                self.proxy.share = 0.0
                assert (self.proxy.unanswered, self.proxy.unsent) == ((1, 0) if self.carried_out else (0, 1))


@pytest.fixture(params=[True, False], ids=["carried out", "never arrived"])
def weak(request: pytest.FixtureRequest, database_url: str) -> Iterator[Weak]:
    done: bool = request.param
    if database_url.startswith("sqlite"):
        plain = open_store(database_url)
        plain.engine.dispose()
        engine = sa.create_engine(database_url, connect_args={"factory": Cut})
        proxy, store = None, Store(engine, Sealer(KEY))
    else:
        proxy = Proxy(database_url, seed=0, share=0.0)
        proxy.unsent_share = 0.0 if done else 1.0
        store = open_store(proxy.url)
    yield Weak(store, proxy, done)
    store.close()
    if proxy is not None:
        proxy.close()


def test_a_commit_whose_answer_is_lost_is_told_as_that_and_can_be_sent_again(weak: Weak, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "p", golden={"chain": workflow([values("a", a=1)])})
    house = build_platform(weak.store, tmp_path, [provider])
    with weak.store.by_keys.begin():  # it is connected before the cut
        pass
    with weak.cut(), pytest.raises(DatabaseAway) as told:
        executions.execute(house.platform, ME, "chain", {}, idempotency_key="once")
    assert told.value.message.startswith(UNKNOWN)
    assert "same idempotency key" in told.value.hint
    assert told.value.details == {"outcome": "unknown"}
    again = executions.execute(house.platform, ME, "chain", {}, idempotency_key="once")
    assert again == executions.execute(house.platform, ME, "chain", {}, idempotency_key="once")
    with weak.store.read() as tx:
        assert counts(tx) == {"pending": 1}


BREAKS = {
    "sqlite": ["PRAGMA query_only = 1", "INSERT INTO event_tallies VALUES ('x', 1)"],
    "postgresql": ["SELECT pg_terminate_backend(pg_backend_pid())"],
}


def test_what_fails_before_its_commit_has_changed_nothing_and_says_so(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.connection.execute(sa.insert(event_tallies).values(kind="kind", count=1))
        for statement in BREAKS[store.engine.dialect.name]:
            tx.connection.exec_driver_sql(statement)

    with pytest.raises(DatabaseAway) as told:
        transacted(store, work)
    assert told.value.hint.startswith("Nothing was changed.")
    assert told.value.details == {"outcome": "nothing_changed"}
    store.engine.dispose()
    with store.read() as tx:
        assert tx.connection.execute(sa.select(event_tallies)).all() == []


FULL = """
create function refuse() returns trigger language plpgsql as $$ begin
  raise exception 'No space left on device' using errcode = '53100';
end $$;
create constraint trigger refuse after insert on event_tallies deferrable initially deferred
  for each row execute function refuse();
"""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_commit_that_the_server_refuses_has_changed_nothing(store: Store) -> None:
    with store.begin() as tx:
        tx.connection.exec_driver_sql(FULL)
    with pytest.raises(DatabaseAway) as told, store.begin() as tx:
        tx.connection.execute(sa.insert(event_tallies).values(kind="kind", count=1))
    assert told.value.details == {"outcome": "nothing_changed"}


def _skew(tx: Transaction, kind: str) -> int:
    """Reads what the other one writes: together they cannot have been done one after the other."""
    tx.connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    seen = tx.connection.execute(sa.select(sa.func.count()).select_from(event_tallies)).scalar_one()
    tx.connection.execute(sa.insert(event_tallies).values(kind=kind, count=seen))
    return seen


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_another_one_got_in_the_way_of_is_done_anew_even_when_its_commit_is_refused(store: Store) -> None:
    runs: list[int] = []

    def work(tx: Transaction) -> int:
        seen = _skew(tx, f"mine-{len(runs)}")
        if not runs:
            with store.begin() as other:
                _skew(other, "theirs")
        runs.append(seen)
        return seen

    with pytest.raises(DatabaseBusy) as told, store.begin() as tx:
        work(tx)
    assert (told.value.code, told.value.hint[:19]) == ("busy", "Nothing was changed")
    runs.clear()
    with store.begin() as tx:
        tx.connection.execute(sa.delete(event_tallies))
    assert transacted(store, work) == 1
    assert runs == [0, 1]


def test_the_fault_of_a_statement_is_no_outage(store: Store) -> None:
    with pytest.raises(IntegrityError), store.begin() as tx:
        tx.connection.execute(sa.insert(event_tallies).values(kind=None, count=1))
