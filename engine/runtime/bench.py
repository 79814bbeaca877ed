"""What every run of a process works with."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from engine.domain.place import Place
from engine.domain.values import ExecutionId
from engine.providers.active import ActiveProviders
from engine.runtime.live_log import LiveLog
from engine.runtime.requests import Requests
from engine.runtime.workshop import Workshop
from engine.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Bench:
    """One per engine."""

    store: Store
    providers: ActiveProviders
    requests: Requests
    workshop: Workshop
    place: Place
    live_logs: Callable[[ExecutionId, int, LiveLog], Callable[[], None]]
    """Registers a step's log to be stored while it runs; returns how to end that."""
    cancelled: Callable[[ExecutionId], None]
    """The end of an execution was asked for and is on record: whoever runs it here may stop at once."""
    aside: Callable[[], AbstractContextManager[None]]
    """Around whatever waits for the world on the thread that carries a run: others are carried on meanwhile."""

    @contextmanager
    def reading(self) -> Generator[Transaction]:
        """A snapshot of the database, for the thread that carries a run."""
        with self.aside(), self.store.read() as tx:
            yield tx
