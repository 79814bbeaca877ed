"""The timeline has one order without gaps, whoever writes at the same time."""

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from engine.domain.event import BEGINNING, Event, Position, Wanted
from engine.domain.values import ApplicationId, ResourceId
from engine.store import events
from engine.store.database import Store, Transaction
from engine.store.tables import events as table
from tests.support.platforms import open_store, until


def say(tx: Transaction, kind: str, application: int | None = None) -> None:
    """Written at once, as a slow transaction does that has more to do afterwards."""
    about = None if application is None else ApplicationId(application)
    events.record(tx, [Event(kind, "user:me", application_id=about)])
    tx.before_commit.pop()()
    tx.facts.clear()


def kinds(store: Store, after: Position = BEGINNING, wanted: Wanted | None = None) -> list[str]:
    with store.read() as tx:
        return [event.kind for event in events.read(tx, after, wanted=wanted or Wanted(), limit=1000).events]


@contextmanager
def another(store: Store, url: str) -> Generator[Transaction]:
    """A transaction of another process; on SQLite, where there is one writer, there can be none beside ours."""
    other = open_store(url)
    try:
        with other.begin() as tx:
            yield tx
    finally:
        other.close()


@pytest.fixture
def postgres(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgres_server").database_url(
        template=request.getfixturevalue("postgres_with_tables")
    )


def test_an_event_of_a_slower_transaction_is_not_missed(postgres: str) -> None:
    store = open_store(postgres)
    with another(store, postgres) as slow:
        say(slow, "a.slow")
        with store.begin() as tx:
            say(tx, "b.quick")
        with store.read() as tx:
            seen = events.read(tx, BEGINNING)
        assert seen.events == ()  # the quick one has the higher place: it is shown after the slow one
        assert seen.held_back
        assert not seen.more
    with store.read() as tx:
        later = events.read(tx, seen.reached)
    assert [event.kind for event in later.events] == ["a.slow", "b.quick"]
    assert not later.held_back
    store.close()


def test_a_transaction_that_began_before_and_writes_later_is_not_missed_either(postgres: str) -> None:
    store = open_store(postgres)
    with another(store, postgres) as slow:
        say(slow, "a.first")  # its transaction has its place now
        with store.begin() as tx:
            say(tx, "b.quick")
        say(slow, "c.last")  # an id above that of the quick one
    assert kinds(store) == ["a.first", "c.last", "b.quick"]
    store.close()


def test_what_another_transaction_only_reads_holds_nothing_back(postgres: str) -> None:
    store = open_store(postgres)
    with another(store, postgres) as reader:
        reader.connection.execute(sa.select(table)).all()
        with store.begin() as tx:
            say(tx, "b.quick")
        assert kinds(store) == ["b.quick"]
    store.close()


def test_what_is_open_in_another_database_of_the_server_holds_back_too(postgres: str, postgres_database: str) -> None:
    store, elsewhere = open_store(postgres), sa.create_engine(postgres_database)
    with elsewhere.begin() as connection:
        connection.exec_driver_sql("create table anything (id int)")
        with store.begin() as tx:
            say(tx, "b.quick")
        assert kinds(store) == []
    assert kinds(store) == ["b.quick"]
    elsewhere.dispose()
    store.close()


def test_events_are_read_in_pages_and_by_application_and_kind(store: Store) -> None:
    for number in range(30):
        with store.begin() as tx:
            say(tx, ("resource.active", "execution.failed", "resourceful.thing")[number % 3], 1 + number % 2)
    whole = until(lambda: found if len(found := kinds(store)) == 30 else None)
    paged: list[str] = []
    after = BEGINNING
    with store.read() as tx:
        while True:
            page = events.read(tx, after, limit=7)
            paged += [event.kind for event in page.events]
            after = page.reached
            if not page.more:
                break
    assert paged == whole
    assert set(kinds(store, wanted=Wanted(kinds=("resource",)))) == {"resource.active"}
    assert len(kinds(store, wanted=Wanted(ApplicationId(1), ("resource.active", "execution")))) == 10
    assert Wanted(ApplicationId(1)).takes(Event("x.y", "me", application_id=ApplicationId(1)))
    assert not Wanted(ApplicationId(1)).takes(Event("x.y", "me"))
    assert not Wanted(kinds=("resource",)).takes(Event("resourceful.thing", "me"))


