"""The record of one execution as it goes: changes gather, then become durable together."""

from collections.abc import Generator

from engine.domain.runs import Execution
from engine.errors import Unavailable
from engine.runtime.cancellation import StopReason, Token
from engine.store.records import Change, Record

Writing = Generator[Record, bool, None]
"""Work that hands out records and goes on when each is durable: it is sent whether the fence still held."""


class Abandoned(Exception):
    """The execution is no longer ours, or the process stops: nothing more may be written.

    With `give_back` a lease that is still ours ends now, so that the execution goes on at once elsewhere.
    """

    def __init__(self, *, give_back: bool = True) -> None:
        super().__init__()
        self.give_back = give_back


class Ledger:
    """Used by the one run that carries the execution."""

    def __init__(self, execution: Execution, token: Token) -> None:
        self._execution = execution
        self._token = token
        self._sequence = execution.sequence
        self._changes: list[Change] = []

    @property
    def pending(self) -> tuple[Change, ...]:
        """What is not durable yet."""
        return tuple(self._changes)

    def add(self, *changes: Change) -> None:
        self._changes.extend(changes)

    def write(self, *last: Change) -> Writing:
        """Make what has gathered durable. Raises Abandoned when the fence no longer holds or the engine stops.

        What cannot be written raises as it is, is forgotten, and leaves its number to the next record.
        """
        self._sequence += 1
        changes, self._changes = (*self._changes, *last), []
        try:
            held = yield Record(self._execution, self._sequence, changes)
        except Unavailable as error:
            self._token.set(StopReason.STOPPING)
            raise Abandoned from error
        except Exception:
            self._sequence -= 1
            raise
        if not held:
            self._token.set(StopReason.LEASE_LOST)
            raise Abandoned
