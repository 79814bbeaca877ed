"""A store on either database, and a platform with its engine around small providers."""

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import text

from engine.config import Settings
from engine.domain.event import Event
from engine.domain.execution import FINAL
from engine.domain.provider import Registry
from engine.domain.resource import Resource
from engine.domain.runs import Execution, StepRun
from engine.domain.values import Actor, ActorKind, ExecutionId, JsonObject, ResourceId
from engine.providers.active import ActiveProviders
from engine.providers.loading import load
from engine.runtime.engine import Engine
from engine.runtime.signals import Sender
from engine.services import deletions, executions, resources, submissions
from engine.services.platform import Platform, Relay
from engine.services.requests import PlatformRequests
from engine.services.submissions import Submission
from engine.store import bundles, database, events, schema
from engine.store import executions as execution_rows
from engine.store import resources as resource_rows
from engine.store import steps as step_rows
from engine.store.database import Store
from engine.store.sealing import Sealer
from tests.support.postgres import PostgresServer

KEY = bytes(range(32))
ME = Actor(ActorKind.USER, "tester")
PATIENCE = 15.0
"""Seconds after which a test gives up waiting."""

T = TypeVar("T")


@pytest.fixture(scope="session")
def postgres_with_tables(postgres_server: PostgresServer) -> str:
    """The name of a database with our tables and nothing in them, to be copied."""
    url = postgres_server.database_url()
    create_tables(url)
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with our tables and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("template") / "innominatus.db"
    create_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with our tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        template_file: Path = request.getfixturevalue("sqlite_with_tables")
        copy = tmp_path / "innominatus.db"
        shutil.copyfile(template_file, copy)
        yield f"sqlite:///{copy}"
    else:
        template: str = request.getfixturevalue("postgres_with_tables")
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.database_url(template=template)
        yield url
        server.drop(url.rpartition("/")[2])


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a fresh database."""
    made = open_store(database_url)
    yield made
    made.close()


def create_tables(url: str) -> None:
    engine = database.open_engine(url, pool_size=1)
    schema.upgrade(engine)
    engine.dispose()


def open_store(url: str, *, pool_size: int = 16) -> Store:
    """A further store on the same database, as another process would have it."""
    return database.open_store(url, Sealer(KEY), pool_size=pool_size)


def settings_for(folder: Path, **changes: object) -> Settings:
    """Fast settings: lease 1.5 s, sweep 0.5 s, no health checks."""
    fast: dict[str, object] = {
        "data_dir": folder,
        "lease_seconds": 1.5,
        "sweep_seconds": 0.5,
        "grace_seconds": 2.0,
        "health_seconds": 0.0,
        "threads": 4,
    }
    return Settings.model_validate({**fast, **changes})


def build_platform(
    store: Store, folder: Path, providers: Sequence[Path], *, others: Sender | None = None, **changes: object
) -> "House":
    """A platform whose engine is not started yet. `folder` holds its workspaces and bundles."""
    settings = settings_for(folder, **changes)
    loaded = load(providers)
    checked = loaded.checked()
    with store.begin() as tx:
        generation = bundles.activate(tx, checked, loaded.archives)
    active = ActiveProviders(store, Registry(checked, generation), folder / "bundles")
    relay = Relay()
    platform = Platform(store, settings, active, relay)
    engine = Engine(
        store,
        settings,
        active,
        PlatformRequests(platform),
        base_environment={"PATH": os.environ.get("PATH", os.defpath)},
        others=others,
    )
    relay.connect(engine)
    return House(platform, engine)


@contextmanager
def running_platform(store: Store, folder: Path, providers: Sequence[Path], **changes: object) -> Generator["House"]:
    """A platform with its engine at work; stopped afterwards."""
    house = build_platform(store, folder, providers, others=None, **changes)
    house.engine.start()
    try:
        yield house
    finally:
        house.engine.stop(grace=0.2)


def until(look: Callable[[], T | None], *, seconds: float = PATIENCE, told: Callable[[], object] | None = None) -> T:
    """What `look` gives as soon as it gives something true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"nothing within {seconds} s: {told() if told else ''}")
        time.sleep(0.01)


