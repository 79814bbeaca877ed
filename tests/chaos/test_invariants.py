"""The judge of the chaos tests: it finds nothing in a good history, and every wrong that is sown into it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos import history
from tests.chaos.history import Change, Effect, Row
from tests.chaos.invariants import Pace, violations
from tests.support.platforms import House, open_store, running_platform
from tests.support.platforms_by_hand import THINGS, reads, spec
from tests.support.postgres import PostgresServer
from tests.support.providers import script, workflow, write_provider

PACE = Pace(lease=2.0, sweep=1.0, threads=2)


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@dataclass
class Story:
    """A history as it is told: who writes says which columns become what; each line is a transaction unless told."""

    changes: list[Change] = field(default_factory=list[Change])
    effects: list[Effect] = field(default_factory=list[Effect])
    rows: dict[tuple[str, object], Row] = field(default_factory=dict[tuple[str, object], Row])

    def put(self, noun: str, key: object, at: float, values: Row, *, tx: int = 0) -> None:
        before = self.rows.get((noun, key))
        after = {**(before or {}), **values}
        self.rows[noun, key] = after
        number = len(self.changes) + 1
        self.changes.append(Change(number, at, tx or number + 1000, noun, before, after))

    def execution(self, at: float, *, tx: int = 0, number: int = 1, **values: object) -> None:
        fresh = {"id": number, "operation": None, "attempt": 1, "worker": None, "ready_at": None}
        values = {name: stamp(v) if name == "ready_at" and isinstance(v, float) else v for name, v in values.items()}
        self.put(
            "executions", number, at, values if ("executions", number) in self.rows else {**fresh, **values}, tx=tx
        )

    def step(self, at: float, name: str, attempt: int, state: str, *, tx: int = 0) -> None:
        place = {"execution_id": 1, "position": len(name), "name": name, "attempt": attempt, "state": state}
        self.put("step_runs", (name, attempt), at, place, tx=tx)

    def resource(self, at: float, number: int, state: str, *, tx: int = 0, told: bool = True) -> None:
        tx = tx or len(self.changes) + 2000
        row = {"id": number, "type": "thing", "identity": f"r{number}", "state": state}
        self.put("resources", number, at, {**row, "desired_generation": 1, "observed_generation": 0}, tx=tx)
        if told:
            self.event(at, f"resource.{state}", tx=tx, resource=number)

    def event(
        self, at: float, kind: str, *, tx: int, resource: int | None = None, execution: int | None = None
    ) -> None:
        row = {"kind": kind, "resource_id": resource, "execution_id": execution}
        self.put("events", len(self.changes), at, row, tx=tx)

    def edge(self, at: float, dependant: int, target: int) -> None:
        row = {"resource_id": dependant, "depends_on_id": target, "stale": False}
        self.put("resource_dependencies", (dependant, target), at, row)

    def effect(self, what: str, step: str = "make", *, pid: int = 7, attempt: int = 1, key: str = "") -> None:
        self.effects.append(Effect(what, 1, attempt, step, key or f"1-{step}", pid))

    def verdict(self, *, once: Sequence[str] = ("make",), pace: Pace = PACE) -> list[str]:
        return violations(self.changes, self.effects, pace=pace, once=frozenset(once))


def ordinary() -> Story:
    """One execution of one step, taken over once, and two resources of which one needs the other."""
    story = Story()
    story.execution(0, tx=1, state="pending", fence=0, sequence=0, ready_at=0.0)
    story.event(0, "execution.requested", tx=1, execution=1)
    story.execution(1, state="running", fence=1, worker="a", ready_at=3.0)
    story.execution(1.1, tx=2, sequence=1)
    story.step(1.1, "make", 1, "running", tx=2)
    story.effect("begin", pid=7)
    story.execution(2, ready_at=4.0)
    story.execution(4.5, fence=2, worker="b", ready_at=6.5)
    story.execution(4.6, tx=3, sequence=2)
    story.step(4.6, "make", 2, "running", tx=3)
    story.step(4.6, "make", 1, "cancelled", tx=3)
    story.effect("begin", pid=8)
    story.effect("end", pid=8)
    story.execution(5, tx=4, sequence=3, state="succeeded", ready_at=None, worker=None)
    story.step(5, "make", 2, "succeeded", tx=4)
    story.event(5, "execution.succeeded", tx=4, execution=1)
    story.resource(6, 1, "requested")
    story.resource(6, 2, "requested")
    story.edge(6, 2, 1)
    for number in (1, 2):
        story.resource(6, number, "provisioning")
        story.resource(6, number, "active")
    for number in (2, 1):
        story.resource(7, number, "terminating")
        story.resource(7, number, "terminated")
    return story


def test_a_good_history_breaks_no_promise() -> None:
    assert ordinary().verdict(once=()) == []


def another(story: Story) -> None:
    """A second execution that runs under a lease until second 8."""
    story.execution(6, tx=50, number=2, state="pending", fence=0, sequence=0, ready_at=6.0)
    story.event(6, "execution.requested", tx=50, execution=2)
    story.execution(6, number=2, state="running", fence=1, worker="a", ready_at=8.0)


def two_holders(story: Story) -> None:
    another(story)
    story.execution(7, number=2, fence=2, worker="c", ready_at=9.0)


def falling_fence(story: Story) -> None:
    story.execution(6, fence=1)


def borrowed_fence(story: Story) -> None:
    another(story)
    story.execution(6.5, number=2, worker="d")


def lost_record(story: Story) -> None:
    another(story)
    story.execution(6.5, number=2, sequence=2)


def written_after_the_end(story: Story) -> None:
    story.execution(6, sequence=4)


def illegal_execution(story: Story) -> None:
    story.execution(6, tx=51, state="running", ready_at=8.0)


def illegal_step(story: Story) -> None:
    story.step(6, "make", 2, "running")


def illegal_resource(story: Story) -> None:
    story.resource(8, 1, "active")


def finished_step_again(story: Story) -> None:
    story.step(6, "make", 3, "running")


def two_attempts_at_once(story: Story) -> None:
    story.step(6, "other", 1, "running")
    story.step(6, "other", 2, "running")


def another_key(story: Story) -> None:
    story.effect("begin", key="1-make-2")


def more_effects_than_attempts(story: Story) -> None:
    story.effect("begin", pid=9)


def overlapping(story: Story) -> None:
    story.step(6, "late", 1, "running")
    story.step(6, "late", 2, "running")
    for what, pid in (("begin", 1), ("begin", 2), ("end", 1)):
        story.effect(what, "late", pid=pid)


def success_without_effect(story: Story) -> None:
    story.effects = [effect for effect in story.effects if effect.what == "begin"]


def started_too_early(story: Story) -> None:
    story.resource(8, 1, "requested")
    story.resource(8, 2, "requested")
    story.resource(8, 2, "provisioning")


def deleted_too_early(story: Story) -> None:
    for number in (1, 2):
        for state in ("requested", "provisioning", "active"):
            story.resource(8, number, state)
    story.resource(9, 1, "terminating")


def silent_resource(story: Story) -> None:
    story.resource(8, 1, "requested", told=False)


def silent_queue(story: Story) -> None:
    story.execution(8, number=2, state="pending", fence=0, sequence=0)


def silent_retry(story: Story) -> None:
    story.execution(6, state="pending", attempt=2, ready_at=6.0)


def silent_end(story: Story) -> None:
    another(story)
    story.execution(6.5, number=2, state="failed", sequence=1, ready_at=None)


def told_twice(story: Story) -> None:
    another(story)
    story.execution(6.5, tx=60, number=2, state="failed", sequence=1, ready_at=None)
    story.event(6.5, "execution.failed", tx=60, execution=2)
    story.event(6.5, "execution.failed", tx=60, execution=2)


def told_without_cause(story: Story) -> None:
    story.event(6, "execution.succeeded", tx=61, execution=1)


def without_heartbeat(story: Story) -> None:
    another(story)
    story.resource(20, 1, "requested")


def never_claimed(story: Story) -> None:
    story.execution(8, tx=62, number=2, state="pending", fence=0, sequence=0, ready_at=8.0)
    story.event(8, "execution.requested", tx=62, execution=2)
    story.resource(20, 1, "requested")


WRONGS: dict[Callable[[Story], None], str] = {
    two_holders: "while the lease of a held",
    falling_fence: "the fence fell",
    borrowed_fence: "holds it under the fence of a",
    lost_record: "record 2 was written after 0",
    written_after_the_end: "was written to after it had succeeded",
    illegal_execution: "went from succeeded to running",
    illegal_step: "went from succeeded to running",
    illegal_resource: "went from terminated to active",
    finished_step_again: "begun though attempt 2 had succeeded",
    two_attempts_at_once: "at work beside another attempt",
    another_key: "under the key 1-make-2",
    more_effects_than_attempts: "had 3 effects in 2 attempts",
    overlapping: "process 1 was still at work",
    success_without_effect: "succeeded on record without its effect",
    started_too_early: "provisioning while resource thing/r1 was requested",
    deleted_too_early: "deleted while resource thing/r2, made with it, was active",
    silent_resource: "became requested without an event",
    silent_queue: "was queued without an event",
    silent_retry: "was retried without an event",
    silent_end: "has failed with 0 events",
    told_twice: "has failed with 2 events",
    told_without_cause: "tells of what did not happen",
    without_heartbeat: "running for 14.0 s without a heartbeat of a",
    never_claimed: "ready for 12.0 s while nobody claimed it",
}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_every_wrong_that_is_sown_is_found(wrong: Callable[[Story], None]) -> None:
    story = ordinary()
    wrong(story)
    found = story.verdict(once=())
    assert any(WRONGS[wrong] in said for said in found), found


def test_a_step_that_is_not_idempotent_may_have_its_effect_once_per_attempt() -> None:
    assert ordinary().verdict(once=["make"]) == [
        "execution 1, step `make`: is not idempotent and had its effect 2 times in one attempt"
    ]
    story = ordinary()
    story.effects[1:] = [replace(effect, attempt=2) for effect in story.effects[1:]]
    assert story.verdict(once=["make"]) == []


def test_time_in_which_the_database_was_away_and_one_lease_after_it_do_not_count() -> None:
    story = ordinary()
    without_heartbeat(story)
    assert story.verdict(once=(), pace=replace(PACE, away=((9.0, 17.0),))) == []
    assert story.verdict(once=(), pace=replace(PACE, away=((9.0, 14.0),))) != []
    assert PACE.counted(0, 10) == 10
    assert replace(PACE, away=((1.0, 2.0), (3.0, 4.0), (20.0, 30.0))).counted(0, 10) == 5


def test_a_queue_behind_busy_threads_is_nobodys_fault() -> None:
    story = ordinary()
    for number in (2, 3, 4):
        story.execution(8, tx=70, number=number, state="pending", fence=0, sequence=0, ready_at=8.0)
        story.event(8, "execution.requested", tx=70, execution=number)
    for number in (2, 3):
        story.execution(8.1, number=number, state="running", fence=1, worker="a", ready_at=30.0)
    story.resource(20, 1, "requested")
    assert story.verdict(once=()) == []


def recorded(house: House, url: str, ledger: Path) -> list[str]:
    return violations(
        history.changes(url), history.effects(ledger), pace=Pace(1.0, 0.5, 4, slack=30.0), once=frozenset({"once"})
    )


def test_what_really_happens_is_kept_and_judged(
    postgres_with_tables: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.database_url(template=postgres_with_tables)
    history.record(url)
    ledger = tmp_path / "ledger"
    say = f"{{ echo $1 $INNOMINATUS_EXECUTION 1 $INNOMINATUS_STEP $INNOMINATUS_IDEMPOTENCY_KEY $$ >> {ledger}; }}"
    golden = {"once": workflow([script("once", f"say() {say}; say begin; say end", idempotent=False)])}
    store = open_store(url)
    with running_platform(store, tmp_path, [write_provider(tmp_path / "p", kinds=THINGS, golden=golden)]) as house:
        done = house.run("once")
        house.submit(spec("shop", {"db": "1", "app": reads("db")}))
        house.settled()
        house.delete("shop")
        house.settled()
        assert recorded(house, url, ledger) == []
        kept = history.changes(url)
        states = [c.after["state"] for c in kept if c.noun == "executions" and c.after and c.after["id"] == done.id]
        assert [state for n, state in enumerate(states) if state not in states[:n]] == [
            "pending",
            "running",
            "succeeded",
        ]
        assert {row["state"] for c in kept if c.noun == "resources" and (row := c.after)} >= {
            "provisioning",
            "terminated",
        }
        with store.begin() as tx:
            tx.connection.exec_driver_sql("UPDATE executions SET state = 'running', fence = fence - 1")
        assert len(recorded(house, url, ledger)) >= 2
    store.close()
    postgres_server.drop(url.rpartition("/")[2])
