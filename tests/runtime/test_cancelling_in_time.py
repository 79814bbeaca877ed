"""A cancellation that arrives in the very instant of a success: before, within and after each commit of a run.

Whatever comes first, the execution ends in one state, its resource agrees with it, and nothing is left at work.
"""

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.execution import FINAL
from engine.domain.runs import Execution
from engine.domain.values import ExecutionId
from engine.errors import Conflict
from engine.services import executions
from engine.services.platform import Platform, Relay
from engine.store.database import Store, Transaction
from tests.support.platforms import ME, House, open_store, running_platform, until
from tests.support.providers import kind, script, values, workflow, write_provider

PHASES = ("before", "within", "after")
TRIES = 'tries="$INNOMINATUS_PROVIDER_DATA/$INNOMINATUS_EXECUTION"; [ -e "$tries" ] || { touch "$tries"; exit 75; }'
GOLDEN = {
    "chain": workflow([values("first", a=1), script("second", "true"), values("third", c=3)]),
    "fan": workflow([{**script(f"s{i}", "true"), "needs": list[str]()} for i in range(3)]),
    "parent": workflow([{"name": "child", "type": "workflow", "config": {"workflow": "chain"}}, values("after", a=1)]),
    "again": workflow([script("flaky", TRIES, retry={"max": 2, "backoff": "0s"})]),
}
WORKFLOWS = {"make": workflow([values("first", a=1), script("second", "true")])}
KINDS = {"thing": kind("make", update="make", delete="make"), "workload": kind("noop", update="noop")}


class Attack:
    """One point of one run, at which it is cancelled once, as another door would: through connections of its own.

    `query` finds the run: the commit that ends another one may have begun it. Several threads of the engine commit.
    """

    def __init__(self, door: Platform, query: str, number: int, phase: str) -> None:
        self._door = door
        self._query = query
        self._number = number
        self._phase = phase
        self._lock = threading.Lock()
        self._commits = 0
        self._over = False
        self._told: Future[str] | None = None

    def found(self, *, alive: bool = False) -> ExecutionId | None:
        """The run once there is one; with `alive`, only until it has ended."""
        where = " and state in ('pending', 'running', 'waiting')" if alive else ""
        with self._door.store.read() as tx:
            value = tx.connection.execute(sa.text(self._query + where)).scalar()
        return None if value is None else ExecutionId(value)

    def _reached(self) -> Callable[[], None] | None:
        """What cancels the run, for whoever begins the commit that was chosen; nobody else gets it."""
        run = self.found(alive=True)
        with self._lock:
            number = self._commits
            self._commits += run is not None
            if run is None or number != self._number or self._over:
                return None
            told = self._told = Future()
        return lambda: told.set_result(self._cancel(run))

    def _cancel(self, execution_id: ExecutionId) -> str:
        try:
            executions.cancel(self._door, ME, execution_id)
        except Conflict as conflict:
            return conflict.code
        return "asked"

    @contextmanager
    def commit(self) -> Generator[Callable[[], None]]:
        """Around one commit of the journal; what is yielded is called within it."""
        cancel = self._reached()

        def within() -> None:
            if cancel is not None and self._phase == "within":  # the answer comes when the transaction has ended
                threading.Thread(target=cancel).start()

        if cancel is not None and self._phase == "before":
            cancel()
        yield within
        if cancel is not None and self._phase == "after":
            cancel()

    def answer(self) -> str:
        """What the door was told; empty when the run had no such commit. Nothing is cancelled any more."""
        with self._lock:
            self._over = True
        return self._told.result(20) if self._told is not None else ""


class Watched(Store):
    """A store whose engine is attacked in what it writes for its runs."""

    attack: Attack | None = None

    def __init__(self, plain: Store, *, watcher: "Watched | None" = None) -> None:
        super().__init__(plain.engine, plain.sealer)
        self._plain = plain
        self._watcher = watcher

    @cached_property
    def by_keys(self) -> Store:
        return Watched(self._plain.by_keys, watcher=self)

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        with self._attacked() as within, self._plain.begin() as tx:
            yield tx
            within()

    @contextmanager
    def single(self) -> Generator[Transaction]:
        with self._attacked() as within, self._plain.single() as tx:
            yield tx
            within()

    @contextmanager
    def _attacked(self) -> Generator[Callable[[], None]]:
        attack = self._watcher.attack if self._watcher else None
        if attack is None or threading.current_thread().name == "heartbeat":
            yield lambda: None
        else:
            with attack.commit() as within:
                yield within


