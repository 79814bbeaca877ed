"""When the platform is made that a first client did not wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.behind import Behind
from engine.errors import InnominatusError, Invalid

NEVER = 3600.0
PATIENCE = 15.0


class Making:
    """What is made, and what becomes of it."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.made, self.opened = threading.Event(), threading.Event()
        self.closed = False
        self.told: list[InnominatusError] = []

    def start(self) -> str:
        self.made.set()
        if self.broken:
            raise Invalid("It cannot be made.")
        return "platform"

    def open(self, made: str) -> Callable[[], None]:
        assert made == "platform"
        self.opened.set()
        return self.close

    def close(self) -> None:
        self.closed = True

    def behind(self, *, latest: float = NEVER, pause: float = 0) -> Behind[str]:
        return Behind(self.start, self.open, failed=self.told.append, latest=latest, pause=pause)


def test_it_begins_once_the_client_is_answered_and_not_before() -> None:
    making = Making()
    behind = making.behind()
    assert not making.made.is_set()
    behind.soon()
    assert making.opened.wait(PATIENCE)
    assert behind.close() == "platform"
    assert making.closed


def test_it_begins_at_once_when_it_is_needed() -> None:
    making = Making()
    behind = making.behind(pause=NEVER)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(behind.there).result(PATIENCE) == "platform"
    assert not making.opened.is_set()
    assert behind.close() == "platform"
    assert not making.closed


def test_others_find_it_though_the_client_asks_nothing() -> None:
    making = Making()
    behind = making.behind(latest=0)
    assert making.opened.wait(PATIENCE)
    behind.close()
    assert making.closed


def test_a_client_that_leaves_at_once_still_learns_whether_it_starts() -> None:
    making = Making()
    assert making.behind(pause=NEVER).close() == "platform"
    assert not making.opened.is_set()
    broken = Making(broken=True)
    assert broken.behind().close() is None
    assert [str(error) for error in broken.told] == ["It cannot be made."]


def test_what_could_not_be_made_is_told_to_who_needs_it() -> None:
    behind = Making(broken=True).behind()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Invalid, match="cannot be made"):
        pool.submit(behind.there).result(PATIENCE)
