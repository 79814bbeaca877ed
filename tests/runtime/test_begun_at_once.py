"""What a request makes ready is claimed in the request's own transaction, where a thread is free for it."""

import re
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from engine.domain.values import ExecutionId
from engine.runtime.claimer import Claimer
from engine.services import claiming, executions
from engine.services.starting import begun
from engine.store.away import DatabaseBusy
from engine.store.database import Store, Transaction
from engine.store.executions import NewExecution, counts, queue
from tests.support.platforms import ME, PATIENCE, House, build_platform, running_platform, until
from tests.support.providers import kind, script, values, workflow, write_provider

FOLDER = [{"name": "folder", "type": "string", "required": True}]
GOLDEN = {
    "waits": workflow([script("waits", "until [ -e $PARAM_FOLDER/go ]; do sleep 0.02; done")], parameters=FOLDER),
    "asks": workflow([{**values("asks", a=1), "when": "manual"}]),
    "fails": workflow([script("fails", "[ -e $PARAM_FOLDER/go ]")], parameters=FOLDER),
}
SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: shop}
containers: {main: {image: v1}}
resources: {first: {type: card}, second: {type: card, params: {of: "${resources.first}"}}}
"""


_WRITES = re.compile(r"INSERT|UPDATE|DELETE|WITH given")


class Statement(str):
    """As the driver is given it, and what SQLAlchemy has made it of: None where it gave it on as it stood."""

    __slots__ = ("made_of",)
    made_of: object


class Sent:
    """The statements that a database gets, by transaction."""

    def __init__(self, store: Store) -> None:
        self._by_connection: dict[int, list[Statement]] = {}
        self._transactions: list[list[Statement]] = []
        for engine in {store.engine, store.by_keys.engine}:
            event.listen(engine, "begin", self._begin)
            event.listen(engine, "before_cursor_execute", self._send)

    def _begin(self, connection: object) -> None:
        self._transactions.append([])
        self._by_connection[id(connection)] = self._transactions[-1]

    def _send(self, *told: Any) -> None:
        connection, _cursor, text, _given, context, *_ = told
        statement = Statement(" ".join(text.split()))
        statement.made_of = context.invoked_statement
        self._by_connection.setdefault(id(connection), []).append(statement)

    def with_one(self, beginning: str) -> list[list[Statement]]:
        """The transactions with such a statement."""
        return [sent for sent in self._transactions if any(one.startswith(beginning) for one in sent)]

    def writing(self) -> list[Statement]:
        """Those of all transactions that write."""
        return [one for sent in self._transactions for one in sent if any(map(_WRITES.match, sent))]

    def claims_with(self, beginning: str) -> list[bool]:
        """Of each transaction with such a statement, whether it has claimed something."""
        return [
            any(one.startswith("UPDATE executions SET state=") and "fence" in one for one in statements)
            for statements in self.with_one(beginning)
        ]


@pytest.fixture
def provider(tmp_path: Path) -> Path:
    return write_provider(tmp_path / "team", golden=GOLDEN, kinds={"card": kind()})


def _soon(ask: Callable[[], object], claimed: Callable[[], list[bool]]) -> None:
    """Ask until it is claimed at once: not while the engine looks for work by itself, as it does at its start."""
    for _ in range(100):
        ask()
        if claimed()[-1]:
            return
    raise AssertionError("it never was")


def _submitted(house: House, spec: str = SPEC) -> Sent:
    """What the database got, the last submission of a new application among it: one that was begun at once."""
    sent = Sent(house.store)
    names = (f"shop-{number}" for number in count())
    _soon(
        lambda: house.submit(spec.replace("shop", next(names))) and house.settled(),
        lambda: sent.claims_with("INSERT INTO resources"),
    )
    return sent


def _ended(house: House, folder: Path, execution_id: ExecutionId) -> None:
    (folder / "go").touch()
    assert house.ended(execution_id).state == "succeeded"


def test_a_request_and_the_claim_of_what_it_asks_for_are_one_transaction(
    store: Store, provider: Path, tmp_path: Path
) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        sent = Sent(store)
        (tmp_path / "go").touch()
        _soon(
            lambda: house.run("waits", folder=str(tmp_path)),
            lambda: sent.claims_with("INSERT INTO executions"),
        )


def test_so_are_a_submission_and_the_claim_of_what_it_starts(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        sent = _submitted(house)
        assert sent.claims_with("INSERT INTO executions")[-1], "an end and what it makes possible, too"


def test_a_first_submission_asks_the_database_little(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        sent = _submitted(house, SPEC.replace(', params: {of: "${resources.first}"}', ""))
    statements = list(dict.fromkeys(sent.with_one("INSERT INTO resources")[-1]))
    most = 15 if store.engine.dialect.name == "postgresql" else 17  # SQLite does not tell a new application
    assert len(statements) <= most, "\n".join(statements)  # with the claim, and what the graph and the timeline say
    drawn, claimed = (
        next(place for place, one in enumerate(statements) if one.startswith(beginning))
        for beginning in ("INSERT INTO graph_edges", "UPDATE executions SET state=")
    )
    assert drawn < claimed, "claims may exclude each other until the commit"


def test_the_statements_of_a_submission_and_its_runs_are_put_together_once(
    store: Store, provider: Path, tmp_path: Path
) -> None:
    """That would take longer than carrying them out."""
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        sent = _submitted(house)
        known = {statement.made_of for statement in sent.writing()}
        count = len(sent.writing())
        house.submit(SPEC.replace("shop", "another"))
        house.settled()
    later = sent.writing()[count:]
    assert len(later) > 30
    texts = set(sent.writing()[:count])  # a heartbeat may come for the first time
    assert [statement for statement in later if statement.made_of not in known and statement in texts] == []


def test_so_are_a_retry_and_its_claim(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        execution_id = house.run("fails", folder=str(tmp_path)).id
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        sent = Sent(store)
        _soon(
            lambda: house.ended(house.retry(execution_id)),
            lambda: sent.claims_with("INSERT INTO fair_queues"),
        )


def test_what_a_person_continues_goes_on_without_a_sweep(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        execution_id = house.execute("asks")
        house.step_in(execution_id, "asks", "waiting")
        executions.resume(house.platform, ME, execution_id, "asks")
        assert house.ended(execution_id).state == "succeeded"


def test_nothing_is_claimed_for_threads_that_are_all_at_work(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], threads=2, sweep_seconds=60.0) as house:
        sent = Sent(store)
        asked = [house.execute("waits", folder=str(tmp_path)) for _ in range(4)]
        states = lambda: sorted(house.execution(one).state.value for one in asked)  # noqa: E731 - one line
        until(lambda: states() == ["pending", "pending", "running", "running"])
        assert sent.claims_with("INSERT INTO executions")[2:] == [False, False]
        for execution_id in asked:
            _ended(house, tmp_path, execution_id)


def test_nothing_is_claimed_while_claiming_is_paused(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], sweep_seconds=60.0) as house:
        claiming.pause(house.platform, ME)
        execution_id = house.execute("waits", folder=str(tmp_path))
        assert house.execution(execution_id).state == "pending"
        claiming.resume(house.platform, ME)
        _ended(house, tmp_path, execution_id)


def test_an_engine_that_is_not_at_work_claims_nothing(store: Store, provider: Path, tmp_path: Path) -> None:
    house = build_platform(store, tmp_path, [provider], sweep_seconds=60.0)
    early = house.execute("waits", folder=str(tmp_path))
    assert house.execution(early).state == "pending"
    house.engine.start()
    try:
        _ended(house, tmp_path, early)
    finally:
        house.engine.stop(grace=1.0)
    late = house.execute("waits", folder=str(tmp_path))
    assert house.execution(late).state == "pending"


def test_a_claim_dies_with_the_transaction_it_belongs_to(store: Store, provider: Path, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider], threads=1, sweep_seconds=60.0) as house:
        refused = [threading.current_thread()]

        def refuse(_connection: object) -> None:
            if threading.current_thread() in refused:
                raise RuntimeError(refused.pop())

        event.listen(store.by_keys.engine, "commit", refuse)
        with pytest.raises(RuntimeError):
            house.execute("waits", folder=str(tmp_path))
        execution_id = house.execute("waits", folder=str(tmp_path))
        until(lambda: house.execution(execution_id).state == "running")  # its thread was given back
        _ended(house, tmp_path, execution_id)


class Gate(Store):
    """A store whose next transaction waits until the gate is opened."""

    def __init__(self, plain: Store) -> None:
        super().__init__(plain.engine, plain.sealer)
        self.reached, self.open = threading.Event(), threading.Event()

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        self.reached.set()
        assert self.open.wait(PATIENCE)
        with super().begin() as tx:
            yield tx


def test_threads_that_a_look_for_work_is_about_to_fill_are_not_given_to_requests(store: Store) -> None:
    gate = Gate(store)
    claimer = Claimer(gate, worker="me", threads=1, cap=10, lease=30.0)
    new = NewExecution("team", "digest", "path", "app", "user:me")
    with store.begin() as tx:
        queue(tx, [new])
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(claimer.next)
        assert gate.reached.wait(PATIENCE)
        with claimer.booking() as book, store.begin() as tx:
            queue(tx, [new])
            book(tx)
        gate.open.set()
        assert looking.result(PATIENCE) is not None
    with store.read() as tx:
        assert counts(tx) == {"running": 1, "pending": 1}


class Booked:
    """The signals of an engine that only claims."""

    def __init__(self, claimer: Claimer) -> None:
        self.beginning = claimer.booking

    def nudge(self) -> None: ...

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None: ...


def test_what_an_attempt_claimed_that_was_undone_is_nobodys(store: Store, provider: Path, tmp_path: Path) -> None:
    house = build_platform(store, tmp_path, [provider])
    claimer = Claimer(store.by_keys, worker="me", threads=4, cap=10, lease=30.0)
    new = NewExecution("team", "digest", "path", "app", "user:me")
    attempts: list[int] = []

    def work(tx: Transaction) -> None:
        """Somebody else was first: the second attempt finds nothing left to do."""
        attempts.append(1)
        if len(attempts) == 1:
            queue(tx, [new])
            tx.before_commit.append(others_are_in_the_way)

    def others_are_in_the_way() -> None:
        raise DatabaseBusy(Exception("deadlock detected"))

    begun(replace(house.platform, signals=Booked(claimer)), work)
    assert len(attempts) == 2
    assert claimer.held() == []


def test_an_end_is_followed_by_a_look_for_work_only_where_there_may_be_more(store: Store) -> None:
    claimer = Claimer(store.by_keys, worker="me", threads=2, cap=4, lease=30.0)
    assert claimer.next() is None
    claimer.give([], more=False, running=1)
    assert not claimer.hopeful
    claimer.give([], more=True, running=1)
    assert claimer.hopeful


@pytest.mark.parametrize("limit", ["cap", "most"])
def test_what_another_worker_looked_for_in_vain_while_an_end_was_committed_is_found_after_it(
    store: Store, limit: str
) -> None:
    cap, most = (1, 0) if limit == "cap" else (100, 1)
    mine, other = (
        Claimer(store.by_keys, worker=name, threads=2, lease=30.0, cap=cap, most=most) for name in ("me", "you")
    )
    new = NewExecution("team", "digest", "path", "app", "user:me")
    with store.begin() as tx:
        queue(tx, [new])
    held = mine.next()
    assert held is not None
    assert mine.next() is None
    with store.begin() as tx:
        queue(tx, [new])  # the statement of the end did not see it
    assert other.next() is None
    mine.give([], more=False, running=1)
    assert mine.hopeful


def test_a_request_whose_seat_another_one_took_is_looked_for(store: Store) -> None:
    claimer = Claimer(store.by_keys, worker="me", threads=2, cap=10, lease=30.0)
    assert claimer.next() is None
    early, late = (NewExecution("team", "digest", "path", name, "user:me") for name in ("early", "late"))
    with store.begin() as tx:
        (first,) = queue(tx, [early])  # by another process, whose call is on its way
    with claimer.booking() as book, store.begin() as tx:
        (second,) = queue(tx, [late])
        book(tx)
    taken = [claimer.next(), claimer.next()]
    assert [held.claim.execution.id for held in taken if held] == [first, second]
