"""Records become durable together or not at all, each for itself, once."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import pytest

from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.runs import Claim, Outputs
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.store import claims, executions, steps
from engine.store.apply import apply_records
from engine.store.away import DatabaseAway
from engine.store.database import Store, Transaction
from engine.store.hints import of_end, of_execution
from engine.store.journal import Journal
from engine.store.records import (
    Change,
    ExecutionEnded,
    ExecutionWaits,
    InputsResolved,
    Record,
    StepFinished,
    StepStarted,
    StepWaits,
)
from engine.store.settling import WorkflowChoice
from tests.support.journals import write
from tests.support.platforms import until


def choose(_type: str, _operation: Operation, /, *, recorded: str = "") -> WorkflowChoice | None:
    del recorded


def queued(store: Store, count: int = 1) -> None:
    new = executions.NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        executions.queue(tx, [new] * count)


def claimed(store: Store, count: int = 1) -> list[Claim]:
    queued(store, count)
    return taken(store, count)


def taken(store: Store, count: int = 1) -> list[Claim]:
    with store.begin() as tx:
        return claims.claim(tx, worker="me", limit=count, cap=1000, lease=60)


def record(claim: Claim, sequence: int, *changes: Change) -> Record:
    return Record(claim.execution, sequence, changes)


STARTED = StepStarted(0, "one", "set", 1, 1)
DONE = StepFinished(0, 1, StepState.SUCCEEDED, Outputs({"x": 1}))
ENDED = ExecutionEnded(ExecutionState.SUCCEEDED)


def apply(store: Store, *records: Record) -> tuple[bool, ...]:
    with store.begin() as tx:
        return apply_records(tx, records, choose=choose).held


def state(store: Store, execution_id: ExecutionId) -> tuple[str, int]:
    with store.read() as tx:
        found = executions.get(tx, execution_id)
    assert found is not None
    return found.state.value, found.sequence


def taken_over(store: Store, mine: Claim) -> Claim:
    """The same execution in other hands: its fence is raised, its sequence stands where it stood."""
    with store.begin() as tx:
        claims.release(tx, worker="me", claims=[(mine.execution.id, mine.execution.fence)])
    with store.begin() as tx:
        (theirs,) = claims.claim(tx, worker="you", limit=1, cap=10, lease=60)
    assert theirs.taken_over
    return theirs


def test_a_writer_whose_fence_was_raised_is_refused(store: Store) -> None:
    (mine,) = claimed(store)
    theirs = taken_over(store, mine)
    assert apply(store, record(mine, 1, STARTED)) == (False,)
    assert apply(store, record(theirs, 1, STARTED)) == (True,)
    assert apply(store, record(mine, 2, ENDED)) == (False,)
    assert state(store, mine.execution.id) == ("running", 1)


@pytest.mark.parametrize("last", [ENDED, ExecutionWaits(), None], ids=["ended", "asleep", "running"])
def test_a_record_that_is_applied_again_changes_nothing_and_still_counts(store: Store, last: Change | None) -> None:
    (claim,) = claimed(store)
    changes = (STARTED, DONE) if last is None else (STARTED, DONE, last)
    assert apply(store, record(claim, 1, *changes)) == (True,)
    before = state(store, claim.execution.id)
    assert apply(store, record(claim, 1, *changes)) == (True,)
    assert state(store, claim.execution.id) == before
    with store.read() as tx:
        assert len(steps.of_execution(tx, claim.execution.id)) == 1
        found = executions.get(tx, claim.execution.id)
    assert found is not None
    assert found.completed_steps == 1


def test_a_record_that_skips_a_number_is_refused(store: Store) -> None:
    (claim,) = claimed(store)
    assert apply(store, record(claim, 2, STARTED)) == (False,)


def standing(store: Store, claim: Claim) -> tuple[object, ...]:
    """All that a record could have changed."""
    with store.read() as tx:
        return executions.get(tx, claim.execution.id), steps.of_execution(tx, claim.execution.id)


SHAPES = {
    "begins": (StepStarted(1, "two", "set", 1, 1),),
    "finishes": (DONE,),
    "goes on": (DONE, StepStarted(1, "two", "set", 1, 1)),
    "waits": (StepWaits(0, 1, WaitKind.PERSON), ExecutionWaits()),
    "ends": (DONE, ENDED),
}
"""What one record may hold: each is another statement."""


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
def test_a_record_of_which_only_the_fence_is_old_changes_nothing(store: Store, changes: tuple[Change, ...]) -> None:
    (mine,) = claimed(store)
    assert apply(store, record(mine, 1, STARTED)) == (True,)
    theirs = taken_over(store, mine)
    before = standing(store, mine)
    assert apply(store, record(mine, 2, *changes)) == (False,), "the number is the next one"
    assert apply(store, record(mine, 1, *changes)) == (False,), (
        "the number is on record, by another hand for all one knows"
    )
    assert standing(store, mine) == before
    assert apply(store, record(theirs, 2, *changes)) == (True,)


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("number", [1, 4], ids=["behind", "ahead"])
def test_a_record_of_which_only_the_number_is_wrong_changes_nothing(
    store: Store, number: int, changes: tuple[Change, ...]
) -> None:
    (mine,) = claimed(store)
    assert apply(store, record(mine, 1, STARTED)) == (True,)
    assert apply(store, record(mine, 2, InputsResolved(Outputs(), 2))) == (True,)
    before = standing(store, mine)
    assert apply(store, record(mine, number, *changes)) == (False,)
    assert standing(store, mine) == before
    assert apply(store, record(mine, 3, *changes)) == (True,)


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("rest", [ExecutionWaits(), ENDED], ids=["asleep", "over"])
def test_a_record_for_what_does_not_run_changes_nothing(
    store: Store, rest: Change, changes: tuple[Change, ...]
) -> None:
    (mine,) = claimed(store)
    assert apply(store, record(mine, 1, STARTED, rest)) == (True,)
    before = standing(store, mine)
    assert apply(store, record(mine, 2, *changes)) == (False,), "fence and number are the right ones"
    assert standing(store, mine) == before


class Faulty(Store):
    """A store whose next transactions fail as told, before or after their commit."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.engine, store.sealer)
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.commits = 0
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        self.entered.set()
        assert self.open.wait(10)
        if self.before:
            raise self.before.pop(0)
        with super().begin() as tx:
            yield tx
        self.commits += 1
        if self.after:
            raise self.after.pop(0)


