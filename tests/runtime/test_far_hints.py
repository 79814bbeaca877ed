"""Hints between processes, through a real Valkey that may be gone, or never come."""

import threading
from dataclasses import dataclass, field

from engine.domain.event import Event
from engine.runtime.far_hints import FarHints
from engine.store import events
from engine.store.database import Store
from engine.store.hints import ALL, EVENTS, Hints
from tests.support.platforms import until
from tests.support.valkey import Valkey, valkey

__all__ = ["valkey"]


@dataclass
class Process:
    """The hints of one process, as another one of the same platform has them."""

    far: FarHints
    hints: Hints
    heard: list[str] = field(default_factory=list[str])
    rung: threading.Event = field(default_factory=threading.Event)

    def listen(self, *topics: str) -> None:
        for topic in topics:
            self.hints.listen(topic, lambda topic=topic: self._hear(topic))

    def _hear(self, topic: str) -> None:
        self.heard.append(topic)
        self.rung.set()

    def connected(self) -> bool:
        return self.far.connected


def process(url: str, platform: str = "here") -> Process:
    hints = Hints(alone=False)
    far = FarHints(url, hints, platform=platform)
    far.start()
    return Process(far, hints)


def test_what_one_process_commits_the_others_hear_and_those_of_other_platforms_do_not(
    valkey: Valkey, store: Store
) -> None:
    near, stranger = process(valkey.url), process(valkey.url, "elsewhere")
    mine = FarHints(valkey.url, store.hints, platform="here")
    mine.start()
    own: list[str] = []
    store.hints.listen(EVENTS, lambda: own.append("rung"))
    for other in (near, stranger):
        other.listen(EVENTS, "x9")
        until(other.connected)
        other.heard.clear()
    until(lambda: mine.connected)
    own.clear()
    with store.begin() as tx:
        events.record(tx, [Event("a.b", "user:me")])
    until(lambda: near.heard == [EVENTS])
    with store.begin() as tx:
        events.record(tx, [Event("a.b", "user:me")])
    until(lambda: near.heard == [EVENTS, EVENTS])
    assert own == ["rung", "rung"]  # its own echo is not heard
    assert stranger.heard == []
    for far in (near.far, stranger.far, mine):
        far.stop()


def test_a_flood_is_told_in_few_messages(valkey: Valkey) -> None:
    teller, near = process(valkey.url), process(valkey.url)
    near.listen(EVENTS, "x4999")
    until(near.connected)
    near.heard.clear()
    for number in range(5000):
        teller.hints.tell({EVENTS, f"x{number}"})
    until(lambda: "x4999" in near.heard)
    teller.far.stop()
    near.far.stop()
    assert near.heard.count(EVENTS) < 500


def test_who_tells_does_not_notice_that_redis_is_away_and_who_listens_does(store: Store) -> None:
    mine = FarHints("redis://127.0.0.1:1/0", store.hints, platform="here")
    mine.start()
    heard: list[str] = []
    store.hints.listen(EVENTS, lambda: heard.append("heard"))
    for _ in range(20):
        with store.begin() as tx:
            events.record(tx, [Event("a.b", "user:me")])
    assert len(heard) == 20
    assert not mine.connected
    mine.stop()


def test_redis_that_is_killed_and_comes_back_is_used_again_and_nobody_stays_unaware(valkey: Valkey) -> None:
    teller, near = process(valkey.url), process(valkey.url)
    near.listen("x1")
    until(near.connected)
    valkey.kill()
    until(lambda: not near.connected())
    near.heard.clear()
    teller.hints.tell({"x1"})  # reaches nobody
    valkey.start()
    until(near.connected, seconds=30)
    until(lambda: near.heard, seconds=30)
    near.heard.clear()
    near.listen(ALL)
    until(lambda: "x1" in near.heard or bool(teller.hints.tell({"x1"})), seconds=30)
    teller.far.stop()
    near.far.stop()
