"""What every use case is given."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.config import Settings
from engine.domain.values import ExecutionId
from engine.providers.active import ActiveProviders
from engine.store.database import Store

T = TypeVar("T")


class Signals(Protocol):
    """Hints to the engine after a commit. Losing one costs time, never work."""

    def nudge(self, count: int = 1) -> None: ...

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        """The end of an execution, or of that attempt of it, is on record as asked for."""
        ...


class Relay:
    """Signals to an engine that is connected later; without one they are dropped (the sweep finds the work)."""

    def __init__(self) -> None:
        self._target: Signals | None = None

    def connect(self, target: Signals) -> None:
        self._target = target

    def nudge(self, count: int = 1) -> None:
        if self._target is not None:
            self._target.nudge(count)

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