class NoRefill:
    def take(self, tx: Transaction, ended: int) -> list[int]:
        return []

    def __init__(self) -> None:
        self.more: list[bool] = []
        self.running: list[int] = []

    def give(self, taken: Sequence[int], *, more: bool, running: int) -> None:
        assert not taken
        self.more.append(more)
        self.running.append(running)


@contextmanager
def journal_on(
    store: Store, *, woken: Callable[[], None] = lambda: None, refill: NoRefill | None = None
) -> Generator[Journal[int]]:
    lost: list[bool] = []
    refill = refill or NoRefill()
    journal = Journal(store, choose=choose, refill=refill, woken=woken, lost=lambda: lost.append(True))
    try:
        yield journal
    finally:
        journal.stop()


def away() -> DatabaseAway:
    return DatabaseAway(Exception("server closed the connection unexpectedly"))


def test_a_record_outlives_a_database_that_is_away_for_a_while(store: Store) -> None:
    faulty = Faulty(store)
    (claim,) = claimed(store)
    faulty.before = [away()]
    with journal_on(faulty) as journal:
        assert write(journal, record(claim, 1, STARTED))
    assert state(store, claim.execution.id) == ("running", 1)


def test_an_unknown_outcome_of_the_last_commit_is_found_out(store: Store) -> None:
    faulty = Faulty(store)
    (claim,) = claimed(store)
    faulty.after = [away()]
    with journal_on(faulty) as journal:
        assert write(journal, record(claim, 1, STARTED, DONE, ENDED)), "it was committed before the connection broke"
    assert state(store, claim.execution.id) == ("succeeded", 1)


