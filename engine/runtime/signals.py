"""How a process that has committed something tells the engines of it: its own, or those of other processes."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from engine.domain.values import ExecutionId
from engine.store.database import Transaction


class Sender(Protocol):
    """A way to the engines of other processes."""

    def send(self) -> None:
        """Something was asked for that they can do."""
        ...

    def pass_on(self) -> None:
        """There is more to do than this process can take on: it may say so at every turn."""
        ...


class Elsewhere:
    """The signals of a process without an engine."""

    def __init__(self, nudges: Sender | None) -> None:
        self._nudges = nudges

    def nudge(self) -> None:
        if self._nudges is not None:
            self._nudges.send()

    @contextmanager
    def beginning(self) -> Generator[Callable[[Transaction], None]]:
        """Others claim what is queued."""
        yield lambda _: None
        self.nudge()

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        """Who runs it learns of it with its next heartbeat; one that is queued or asleep is ended by who claims it."""
        del execution_id, attempt
        self.nudge()
