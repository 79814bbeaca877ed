"""Whatever people ask for and however runs end, in whatever order: the laws of resources hold."""

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import event

from engine.domain.resource import ResourceState
from engine.errors import Conflict, Invalid
from engine.services import executions, resources
from tests.support.platforms import ME, open_store
from tests.support.platforms_by_hand import ByHand, by_hand, reads
from tests.support.resource_model import Laws, names_of

NAMES = ("aa", "bb", "cc", "dd")
APPLICATIONS = ("one", "two")


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, tuple[str, str, bool]]:
    """name → (type, value, shared by both applications): references never form a cycle."""
    order = draw(st.permutations(NAMES))[: draw(st.integers(0, len(NAMES)))]
    made: dict[str, tuple[str, str, bool]] = {}
    for place, name in enumerate(order):
        needed = draw(st.lists(st.sampled_from(order[:place]), unique=True, max_size=2)) if place else []
        shared = draw(st.integers(0, 3)) == 0
        kind = "rigid" if not shared and draw(st.integers(0, 7)) == 0 else "thing"
        made[name] = (kind, f"{draw(st.integers(1, 2))} {reads(*needed)}".strip(), shared)
    return made


def document(application: str, wish: dict[str, tuple[str, str, bool]], image: int) -> str:
    lines = [
        "apiVersion: score.dev/v1b1",
        f"metadata: {{name: {application}}}",
        f"containers: {{main: {{image: v{image}}}}}",
        "resources:" if wish else "",
    ]
    for name, (kind, value, shared) in sorted(wish.items()):
        identity = f", id: shared-{name}" if shared else ""
        lines.append(f'  {name}: {{type: {kind}{identity}, params: {{value: "{value}"}}}}')
    return "\n".join(lines) + "\n"


def _without_syncing(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


class Platforms(RuleBasedStateMachine):
    """One platform, two applications, four names."""

    template = Path()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="innominatus-model-"))
        self.wanted: dict[str, set[str]] = {}
        self.count = 0

    @initialize()
    def open(self) -> None:
        copy = self.folder / "innominatus.db"
        shutil.copyfile(self.template, copy)
        store = open_store(f"sqlite:///{copy}")
        event.listen(store.engine, "connect", _without_syncing)
        self.hand: ByHand = by_hand(store, self.folder)
        self.laws = Laws(self.hand.house)

    def teardown(self) -> None:
        if hasattr(self, "hand"):
            self.hand.house.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(application=st.sampled_from(APPLICATIONS), wish=wishes(), image=st.integers(1, 2), prune=st.booleans())
    def submit(self, application: str, wish: dict[str, tuple[str, str, bool]], image: int, prune: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        try:
            self.hand.submit(document(application, wish, image), prune=prune)
        except (Conflict, Invalid):
            return
        self.wanted[application] = set(wish)

    @rule(application=st.sampled_from(APPLICATIONS))
    def delete(self, application: str) -> None:
        if application in self.wanted:
            self.wanted.pop(application)
            self.hand.delete(application)

    def _under_way(self, data: st.DataObject) -> str | None:
        keys = sorted(self.hand.take() and self.hand.runs)
        return data.draw(st.sampled_from(keys), label="run") if keys else None

    @rule(data=st.data(), outputs=st.integers(1, 2), how=st.sampled_from(["succeeded", "succeeded", "failed"]))
    def end(self, data: st.DataObject, outputs: int, how: str) -> None:
        if key := self._under_way(data):
            self.hand.end(key, how, {"value": str(outputs)})

    @rule(how=st.lists(st.sampled_from(["succeeded", "succeeded", "failed", "cancelled"]), min_size=2, max_size=4))
    def end_several_at_once(self, how: list[str]) -> None:
        self.hand.take()
        self.count += 1
        records = [
            self.hand.record(key, end, {"value": str(self.count)})
            for key, end in zip(sorted(self.hand.runs), how, strict=False)
        ]
        self.hand.write(*records)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if key := self._under_way(data):
            executions.cancel(self.hand.house.platform, ME, self.hand.runs[key].id)
            self.hand.end(key, "cancelled")

    def _failed(self, data: st.DataObject) -> str | None:
        keys = sorted(key for key, found in self.hand.house.resources().items() if found.state is ResourceState.FAILED)
        return data.draw(st.sampled_from(keys), label="failed") if keys else None

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        if key := self._failed(data):
            try:
                self.hand.retry(key)
            except Conflict as told:
                if told.code != "waiting":
                    raise

    @rule(data=st.data(), as_=st.sampled_from(["active", "gone"]))
    def resolve(self, data: st.DataObject, as_: str) -> None:
        if key := self._failed(data):
            failed = self.hand.resource(key)
            resources.resolve(self.hand.house.platform, ME, failed.id, as_=as_)
            for application in self.wanted if as_ == "gone" else ():
                self.wanted[application] &= set(names_of(self.hand.house, application))
            self.hand.take()

    @rule()
    def sweep(self) -> None:
        self.hand.sweep()

    @rule()
    def finish(self) -> None:
        self.hand.finish_all({"value": "1"})

    @invariant()
    def laws_hold(self) -> None:
        if not hasattr(self, "hand"):
            return
        self.hand.take()
        self.laws.check()
        if not self.hand.runs:
            self.laws.rest()
        for application, names in self.wanted.items():
            found = names_of(self.hand.house, application)
            assert names <= set(found), f"{application}: {names} of {set(found)}"


def test_the_laws_of_resources_hold_in_every_order_of_events(
    sqlite_with_tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Platforms, "template", sqlite_with_tables)
    run_state_machine_as_test(
        Platforms,
        settings=settings(
            max_examples=60,
            stateful_step_count=12,
            derandomize=True,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
