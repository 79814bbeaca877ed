"""A platform whose runs are carried out by the test: it claims what is ready and says how each run ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.domain.execution import ExecutionState
from engine.domain.resource import Outcome, Resource, RunEnd
from engine.domain.runs import Execution
from engine.domain.values import JsonObject
from engine.store import claims, repair
from engine.store.apply import apply_records
from engine.store.database import Store
from engine.store.records import ExecutionEnded, Record
from tests.support.platforms import House, build_platform
from tests.support.providers import kind, write_provider

ENDS = {
    "succeeded": (ExecutionState.SUCCEEDED, Outcome.SUCCEEDED),
    "failed": (ExecutionState.FAILED, Outcome.FAILED),
    "cancelled": (ExecutionState.CANCELLED, Outcome.CANCELLED),
}


@dataclass
class ByHand:
    """`take` claims, `end` ends the run of a resource; between the two it is under way."""

    house: House
    runs: dict[str, Execution] = field(default_factory=dict[str, Execution])

    def take(self) -> list[str]:
        """Claim all that is ready; `operation type/id` of what is under way now, sorted."""
        with self.house.store.begin() as tx:
            taken = claims.claim(tx, worker="hand", limit=1000, cap=1000, lease=3600.0)
        by_id = {resource.id: key for key, resource in self.house.resources().items()}
        for claim in taken:
            assert claim.execution.resource_id is not None
            key = by_id[claim.execution.resource_id]
            assert key not in self.runs, f"{key} runs twice at once"
            self.runs[key] = claim.execution
        return sorted(f"{run.operation} {key}" for key, run in self.runs.items())

    def record(self, key: str, how: str = "succeeded", outputs: JsonObject | None = None) -> Record:
        """The end of the run of a resource, not written yet."""
        run = self.runs.pop(key)
        state, outcome = ENDS[how]
        error = "" if how == "succeeded" else f"told to be {how}"
        assert run.operation is not None
        end = RunEnd(run.operation, run.generation, outcome, outputs or {}, frozenset(), "f", error)
        return Record(run, run.sequence + 1, (ExecutionEnded(state, error=error, resource=end),))

    def end(self, key: str, how: str = "succeeded", outputs: JsonObject | None = None) -> list[str]:
        """End the run of a resource, then claim what became ready."""
        return self.write(self.record(key, how, outputs))

    def write(self, *records: Record) -> list[str]:
        """Apply records as one batch, then claim what became ready."""
        with self.house.store.begin() as tx:
            applied = apply_records(tx, records, choose=self.house.platform.providers.choose)
        assert all(applied.held)
        return self.take()

    def finish_all(self, outputs: JsonObject | None = None) -> None:
        """Succeed whatever runs until nothing does."""
        for _ in range(1000):
            if not self.take():
                return
            self.end(min(self.runs), outputs=outputs)
        raise AssertionError("it never rests")

    def sweep(self) -> None:
        with self.house.store.begin() as tx:
            repair.start_forgotten(tx, limit=100)
            repair.wake_forgotten(tx, limit=100)
            repair.fail_orphans(tx, limit=100)

    def resource(self, key: str) -> Resource:
        return self.house.resource(key)

    def states(self) -> dict[str, str]:
        return {key: resource.state.value for key, resource in self.house.resources().items()}

    def submit(self, source: str, *, prune: bool = False) -> list[str]:
        self.house.submit(source, prune=prune)
        return self.take()

    def delete(self, application: str) -> list[str]:
        self.house.delete(application)
        return self.take()

    def retry(self, key: str) -> list[str]:
        self.house.retry_resource(key)
        return self.take()


THINGS = {
    "thing": kind("noop", update="noop", delete="noop", read="noop"),
    "rigid": kind("noop", update=None, delete="noop"),
    "workload": kind("noop", update="noop", delete="noop"),
}


def by_hand(store: Store, folder: Path, *, providers: Sequence[Path] = ()) -> ByHand:
    """A platform with the types `thing`, `rigid` (no update) and `workload`; its engine is not started."""
    folders = providers or [write_provider(folder / "things", kinds=THINGS)]
    return ByHand(build_platform(store, folder, folders))


def spec(
    name: str, resources: dict[str, str] | None = None, *, image: str = "v1", ids: dict[str, str] | None = None
) -> str:
    """A Score document. `resources`: name → the value of its one param, which may hold placeholders."""
    lines = ["apiVersion: score.dev/v1b1", f"metadata: {{name: {name}}}", f"containers: {{main: {{image: {image}}}}}"]
    if resources:
        lines.append("resources:")
    for key, value in (resources or {}).items():
        shared = f", id: {ids[key]}" if ids and key in ids else ""
        lines.append(f'  {key}: {{type: thing{shared}, params: {{value: "{value}"}}}}')
    return "\n".join(lines) + "\n"


def reads(*names: str) -> str:
    """A param value that needs the outputs of other resources."""
    return " ".join(f"${{resources.{name}.value}}" for name in names)
