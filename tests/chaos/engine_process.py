"""An engine in a process of its own that kills itself at a given moment of its journal.

    python engine_process.py <database url> <folder> [<workflow> <before|after> <sequence>]

With a workflow it runs it and dies (SIGKILL) before or after the commit of that execution's record number `sequence`.
Without one it works on whatever there is until its standard input ends.
"""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from engine.domain.values import ExecutionId
from engine.store.database import Store, Transaction
from engine.store.tables import executions
from tests.support.platforms import build_platform, open_store


class Mortal(Store):
    """A store that takes the process with it when its target's record is about to be, or has just been, committed."""

    target: ExecutionId | None = None
    when = ""
    sequence = 0

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        doomed = False
        with super().begin() as tx:
            yield tx
            if self.target is not None:
                query = sa.select(executions.c.sequence).where(executions.c.id == self.target)
                doomed = tx.connection.execute(query).scalar_one() == self.sequence
                if doomed and self.when == "before":
                    die()
        if doomed:
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    url, folder, *order = sys.argv[1:]
    plain = open_store(url)
    store = Mortal(plain.engine, plain.sealer)
    lease = 3600.0 if order else 1.0  # what the dying leave is not taken up by the next that is to die
    house = build_platform(store, Path(folder), [Path(folder) / "provider"], lease_seconds=lease)
    if order:
        workflow, store.when, sequence = order
        store.sequence = int(sequence)
        target = house.execute(workflow)
        say(target)
        store.target = target
    house.engine.start()
    say("started")
    sys.stdin.read()
    house.engine.stop(grace=0.5)


if __name__ == "__main__":
    main()