def write_all(
    journal: Journal[int], records: list[Record], *, begun: list[int] | None = None
) -> list[bool | Exception]:
    """Write each record from a thread of its own; `begun` gathers those whose thread is about to."""
    results: list[bool | Exception] = [False] * len(records)

    def write_one(number: int) -> None:
        if begun is not None:
            begun.append(number)
        try:
            results[number] = write(journal, records[number])
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error

    threads = [threading.Thread(target=write_one, args=(number,)) for number in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def test_who_waits_for_the_end_of_an_execution_is_not_called_for_its_steps(store: Store) -> None:
    (claim,) = claimed(store, 1)
    heard: list[str] = []
    for topic in (of_end(claim.execution.id), of_execution(claim.execution.id)):
        store.by_keys.hints.listen(topic, lambda topic=topic: heard.append(topic[0]))
    with journal_on(store) as journal:
        assert write(journal, record(claim, 1, STARTED))
        assert heard == ["x"]
        assert write(journal, record(claim, 2, ExecutionEnded(ExecutionState.SUCCEEDED)))
    assert sorted(heard) == ["x", "x", "z"]


def test_an_end_that_is_on_record_already_is_told_of_once_more(store: Store) -> None:
    """The process whose commit seemed to fail has told nobody."""
    (claim,) = claimed(store, 1)
    ends = record(claim, 1, ExecutionEnded(ExecutionState.SUCCEEDED))
    assert apply(store, ends) == (True,)
    heard: list[str] = []
    store.hints.listen(of_end(claim.execution.id), lambda: heard.append("end"))
    assert apply(store, ends) == (True,)
    assert heard == ["end"]


def test_a_bad_record_fails_alone(store: Store) -> None:
    claims = claimed(store, 20)
    records = [record(claim, 1, STARTED) for claim in claims]
    records[7] = record(claims[7], 1, STARTED._replace(name="half of a pair: \ud800"))
    with journal_on(store) as journal:
        results = write_all(journal, records)
        assert isinstance(results[7], Exception)
        assert [r for number, r in enumerate(results) if number != 7] == [True] * 19
        assert write(journal, record(claims[7], 1, STARTED)), "its number is still free"


def test_many_records_share_few_commits_and_none_of_one_execution_meet(store: Store) -> None:
    faulty = Faulty(store)
    claims = claimed(store, 60)
    faulty.open.clear()
    with journal_on(faulty) as journal:
        results: list[list[bool | Exception]] = []
        begun: list[int] = []
        records = [record(claim, 1, STARTED) for claim in claims]
        writer = threading.Thread(target=lambda: results.append(write_all(journal, records, begun=begun)))
        writer.start()
        until(lambda: len(begun) == 60)
        faulty.open.set()
        writer.join(20)
    assert results == [[True] * 60]
    assert faulty.commits <= 5


def test_a_failing_nudge_does_not_end_the_journal(store: Store) -> None:
    def broken() -> None:
        raise RuntimeError

    parent, child = claimed(store, 2)
    waits = StepWaits(0, 1, WaitKind.EXECUTION, child.execution.id)
    with journal_on(store, woken=broken) as journal:
        assert write(journal, record(parent, 1, STARTED, waits, ExecutionWaits()))
        assert write(journal, record(child, 1, ENDED))
        (other,) = claimed(store)
        assert write(journal, record(other, 1, STARTED))


def test_a_journal_that_is_stopped_waits_for_no_database(store: Store) -> None:
    faulty = Faulty(store)
    claims = claimed(store, 2)
    faulty.before = [away()]
    with journal_on(faulty) as journal:
        journal.stop()
        with pytest.raises(Unavailable):
            write(journal, record(claims[0], 1, STARTED))
        assert write(journal, record(claims[1], 1, STARTED)), "what can be written still is"


REST = [ENDED, ExecutionWaits()]


@pytest.mark.parametrize("rest", REST, ids=["ended", "waits"])
def test_whoever_comes_to_rest_asks_for_more_only_where_others_are_queued(store: Store, rest: Change) -> None:
    refill = NoRefill()
    first, second, third = claimed(store, 3)
    with journal_on(store, refill=refill) as journal:
        assert write(journal, record(first, 1, STARTED))
        assert write(journal, record(first, 2, DONE, rest))
        queued(store)
        assert write(journal, record(second, 1, STARTED, DONE, rest))
        assert len(taken(store)) == 1
        assert write(journal, record(third, 1, STARTED, DONE, rest))
    assert refill.more == [False, True, False]
    assert refill.running == [3, 2, 2]


@pytest.mark.parametrize("rest", REST, ids=["ended", "waits"])
def test_also_where_one_that_slept_is_due(store: Store, rest: Change) -> None:
    refill = NoRefill()
    slept, mine = claimed(store, 2)
    with store.begin() as tx:
        claims.release(tx, worker="me", claims=[(slept.execution.id, slept.execution.fence)])
    with journal_on(store, refill=refill) as journal:
        assert write(journal, record(mine, 1, STARTED, DONE, rest))
    assert refill.more == [True]
