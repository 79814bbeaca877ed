"""When the doors beside a first client open."""

import threading
from collections.abc import Callable

from cli.late import LateDoors

NEVER = 3600.0
PATIENCE = 15.0


class Doors:
    """What is opened and closed."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.closed = False

    def open(self) -> Callable[[], None]:
        self.opened.set()
        return self.close

    def close(self) -> None:
        self.closed = True


def test_they_open_once_the_client_is_answered_and_not_before() -> None:
    doors = Doors()
    late = LateDoors(doors.open, latest=NEVER, pause=0)
    assert not doors.opened.is_set()
    late.soon()
    assert doors.opened.wait(PATIENCE)
    late.close()
    assert doors.closed


def test_they_open_for_others_though_the_client_asks_nothing() -> None:
    doors = Doors()
    late = LateDoors(doors.open, latest=0, pause=0)
    assert doors.opened.wait(PATIENCE)
    late.close()
    assert doors.closed


def test_a_client_that_leaves_before_leaves_nothing_open() -> None:
    for latest, pause in ((NEVER, 0.0), (0.0, NEVER)):
        doors = Doors()
        LateDoors(doors.open, latest=latest, pause=pause).close()
        assert not doors.opened.is_set()
        assert not doors.closed
