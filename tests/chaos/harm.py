"""A store that does harm to the engine which uses it: it dies at a commit, or fails as overloaded databases do."""

import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType

import psycopg
from psycopg import errors
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree

from engine.store.away import DatabaseAway, Moment
from engine.store.database import Store, Transaction

COMMITTERS = ("journal", "claimer", "heartbeat", "sweeper")
"""Whose commits a worker can die at: by the module that opens the transaction."""

_TOO_LATE = errors.QueryCanceled("canceling statement due to statement timeout")
_CUT_OFF = psycopg.OperationalError("consuming input failed: server closed the connection")


@dataclass(frozen=True, slots=True)
class Death:
    """At which commit of whom the process dies: `before` it, or right `after`."""

    when: str
    who: str
    nth: int


@dataclass(frozen=True, slots=True)
class Faults:
    """How many in a hundred transactions fail, and how. `lied` are committed and reported as failed."""

    seed: int
    exhausted: int = 0
    late: int = 0
    lied: int = 0


@dataclass
class Harm:
    """What befalls a process; shared by all its stores."""

    death: Death | None = None
    faults: Faults = field(default_factory=lambda: Faults(0))
    commits: Counter[str] = field(default_factory=Counter[str])
    done: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self._random = random.Random(self.faults.seed)
        self._lock = threading.Lock()

    def draw(self) -> int:
        with self._lock:
            return self._random.randrange(100)

    def at_commit(self, when: str, who: str) -> None:
        if when == "before":
            with self._lock:
                self.commits[who] += 1
        death = self.death
        if death is not None and (death.when, death.who) == (when, who) and self.commits[who] >= death.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def refuse(self, *_connection: object) -> None:
        """There is no room for one more connection, here or there, or none on the disk."""
        drawn = self.draw()
        if drawn < self.faults.exhausted:
            if drawn % 3 == 0:
                raise NoneFree("QueuePool limit of size 4 overflow 10 reached, connection timed out")
            raise _as_told((errors.TooManyConnections, errors.DiskFull)[drawn % 2]("no room"))

    def late(self, drawn: int) -> bool:
        return drawn < self.faults.late

    def lied(self, drawn: int) -> bool:
        return 0 <= drawn - self.faults.late < self.faults.lied


class Harmed(Store):
    """A store under `harm`."""

    def __init__(self, plain: Store, harm: Harm) -> None:
        super().__init__(plain.engine, plain.sealer)
        self._plain = plain
        self._harm = harm
        if harm.faults.exhausted:
            event.listen(plain.engine, "checkout", harm.refuse)

    @cached_property
    def by_keys(self) -> Store:
        return Harmed(self._plain.by_keys, self._harm)

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        who, drawn = _caller(sys._getframe(1)), self._harm.draw()  # pyright: ignore[reportPrivateUsage] - who asks
        with super().begin() as tx:
            yield tx
            if self._harm.late(drawn):
                raise _as_told(_TOO_LATE)
            self._harm.at_commit("before", who)
        self._harm.at_commit("after", who)
        if self._harm.lied(drawn):
            raise DatabaseAway(_CUT_OFF, Moment.COMMITTING)

    @contextmanager
    def single(self) -> Generator[Transaction]:
        """What commits by itself dies before its one statement, or after it."""
        who, drawn = _caller(sys._getframe(1)), self._harm.draw()  # pyright: ignore[reportPrivateUsage] - who asks
        if self._harm.late(drawn):
            raise DatabaseAway(_TOO_LATE)
        self._harm.at_commit("before", who)
        with self._plain.single() as tx:
            yield tx
        self._harm.at_commit("after", who)
        if self._harm.lied(drawn):
            raise DatabaseAway(_CUT_OFF, Moment.COMMITTING)

    @contextmanager
    def read(self) -> Generator[Transaction]:
        drawn = self._harm.draw()
        with super().read() as tx:
            yield tx
            if self._harm.late(drawn):
                raise _as_told(_TOO_LATE)

    @contextmanager
    def read_beside(self) -> Generator[Transaction]:
        drawn = self._harm.draw()
        with self._plain.read_beside() as tx:
            yield tx
            if self._harm.late(drawn):
                raise _as_told(_TOO_LATE)

    def close(self) -> None:
        self._plain.close()


def _as_told(error: psycopg.Error) -> OperationalError:
    return OperationalError("statement", {}, error)


def _caller(frame: FrameType | None) -> str:
    """The module of the engine that opens the transaction."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("engine.") and name != "engine.store.database":
            return name.rpartition(".")[2]
        frame = frame.f_back
    return "test"
