"""What every use case is given."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.config import Settings
from engine.domain.values import ExecutionId
from engine.providers.active import ActiveProviders
from engine.store.database import Store, Transaction

T = TypeVar("T")


class Signals(Protocol):
    """Hints to the engine. Losing one costs time, never work."""

    def nudge(self) -> None:
        """Something is committed that may be claimed."""
        ...

    def beginning(self) -> AbstractContextManager[Callable[[Transaction], None]]:
        """Around a transaction that may make executions ready, with the nudge behind it.

        What it gives is called in the transaction: an engine of this process claims what is ready by it, as far as
        threads are free.
        """
        ...

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        """The end of an execution, or of that attempt of it, is on record as asked for."""
        ...


class Relay:
    """Signals to an engine that is connected later; without one they are dropped (the sweep finds the work)."""

    def __init__(self) -> None:
        self._target: Signals | None = None

    def connect(self, target: Signals) -> None:
        self._target = target

    def nudge(self) -> None:
        if self._target is not None:
            self._target.nudge()

    @contextmanager
    def beginning(self) -> Generator[Callable[[Transaction], None]]:
        if self._target is None:
            yield lambda _: None
        else:
            with self._target.beginning() as claim:
                yield claim

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        if self._target is not None:
            self._target.cancel(execution_id, attempt)


@dataclass(frozen=True, slots=True)
class Platform:
    """The store, the settings, the active providers, and the way to wake the engine."""

    store: Store
    settings: Settings
    providers: ActiveProviders
    signals: Signals


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list. `next_cursor` asks for the rest; empty at the end."""

    items: tuple[T, ...]
    next_cursor: str = ""
