"""An execution that is asked for again while its run before is just being let go is taken up without a sweep."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from engine.domain.provider import Operation
from engine.runtime.claimer import Claimer, Held
from engine.runtime.turns import Carrying, Turns
from engine.store.database import Store, Transaction
from engine.store.executions import NewExecution, queue, requeue
from engine.store.journal import Journal
from engine.store.records import Record
from tests.support.platforms import PATIENCE, running_platform
from tests.support.providers import script, workflow, write_provider

NEW = NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")


@pytest.fixture
def claimer(store: Store) -> Claimer:
    return Claimer(store, worker="w", threads=4, cap=4, lease=60)


def _claimed_and_asked_for_again(store: Store, claimer: Claimer) -> Held:
    """Its run here still has it when it is ready once more and looked for."""
    with store.begin() as tx:
        queue(tx, [NEW])
    held = claimer.next()
    assert held is not None
    with store.begin() as tx:
        requeue(tx, held.claim.execution, actor="user:me")
    claimer.hope()
    assert claimer.next() is None, "it is at work here"
    assert not claimer.hopeful
    return held


def test_what_was_passed_over_is_looked_for_as_it_comes_to_rest(store: Store, claimer: Claimer) -> None:
    held = _claimed_and_asked_for_again(store, claimer)
    claimer.done(held)
    again = claimer.next()
    assert again is not None
    assert again.claim.execution.id == held.claim.execution.id
    assert again.claim.execution.attempt == 2


def test_a_thread_is_called_for_it_by_one_that_only_ends_things(store: Store, claimer: Claimer) -> None:
    held = _claimed_and_asked_for_again(store, claimer)
    called: list[bool] = []
    journal = Journal[Held](store, choose=_none, refill=_Nothing(), woken=_nothing, lost=_nothing)
    turns = Turns(journal, claimer, begin=_no_run, wake=lambda: called.append(True))

    def run() -> Generator[Record, bool, None]:
        claimer.done(held)
        yield from ()

    turns.carry_alone(run())
    assert called


def test_a_retry_in_that_moment_does_not_wait_for_the_sweep(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = {"fails": workflow([script("fails", f"[ -e {tmp_path}/go ]")])}
    provider = write_provider(tmp_path / "provider", golden=golden)
    retried = threading.Event()
    done = Claimer.done

    def late(claimer: Claimer, held: Held) -> None:
        if held.claim.execution.attempt == 1:
            retried.wait(PATIENCE)
        done(claimer, held)

    with running_platform(store, tmp_path, [provider], sweep_seconds=600.0) as house:
        monkeypatch.setattr(Claimer, "done", late)
        execution_id = house.execute("fails")
        assert house.ended(execution_id).state == "failed"
        (tmp_path / "go").touch()
        house.retry(execution_id)
        retried.set()
        again = house.ended(execution_id)
        assert (again.state, again.attempt) == ("succeeded", 2)


class _Nothing:
    """Claims nothing more."""

    def take(self, tx: Transaction, ended: int) -> Sequence[Held]:
        del tx, ended
        return ()

    def give(self, taken: Sequence[Held], *, more: bool, running: int) -> None:
        del taken, more, running


def _none(_type: str, _operation: Operation, /, *, recorded: str = "") -> None:
    del recorded


def _no_run(_held: Held) -> Carrying:
    raise NotImplementedError


def _nothing() -> None:
    pass
