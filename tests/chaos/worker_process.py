"""A worker like `innominatus worker`, with harm: `python worker_process.py <what it is told, as JSON>`.

SIGTERM ends it as it would a worker; SIGUSR1 and SIGUSR2 set this process's clock an hour ahead or back.
"""

import datetime as dt
import json
import logging
import signal
import sys
import threading
import time
from pathlib import Path

# Libraries are loaded under the true clock, the engine under one that can be set.
import dramatiq  # noqa: F401 # pyright: ignore[reportUnusedImport] - as said
import psycopg  # noqa: F401 # pyright: ignore[reportUnusedImport] - as said
import pydantic  # noqa: F401 # pyright: ignore[reportUnusedImport] - as said
import sqlalchemy  # noqa: F401 # pyright: ignore[reportUnusedImport] - as said

_HOUR = 3600.0
_true_time, _true_datetime = time.time, dt.datetime
_ahead = [0.0]


class _Is(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _true_datetime)


class _Clock(dt.datetime, metaclass=_Is):
    """The class `datetime` on a machine whose clock is wrong."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # pyright: ignore[reportIncompatibleMethodOverride] - a true one
        return _true_datetime.now(tz) + dt.timedelta(seconds=_ahead[0])


def _set_clock(number: int, _frame: object) -> None:
    _ahead[0] += _HOUR if number == signal.SIGUSR1 else -_HOUR
    off = database.datetime.now(dt.UTC).timestamp() - _true_time()
    sys.stderr.write(f"clock off by {round(off)} s, {round(time.time() - _true_time())} s\n")


time.time = lambda: _true_time() + _ahead[0]
dt.datetime = _Clock

from engine.runtime.queue import Nudges  # noqa: E402 - the clock comes first
from engine.store import database  # noqa: E402
from tests.chaos.harm import Death, Faults, Harm, Harmed  # noqa: E402
from tests.chaos.workloads import insist  # noqa: E402
from tests.support.platforms import build_platform, open_store  # noqa: E402


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _set_clock)
    logging.basicConfig(stream=sys.stderr)
    told = json.loads(sys.argv[1])
    harm = Harm(Death(**told["death"]) if told["death"] else None, Faults(**told["faults"]))
    plain = open_store(told["url"], pool_size=told["threads"] + 8)
    nudges = Nudges(told["redis"]) if told["redis"] else None
    folder = Path(told["folder"])
    names = ("threads", "lease_seconds", "sweep_seconds")
    settings = {name: told[name] for name in names}
    store = Harmed(plain, harm)
    house = insist(lambda: build_platform(store, folder, [Path(told["provider"])], others=nudges, **settings))
    house.engine.start()
    if nudges is not None:
        nudges.start(house.engine.offer)
    while not stop.wait(60):
        pass
    house.engine.stop(grace=2.0)
    if nudges is not None:
        nudges.stop()


if __name__ == "__main__":
    main()