@dataclass(frozen=True)
class House:
    """A platform and its engine, with what tests ask of them in a word."""

    platform: Platform
    engine: Engine

    @property
    def store(self) -> Store:
        return self.platform.store

    def submit(self, source: str, *, prune: bool = False, actor: Actor = ME) -> Submission:
        return submissions.submit(self.platform, actor, source, prune=prune)

    def delete(self, application: str) -> Submission:
        return deletions.delete(self.platform, ME, application)

    def execute(self, workflow: str, **inputs: object) -> ExecutionId:
        given: JsonObject = dict(inputs)  # pyright: ignore[reportAssignmentType] # JSON by construction of the tests
        started = executions.execute(self.platform, ME, workflow, given)
        assert started is not None
        return started

    def run(self, workflow: str, **inputs: object) -> Execution:
        """Execute a golden path and wait for its end."""
        return self.ended(self.execute(workflow, **inputs))

    def execution(self, execution_id: ExecutionId) -> Execution:
        with self.store.read() as tx:
            found = execution_rows.get(tx, execution_id)
        assert found is not None
        return found

    def ended(self, execution_id: ExecutionId, *, seconds: float = PATIENCE) -> Execution:
        """The execution once it has ended."""
        look = lambda: found if (found := self.execution(execution_id)).state in FINAL else None  # noqa: E731 - one line
        return until(look, seconds=seconds, told=lambda: (self.execution(execution_id), self.steps(execution_id)))

    def steps(self, execution_id: ExecutionId) -> list[StepRun]:
        """Every attempt of every step."""
        with self.store.read() as tx:
            return step_rows.of_execution(tx, execution_id)

    def step_states(self, execution_id: ExecutionId) -> list[tuple[str, int, str]]:
        """(step, attempt, state) of every attempt."""
        return [(run.name, run.attempt, run.state.value) for run in self.steps(execution_id)]

    def step_in(self, execution_id: ExecutionId, name: str, state: str) -> StepRun:
        """The step once its newest attempt is in `state`."""

        def look() -> StepRun | None:
            newest = [run for run in self.steps(execution_id) if run.name == name][-1:]
            return newest[0] if newest and newest[0].state == state else None

        return until(look, told=lambda: self.step_states(execution_id))

    def log(self, execution_id: ExecutionId) -> str:
        return "".join(text for _, text in executions.logs(self.platform, execution_id))

    def retry(self, execution_id: ExecutionId) -> ExecutionId:
        return executions.retry(self.platform, ME, execution_id)

    def resources(self) -> dict[str, Resource]:
        """Every resource by `type/id`, terminated ones included."""
        with self.store.read() as tx:
            ids = [ResourceId(value) for value in tx.connection.execute(text("select id from resources")).scalars()]
            return {str(found.key): found for found in resource_rows.by_ids(tx, ids).values()}

    def resource(self, key: str) -> Resource:
        return self.resources()[key]

    def resource_in(self, key: str, state: str, *, seconds: float = PATIENCE) -> Resource:
        """The resource once it is in `state` with nothing pending (unless it failed)."""

        def look() -> Resource | None:
            found = self.resources().get(key)
            if found is None or found.state != state:
                return None
            return found if state in {"failed", "blocked"} or found.pending is None else None

        return until(look, seconds=seconds, told=self.told)

    def settled(self, *, seconds: float = PATIENCE) -> dict[str, Resource]:
        """All resources once each is active, degraded, gone or failed, and nothing runs."""

        def look() -> dict[str, Resource] | None:
            found = self.resources()
            return found if self.idle() and not any(resource.in_progress for resource in found.values()) else None

        return until(look, seconds=seconds, told=self.told)

    def idle(self) -> bool:
        """Nothing is queued, at work or asleep."""
        with self.store.read() as tx:
            counts = execution_rows.counts(tx)
        return not any(counts.get(state, 0) for state in ("pending", "running", "waiting"))

    def told(self) -> object:
        """What stands, for the message of a failed test."""
        return [
            (str(r.key), r.state.value, r.pending, r.desired_generation, r.observed_generation, r.blocked_by, r.error)
            for r in self.resources().values()
        ]

    def retry_resource(self, key: str) -> None:
        resources.retry(self.platform, ME, self.resource(key).id)

    def events(self) -> list[Event]:
        with self.store.read() as tx:
            return events.listed(tx, limit=10_000)
