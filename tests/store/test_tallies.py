"""Totals of events: counted once, whoever counts, and not forgotten with the events."""

import threading
from datetime import timedelta

import sqlalchemy as sa

from engine.domain.event import Event
from engine.store import events, tallies
from engine.store.database import Store
from engine.store.tables import events as table

NOW = timedelta(seconds=-1)
"""Everything has settled."""


def happen(store: Store, kind: str, count: int) -> None:
    with store.begin() as tx:
        events.record(tx, [Event(kind, "user:me")] * count)


def totals(store: Store) -> dict[str, int]:
    with store.read() as tx:
        return tallies.totals(tx)


def fold(store: Store, *, limit: int = 1000, settled: timedelta = NOW) -> int:
    with store.begin() as tx:
        return tallies.fold(tx, limit=limit, settled=settled)


def test_what_is_in_the_tallies_is_not_counted_again_and_what_is_not_is_not_missing(store: Store) -> None:
    happen(store, "a", 5)
    happen(store, "b", 3)
    assert totals(store) == {"a": 5, "b": 3}
    assert [fold(store, limit=4) for _ in range(4)] == [0, 4, 4, 0]
    happen(store, "a", 2)
    assert totals(store) == {"a": 7, "b": 3}
    assert fold(store) == 2
    assert totals(store) == {"a": 7, "b": 3}


def test_totals_outlive_the_events(store: Store) -> None:
    happen(store, "a", 5)
    fold(store)
    fold(store)
    with store.begin() as tx:
        tx.connection.execute(sa.delete(table).where(table.c.id <= tallies.counted_up_to(tx)))
    assert totals(store) == {"a": 5}


def test_an_event_that_may_still_have_company_is_left_for_later(store: Store) -> None:
    happen(store, "a", 3)
    with store.begin() as tx:
        tx.connection.execute(sa.update(table).values(at=tx.now - timedelta(minutes=5)))
    happen(store, "a", 1)
    happen(store, "a", 1)
    with store.begin() as tx:  # its transaction began long ago, and its id came late
        newest = tx.connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()
        tx.connection.execute(sa.update(table).where(table.c.id == newest).values(at=tx.now - timedelta(minutes=5)))
    minute = timedelta(minutes=1)
    assert [fold(store, settled=minute) for _ in range(3)] == [0, 3, 0]
    assert totals(store) == {"a": 5}


def test_many_who_count_at_once_count_everything_once(store: Store) -> None:
    happen(store, "a", 500)
    fold(store)
    threads = [threading.Thread(target=lambda: [fold(store, limit=20) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    while fold(store):
        pass
    assert totals(store) == {"a": 500}
    with store.read() as tx:
        assert tallies.counted_up_to(tx) == 500