@dataclass(frozen=True)
class Scene:
    """A platform whose journal is watched, and a door: of this process, or of another one that cannot wake it."""

    house: House
    store: Watched
    door: Platform

    def ends(self, query: Callable[[int], str], begin: Callable[[int], object]) -> Iterator[tuple[int, Execution]]:
        """Begin a run for each point there is and cancel it there; (its count, the execution) once everything rests."""
        points = ((number, phase) for number in itertools.count() for phase in PHASES)
        for count, (number, phase) in enumerate(points):
            attack = self.store.attack = Attack(self.door, query(count), number, phase)
            begin(count)
            run = until(attack.found)
            ended = self.house.ended(run)
            until(self.house.idle, told=self.house.told)
            answer = attack.answer()
            self.store.attack = None
            if not answer:
                assert number, "no point was reached"
                return
            self.agreed(f"{phase} commit {number}: {answer}", self.house.execution(run), asked=answer == "asked")
            yield count, ended

    def agreed(self, point: str, ended: Execution, *, asked: bool) -> None:
        """One definite end, told once, and every step of it rests."""
        assert ended.state in ("succeeded", "cancelled"), (point, ended)
        assert asked or ended.state == "succeeded", point
        newest = {run.name: run.state.value for run in self.house.steps(ended.id)}
        rests = {"succeeded"} if ended.state == "succeeded" else {"succeeded", "cancelled", "failed", "skipped"}
        assert set(newest.values()) <= rests, (point, newest)
        assert not {run.state.value for run in self.house.steps(ended.id)} & {"running", "waiting"}, point
        told = [e.kind for e in self.house.events() if e.execution_id == ended.id]
        ends = [kind for kind in told if kind in {f"execution.{state}" for state in FINAL}]
        assert ends == [f"execution.{ended.state}"], (point, told)
        until(lambda: not list((self.house.platform.settings.data_dir / "workspaces").glob("*")), told=lambda: point)


@pytest.fixture(params=["this process", "another process"])
def scene(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Scene]:
    provider = write_provider(tmp_path / "team", kinds=KINDS, workflows=WORKFLOWS, golden=GOLDEN)
    plain, other = open_store(database_url), open_store(database_url)
    store = Watched(plain)
    with running_platform(store, tmp_path, [provider], sweep_seconds=0.1) as house:
        door = replace(house.platform, store=other)
        yield Scene(house, store, door if request.param == "this process" else replace(door, signals=Relay()))
    other.close()
    plain.close()


@pytest.mark.parametrize("path", list(GOLDEN))
def test_a_golden_path_ends_in_one_state_and_a_retry_completes_it(scene: Scene, path: str) -> None:
    house = scene.house

    def query(_count: int) -> str:
        known = max((event.execution_id or 0 for event in house.events()), default=0)
        return f"select id from executions where workflow = '{path}' and parent_id is null and id > {known}"

    for _, ended in scene.ends(query, lambda _: house.execute(path)):
        if ended.state == "cancelled":
            assert house.ended(house.retry(ended.id)).state == "succeeded"
    with house.store.read() as tx:
        resting = "select count(*) from step_runs where state in ('running', 'waiting')"
        assert tx.connection.execute(sa.text(resting)).scalar() == 0


def spec(name: str, note: str = "a") -> str:
    return (
        f"apiVersion: score.dev/v1b1\nmetadata: {{name: {name}}}\ncontainers: {{main: {{image: v1}}}}\n"
        f"resources: {{db: {{type: thing, params: {{note: {note}}}}}}}\n"
    )


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_a_resource_agrees_with_its_run_and_a_retry_completes_it(scene: Scene, operation: str) -> None:
    house = scene.house

    def query(count: int) -> str:
        if operation != "create":
            house.submit(spec(f"app{count}"))
            house.resource_in(f"workload/app{count}", "active")
            until(house.idle)
        of_thing = f"select id from resources where identity = 'app{count}.db'"
        return f"select id from executions where operation = '{operation}' and resource_id in ({of_thing})"

    def begin(count: int) -> None:
        if operation == "delete":
            house.delete(f"app{count}")
        else:
            house.submit(spec(f"app{count}", note="b"))

    end = "terminated" if operation == "delete" else "active"
    for count, ended in scene.ends(query, begin):
        found = house.resource(f"thing/app{count}.db")
        if ended.state == "succeeded":
            assert (found.state, found.pending) == (end, None)
            continue
        assert (found.state, found.reason) == ("failed", "cancelled")
        house.retry_resource(f"thing/app{count}.db")
        house.resource_in(f"thing/app{count}.db", end)
        until(house.idle)
    assert {resource.state.value for resource in house.resources().values()} == {end}
