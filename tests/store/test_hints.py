"""Who commits something new tells of it, after the commit and only then."""

import threading
from collections.abc import Collection

import pytest

from engine.domain.event import Event
from engine.domain.values import ApplicationId, ExecutionId
from engine.store import events, executions, leavings
from engine.store.database import Store
from engine.store.hints import ALL, EVENTS, Hints, of_application, of_execution

NEW = executions.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")


def fact(application: int | None = None) -> Event:
    return Event("a.b", "user:me", application_id=None if application is None else ApplicationId(application))


def test_events_are_hinted_at_after_their_commit_also_to_those_of_their_application(store: Store) -> None:
    heard: list[tuple[str, int]] = []

    def hear(topic: str) -> None:
        with store.read() as tx:
            heard.append((topic, len(events.listed(tx))))

    ends = [store.hints.listen(t, lambda t=t: hear(t)) for t in (EVENTS, of_application(ApplicationId(7)))]
    with store.begin() as tx:
        events.record(tx, [fact(7)])
        assert heard == []
    assert sorted(heard) == sorted([(EVENTS, 1), ("a7", 1)])
    with store.begin() as tx:
        events.record(tx, [fact(8)])
    assert heard[2:] == [(EVENTS, 2)]
    for end in ends:
        end()
    with store.begin() as tx:
        events.record(tx, [fact(7)])
    assert len(heard) == 3
    assert not store.hints.wanted


def test_logs_are_hinted_at_and_what_nobody_needs_to_know_is_not(store: Store) -> None:
    with store.begin() as tx:
        (run,) = executions.queue(tx, [NEW])
    heard: list[str] = []
    for topic in (EVENTS, ALL, of_execution(run), of_execution(ExecutionId(run + 1))):
        store.by_keys.hints.listen(topic, lambda topic=topic: heard.append(topic))
    with store.begin() as tx:
        executions.queue(tx, [NEW])
    assert heard == []
    with store.begin() as tx:
        leavings.add_log(tx, [(run, 0, 1, 1, "hello\n")])
    assert sorted(heard) == sorted([of_execution(run), ALL])


def test_what_is_rolled_back_is_hinted_at_to_nobody(store: Store) -> None:
    heard: list[str] = []
    store.hints.listen(EVENTS, lambda: heard.append("heard"))

    def fail() -> None:
        with store.begin() as tx:
            events.record(tx, [fact()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert heard == []


def test_a_listener_that_breaks_is_the_trouble_of_nobody_else(store: Store) -> None:
    heard: list[str] = []

    def broken() -> None:
        raise RuntimeError("no")

    store.hints.listen(EVENTS, broken)
    store.hints.listen(EVENTS, lambda: heard.append("heard"))
    with store.begin() as tx:
        events.record(tx, [fact()])
    assert heard == ["heard"]
    with store.read() as tx:
        assert len(events.listed(tx)) == 1


def test_a_bell_that_rang_before_the_wait_is_heard() -> None:
    hints = Hints(alone=True)
    with hints.bell("x1") as bell:
        hints.tell(["x1"])
        bell.wait(3600)
        waiting = threading.Thread(target=bell.wait, args=(3600,))
        waiting.start()
        hints.tell(["x2"])
        hints.tell([ALL])
        waiting.join(10)
        assert not waiting.is_alive()
    assert not hints.wanted


class Line:
    """A far side that may be there."""

    def __init__(self, *, connected: bool) -> None:
        self.connected = connected
        self.sent: list[set[str]] = []
        self.listening = False

    def send(self, topics: Collection[str]) -> None:
        self.sent.append({*topics})

    def listen(self) -> None:
        self.listening = True


def test_who_may_miss_hints_looks_more_often_by_itself() -> None:
    alone, deaf, far = Hints(alone=True), Hints(alone=False), Hints(alone=False)
    line = Line(connected=True)
    far.connect(line)
    assert alone.complete
    assert far.complete
    assert not deaf.complete
    assert alone.pause == far.pause == 5
    assert deaf.pause == 1
    line.connected = False
    assert far.pause == 1


def test_what_is_told_is_sent_to_others_and_heard_only_while_somebody_listens(store: Store) -> None:
    line = Line(connected=True)
    store.hints.connect(line)
    with store.begin() as tx:
        events.record(tx, [fact(3)])
    assert line.sent == [{EVENTS, "a3"}]
    assert not line.listening
    store.hints.listen(EVENTS, lambda: None)
    assert line.listening