def test_every_position_resumes_exactly_behind_itself(store: Store) -> None:
    with store.begin() as tx:
        for number in range(5):
            say(tx, f"k.n{number}")
    for number in range(5, 9):
        with store.begin() as tx:
            say(tx, f"k.n{number}")
    until(lambda: len(kinds(store)) == 9)
    with store.read() as tx:
        every = events.read(tx, BEGINNING).events
        assert events.newest(tx) == every[-1].position
        for event in every:
            assert event.id is not None
            assert events.position_of(tx, event.id) == event.position
    for number, event in enumerate(every):
        again = Position.parse(str(event.position))
        assert again is not None
        assert again == event.position
        assert kinds(store, again) == [f"k.n{later}" for later in range(number + 1, 9)]


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1-", "-1", "1-2-3", "99999999999999999999-1", "9999999999999999999-1", "\u0661-\u0662"]
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None


@pytest.mark.parametrize("seed", range(3))
def test_many_writers_and_a_reader_lose_and_repeat_nothing(store: Store, database_url: str, seed: int) -> None:
    """Writers hold their transactions open for a while, so that commits overtake each other."""
    writers, each = 6, 25
    rules = random.Random(seed)
    moods = [[rules.random() for _ in range(each)] for _ in range(writers)]
    stores = [open_store(database_url, pool_size=2) for _ in range(2)]
    never = threading.Event()

    def write(number: int) -> None:
        for turn, mood in enumerate(moods[number]):
            with stores[number % 2].begin() as tx:
                say(tx, f"w{number}.n{turn}")
                if mood > 0.5:
                    never.wait(mood / 100)
                    say(tx, f"w{number}.n{turn}.more")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    expected = {f"w{w}.n{t}" for w in range(writers) for t in range(each)}
    expected |= {f"w{w}.n{t}.more" for w in range(writers) for t in range(each) if moods[w][t] > 0.5}
    seen: list[str] = []
    after = BEGINNING

    def look() -> bool:
        nonlocal after
        with store.read() as tx:
            found = events.read(tx, after, limit=rules.randint(1, 50))
        assert all(event.position > after for event in found.events)
        seen.extend(event.kind for event in found.events)
        after = found.reached
        return len(seen) >= len(expected)

    until(look, seconds=60, told=lambda: expected - set(seen))
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(expected)
    assert not look() or len(seen) == len(expected)
    for made in stores:
        made.close()


def test_a_timeline_from_a_server_that_had_come_further_is_readable_and_goes_on(postgres: str) -> None:
    store = open_store(postgres)
    with store.begin() as tx:
        for number in range(3):
            say(tx, f"old.n{number}")
        tx.connection.execute(sa.update(table).values(xact=sa.literal(2**40) + 100 - table.c.id))
    assert kinds(store) == []  # restored: it looks as if it came from the future
    with store.read() as tx:
        cursor = events.known(tx, Position(2**40 + 98, 2))  # given out by the old server
    with store.begin() as tx:
        assert events.mend_order(tx)
    with store.begin() as tx:
        assert not events.mend_order(tx)
        say(tx, "new.one")
    assert kinds(store) == ["old.n0", "old.n1", "old.n2", "new.one"]
    assert kinds(store, cursor) == ["old.n2", "new.one"]
    store.close()


def test_why_a_resource_failed_the_last_time_stays_in_the_timeline(store: Store) -> None:
    def told(kind: str, resource: int, error: str) -> Event:
        return Event(kind, "user:me", resource_id=ResourceId(resource), data={"error": error})

    with store.begin() as tx:
        events.record(tx, [told("resource.failed", 1, "first"), told("resource.failed", 2, "of another")])
    with store.begin() as tx:
        events.record(tx, [told("resource.failed", 1, "second"), told("resource.active", 1, "")])
    with store.read() as tx:
        assert [events.newest_error(tx, ResourceId(number)) for number in (1, 2, 3)] == ["second", "of another", ""]
