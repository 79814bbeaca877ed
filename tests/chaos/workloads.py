"""What the workers are given to do, and the ledger in which every effect on the world leaves its line."""

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from engine.domain.execution import FINAL, ExecutionState
from engine.domain.resource import Resource
from engine.domain.values import ExecutionId
from engine.errors import Conflict, Unavailable
from engine.services import deletions, executions, submissions
from engine.store import executions as execution_rows
from engine.store.tables import executions as table
from tests.chaos import history
from tests.chaos.invariants import Pace, violations
from tests.support.platforms import ME, House
from tests.support.providers import kind, script, values, workflow, write_provider

T = TypeVar("T")
LONG = os.environ.get("CHAOS") == "long"
"""`make chaos` sets it: the same tests with more of everything."""
SEED = int(os.environ.get("SEED", "0")) or (random.SystemRandom().randrange(1, 1_000_000) if LONG else 1)
PATIENCE = 600.0 if LONG else 120.0
PACE = Pace(lease=2.0, sweep=0.5, threads=4, slack=5.0 if LONG else 20.0)
"""What workers are told, and held to. In the ordinary run other tests take the processors' time meanwhile."""
ONCE = frozenset({"once"})


def seeded(what: str) -> random.Random:
    """The dice of one test; the seed stands in its output."""
    sys.stdout.write(f"{what}: SEED={SEED}\n")
    return random.Random(f"{what}-{SEED}")


def effect(folder: Path, work: str = ":", *, before: str = ":", after: str = ":") -> str:
    """A script that leaves a line as it begins and one when it is done, and kills its worker where a file says so."""
    return f"""
say() {{ echo "$1 $INNOMINATUS_EXECUTION {{{{ execution.attempt }}}} $INNOMINATUS_STEP $INNOMINATUS_IDEMPOTENCY_KEY $$ $PARAM_VALUE" >> {folder}/ledger; }}
die() {{ if [ -e {folder}/$1 ] && mv {folder}/$1 {folder}/gone.$$ 2>/dev/null; then kill -9 $PPID; sleep 60; fi; }}
die before-$INNOMINATUS_STEP
{before}
say begin
{work}
say end
die after-$INNOMINATUS_STEP
{after}
"""


def house_provider(folder: Path, *, work: str = ":", before: str = ":", after: str = ":", **options: Any) -> Path:
    """The golden path `mixed`, and the types `thing` and `workload` whose workflows have effects too.

    `before`, `after` and `options` are for the steps that may run twice; `once` may not.
    """
    does = effect(folder, work, before=before, after=after)
    mixed = [
        script("first", does, idempotent=True, **options),
        script("once", effect(folder, work), idempotent=False),
        values("between", x=1),
        script("last", does, idempotent=True, **options),
    ]
    note = {"name": "value", "type": "string", "default": ""}
    workflows = {
        "make": workflow(
            [script("made", does, idempotent=True, **options)],
            parameters=[note],
            outputs={"value": "{{ parameters.value }}"},
        ),
        "remove": workflow([script("removed", does, idempotent=True, **options)], parameters=[note]),
        "deploy": workflow(
            [script("deployed", does, idempotent=True, **options)],
            parameters=[{"name": "workload", "type": "object", "required": True}],
        ),
    }
    things = {
        "thing": kind("make", update="make", delete="remove", outputs=[{"name": "value"}]),
        "workload": kind("deploy", update="deploy", delete="remove"),
    }
    return write_provider(folder / "provider", kinds=things, workflows=workflows, golden={"mixed": workflow(mixed)})


def insist(call: Callable[[], T], *, seconds: float = 60.0) -> T:
    """The answer of `call`, asked again while the database is away, as a client would."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (SQLAlchemyError, Unavailable):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass
class Client:
    """Asks for work and waits for its end, whatever happens to the servers meanwhile."""

    house: House
    asked: int = 0

    def execute(self, workflow: str = "mixed", count: int = 1) -> list[ExecutionId]:
        return [self._execute(workflow) for _ in range(count)]

    def _execute(self, workflow: str) -> ExecutionId:
        self.asked += 1
        key = f"key-{self.asked}"  # an answer that was lost is asked for again, and must not start a second one
        found = insist(lambda: executions.execute(self.house.platform, ME, workflow, {}, idempotency_key=key))
        assert found is not None
        return found

    def submit(self, source: str) -> None:
        self.asked += 1
        key = f"key-{self.asked}"
        insist(lambda: submissions.submit(self.house.platform, ME, source, idempotency_key=key))

    def delete(self, name: str) -> None:
        self.asked += 1
        key = f"key-{self.asked}"
        insist(lambda: deletions.delete(self.house.platform, ME, name, idempotency_key=key))

    def open(self) -> int:
        """How many executions have not ended."""

        def count() -> int:
            with self.house.store.read() as tx:
                found = execution_rows.counts(tx)
            return sum(number for state, number in found.items() if state not in {s.value for s in FINAL})

        return insist(count)

    def wait(self, what: Callable[[], object], *, seconds: float = PATIENCE) -> None:
        """Until `what` is true; what failed with a reason that a person would answer with a retry is retried."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.told()
            self.retry_interrupted()
            time.sleep(0.2)

    def all_ended(self, ids: Iterable[ExecutionId]) -> bool:
        return not self.open() and self.all_of(ids)

    def all_of(self, ids: Iterable[ExecutionId]) -> bool:
        return set(ids) <= self.succeeded()

    def succeeded(self) -> set[ExecutionId]:
        return set(self.reasons(ExecutionState.SUCCEEDED))

    def reasons(self, state: ExecutionState) -> dict[ExecutionId, str]:
        """The executions in a state, and the reason that each gives."""
        query = sa.select(table.c.id, table.c.reason).where(table.c.state == state.value)

        def look() -> dict[ExecutionId, str]:
            with self.house.store.read() as tx:
                return {ExecutionId(row.id): row.reason for row in tx.connection.execute(query)}

        return insist(look)

    def retry_interrupted(self) -> None:
        """A person looked at what the interrupted step did, and lets the execution go on."""
        for run, reason in self.reasons(ExecutionState.FAILED).items():
            if reason == "interrupted":
                with contextlib.suppress(Conflict):  # the retry whose answer was lost was done
                    insist(lambda run=run: executions.retry(self.house.platform, ME, run))

    def resources(self) -> dict[str, Resource]:
        return insist(self.house.resources)

    def told(self) -> object:
        """What has not come to its end, for the message of a failed test."""
        left = [
            (run, state.value, self.house.execution(run).error, self.house.step_states(run))
            for state in ExecutionState
            if state is not ExecutionState.SUCCEEDED
            for run in self.reasons(state)
        ]
        return left, self.house.told()


def verdict(url: str, folder: Path, pace: Pace = PACE, *, once: frozenset[str] = ONCE) -> list[str]:
    """What the judge says of the whole run, from when the first worker was there."""
    changes = history.changes(url)
    claims = [c.at for c in changes if c.noun == "executions" and c.after and c.after["state"] == "running"]
    pace = replace(pace, away=((0.0, min(claims, default=0.0)), *pace.away))
    return violations(changes, history.effects(folder / "ledger"), pace=pace, once=once)


def alive(pid: int) -> bool:
    """Whether the process is at work: one that has ended, and whose parent does not ask for it, is not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
