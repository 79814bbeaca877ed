"""Which run goes on next, and who is called for what is more than this process can take on."""

from collections.abc import Sequence

import pytest

from engine.domain.provider import Operation
from engine.runtime import turns
from engine.runtime.claimer import Claimer, Held
from engine.runtime.turns import Carrying, Turns
from engine.store.database import Store, Transaction
from engine.store.journal import Journal


class Others:
    def __init__(self) -> None:
        self.calls = 0

    def send(self) -> None:
        self.calls += 1


class Nothing:
    """Claims nothing more."""

    def take(self, tx: Transaction, ended: int) -> Sequence[Held]:
        del tx, ended
        return ()

    def give(self, taken: Sequence[Held], *, more: bool, running: int) -> None:
        del taken, more, running


def _overflowing(store: Store, others: Others) -> Turns:
    """A process without a thread for the work that there may be."""
    journal = Journal[Held](store, choose=_no_workflow, refill=Nothing(), woken=_nothing, lost=_nothing)
    claimer = Claimer(store, worker="w", threads=0, cap=1, lease=60)
    made = Turns(journal, claimer, begin=_no_run, wake=_nothing, others=others)
    made.close()  # no thread stands by here
    return made


def _no_workflow(_type: str, _operation: Operation, /, *, recorded: str = "") -> None:
    del recorded


def _no_run(_held: Held) -> Carrying:
    raise NotImplementedError


def _nothing() -> None:
    pass


def test_others_are_called_once_for_many_looks_at_what_is_too_much(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call comes back to this process, too, and has it look for work it has no thread for."""
    monkeypatch.setattr(turns, "_CALL_SECONDS", 60.0)
    others = Others()
    busy = _overflowing(store, others)
    for _ in range(50):
        busy.work()
    assert others.calls == 1


def test_they_are_called_again_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_CALL_SECONDS", 0.0)
    others = Others()
    busy = _overflowing(store, others)
    for _ in range(3):
        busy.work()
    assert others.calls == 3
