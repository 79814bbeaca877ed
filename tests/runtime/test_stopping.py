"""The engine stops while things run, breaks, or is refused by its database; what was begun goes on by the rules."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.execution import ExecutionState
from engine.domain.provider import Operation
from engine.domain.runs import Execution, Outputs
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.claimer import Held
from engine.runtime.ledger import Abandoned, Ledger
from engine.services import executions
from engine.store import claims
from engine.store.database import Store
from engine.store.executions import NewExecution, queue
from engine.store.journal import Journal
from engine.store.records import ExecutionEnded, InputsResolved
from tests.support.journals import carry
from tests.support.platforms import ME, House, build_platform, until
from tests.support.providers import script, values, workflow, write_provider

DIR = [{"name": "dir", "type": "string", "required": True}]
HOLD = 'echo begun >> "$PARAM_DIR/log"; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.02; done; echo ended >> "$PARAM_DIR/log"'
BEGUN = 'echo $INNOMINATUS_STEP >> "$PARAM_DIR/begun"; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.02; done'

GOLDEN = {
    "hold": workflow([script("holds", HOLD, idempotent=False), values("after", a=1)], parameters=DIR),
    "hold-again": workflow([script("holds", HOLD, idempotent=True), values("after", a=1)], parameters=DIR),
    "cleans": workflow(
        [script("holds", HOLD, idempotent=False), {**script("cleans", "true"), "when": "always"}], parameters=DIR
    ),
    "approved": workflow([{**script("holds", HOLD, idempotent=True), "when": "manual"}], parameters=DIR),
    "wide": workflow([{**script(f"s{i}", BEGUN, idempotent=i >= 8), "needs": list[str]()} for i in range(11)] , parameters=DIR),
    "poison": workflow([values("first", a=1), script("poison", "true"), values("after", c=1)]),
    "poisoned-branch": workflow(
        [
            {**values("poison", b=1), "needs": list[str]()},
            {**script("side", BEGUN), "needs": list[str]()},
        ],
        parameters=DIR,
    ),
    "fine": workflow([values("fine", a=1)]),
}  # fmt: skip


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite: what is tried here is the engine's own doing."""
    copy = tmp_path / "innominatus.db"
    template: Path = request.getfixturevalue("sqlite_with_tables")
    copy.write_bytes(template.read_bytes())
    return f"sqlite:///{copy}"


class Engines:
    """One engine after the other on the same database."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.provider = write_provider(folder / "provider", golden=GOLDEN)
        self.house = self.next()

    def next(self) -> House:
        self.house = build_platform(self.store, self.folder, [self.provider])
        self.house.engine.start()
        return self.house

    def stop(self, *, grace: float) -> None:
        self.house.engine.stop(grace=grace)

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def begin(self, workflow: str, lines: int = 1, name: str = "log") -> ExecutionId:
        execution_id = self.house.execute(workflow, dir=str(self.folder))
        until(lambda: len(self.lines(name)) >= lines)
        return execution_id

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def engines(store: Store, tmp_path: Path) -> Iterator[Engines]:
    made = Engines(store, tmp_path)
    yield made
    made.stop(grace=0.1)


def test_a_step_that_ends_within_the_grace_is_on_record_and_the_next_begins_at_the_next_start(engines: Engines) -> None:
    execution_id = engines.begin("hold")
    stopping = threading.Thread(target=lambda: engines.stop(grace=10))
    stopping.start()
    engines.go()
    stopping.join()
    assert engines.house.step_states(execution_id) == [("holds", 1, "succeeded")]
    done = engines.next().ended(execution_id)
    assert (done.state, done.fence) == ("succeeded", 2)
    assert engines.lines("log") == ["begun", "ended"]


@pytest.mark.parametrize(("name", "state"), [("hold", "failed"), ("hold-again", "succeeded")])
def test_a_step_stopped_in_the_middle_goes_by_its_idempotent(engines: Engines, name: str, state: str) -> None:
    execution_id = engines.begin(name)
    engines.stop(grace=0)
    engines.go()
    done = engines.next().ended(execution_id)
    assert done.state == state
    assert done.reason == ("interrupted" if state == "failed" else "")
    assert engines.lines("log") == (["begun"] if state == "failed" else ["begun", "begun", "ended"])


def test_an_interrupted_execution_says_so_though_a_step_cleaned_up_afterwards(engines: Engines) -> None:
    execution_id = engines.begin("cleans")
    engines.stop(grace=0)
    done = engines.next().ended(execution_id)
    assert (done.state, done.reason) == ("failed", "interrupted")
    assert engines.house.step_states(execution_id)[-1] == ("cleans", 1, "succeeded")


def test_a_step_that_a_person_approved_is_not_asked_for_again(engines: Engines) -> None:
    execution_id = engines.house.execute("approved", dir=str(engines.folder))
    engines.house.step_in(execution_id, "holds", "waiting")
    executions.resume(engines.house.platform, ME, execution_id, "holds")
    until(lambda: engines.lines("log"))
    engines.stop(grace=0)
    engines.go()
    assert engines.next().ended(execution_id).state == "succeeded"
    assert engines.lines("log") == ["begun", "begun", "ended"]


def test_steps_that_had_not_begun_are_never_called_interrupted(engines: Engines) -> None:
    execution_id = engines.begin("wide", 8, "begun")
    engines.stop(grace=0)
    runs = {run.name: run for run in engines.house.steps(execution_id)}
    unbegun = set(runs) - set(engines.lines("begun"))
    assert len(unbegun) == 3
    assert {runs[name].reason for name in unbegun} == {"interrupted"}
    assert {runs[name].state.value for name in unbegun} == {"cancelled"}
    engines.go()
    done = engines.next().ended(execution_id)
    assert done.reason == "interrupted", "those at work were"
    assert sorted(set(engines.lines("begun")) & unbegun) == sorted(unbegun)


def test_stopping_before_an_interrupted_step_begins_anew_does_not_cancel_the_execution(engines: Engines) -> None:
    execution_id = engines.begin("hold-again")
    engines.stop(grace=0)
    for _ in range(3):
        engines.next()
        engines.stop(grace=0)
    engines.go()
    assert engines.next().ended(execution_id).state == "succeeded"


@pytest.fixture
def refusal(store: Store) -> Iterator[None]:
    """The database refuses to put the success of a step named `poison` on record."""
    trigger = (
        "CREATE TRIGGER refuse BEFORE UPDATE ON step_runs WHEN NEW.name = 'poison' AND NEW.state = 'succeeded' "
        "BEGIN SELECT RAISE(ABORT, 'column secret_internal_thing'); END"
    )
    with store.begin() as tx:
        tx.connection.execute(sa.text(trigger))
    yield
    with store.begin() as tx:
        tx.connection.execute(sa.text("DROP TRIGGER IF EXISTS refuse"))


@pytest.mark.usefixtures("refusal")
def test_what_the_database_refuses_ends_the_execution_in_plain_words_and_nothing_else(engines: Engines) -> None:
    house = engines.house
    done = house.run("poison")
    assert (done.state, done.reason) == ("failed", "internal")
    assert "error of its own" in done.error
    assert "secret_internal_thing" not in done.error
    assert house.step_states(done.id) == [("first", 1, "succeeded"), ("poison", 1, "failed")]
    assert house.run("fine").state == "succeeded"
    with house.store.begin() as tx:
        tx.connection.execute(sa.text("DROP TRIGGER refuse"))
    again = house.ended(house.retry(done.id))
    assert again.state == "succeeded"
    assert house.step_states(done.id)[0] == ("first", 1, "succeeded")


@pytest.mark.usefixtures("refusal")
def test_an_execution_that_breaks_stops_what_it_has_at_work(engines: Engines) -> None:
    done = engines.house.run("poisoned-branch", dir=str(engines.folder))
    assert (done.state, done.reason) == ("failed", "internal")
    states = {state for *_, state in engines.house.step_states(done.id)}
    assert "failed" in states
    assert states <= {"failed", "cancelled"}  # the sibling is told to stop before or after the record that says so
    assert engines.house.idle()


class Idle:
    """Claims nothing when executions end."""

    def take(self, tx: object, ended: int) -> list[Held]:
        return []

    def give(self, taken: object, *, more: bool, running: int) -> None:
        del more, running
        assert not taken


def claimed(store: Store) -> Execution:
    new = NewExecution(provider="p", digest="d", workflow="w", fair_key="k", actor="user:me")
    with store.begin() as tx:
        queue(tx, [new])
        (claim,) = claims.claim(tx, worker="me", limit=1, cap=1, lease=60)
    return claim.execution


def nobody(_type: str, _operation: Operation, /, *, recorded: str = "") -> None:
    """No provider makes anything."""


@pytest.fixture
def journal(store: Store) -> Iterator[Journal[Held]]:
    made = Journal[Held](store, choose=nobody, refill=Idle(), woken=lambda: None, lost=lambda: None)
    yield made
    made.stop()


def test_the_number_of_a_refused_record_goes_to_the_next(store: Store, journal: Journal[Held]) -> None:
    execution = claimed(store)
    ledger = Ledger(execution, Token())
    with pytest.raises(Exception, match="too large"):
        carry(journal, ledger.write(InputsResolved(Outputs(), 2**70)))
    assert ledger.pending == ()
    carry(journal, ledger.write(InputsResolved(Outputs(), 1)))
    carry(journal, ledger.write(ExecutionEnded(ExecutionState.SUCCEEDED)))
    with store.read() as tx:
        assert tx.connection.execute(sa.text("select state, sequence from executions")).one() == ("succeeded", 2)


def test_a_word_that_cannot_be_written_as_the_engine_stops_gives_the_execution_back(store: Store) -> None:
    token = Token()
    writing = Ledger(claimed(store), token).write(InputsResolved(Outputs(), 1))
    next(writing)
    with pytest.raises(Abandoned) as left:
        writing.throw(Unavailable("The database is away and the engine is stopping.", code="stopping"))
    assert left.value.give_back
    assert isinstance(left.value.__cause__, Unavailable)
    assert token.reason is StopReason.STOPPING


def test_a_word_under_an_old_fence_is_refused_and_nothing_more_is_written(store: Store, journal: Journal[Held]) -> None:
    token = Token()
    ledger = Ledger(replace(claimed(store), fence=0), token)
    for _ in range(2):
        with pytest.raises(Abandoned):
            carry(journal, ledger.write(InputsResolved(Outputs(), 1)))
    assert token.reason is StopReason.LEASE_LOST
