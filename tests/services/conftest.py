"""A running platform per test, over SQLite and over PostgreSQL, with the provider of `tests.support.team`."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, func, or_, select

from cli import compose
from engine.config import Settings
from engine.domain.resource import Resource
from engine.domain.values import Actor, ActorKind
from engine.errors import NotFound
from engine.services import applications, deletions, executions, submissions
from engine.services.platform import Platform
from engine.services.submissions import Submission
from engine.store import schema
from engine.store.tables import executions as executions_table
from engine.store.tables import metadata
from engine.store.types import database_now
from tests.support import team
from tests.support.postgres import PostgresServer

ME = Actor(ActorKind.USER, "me")
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_SECONDS = 8.0


def actions(made: Submission) -> dict[str, str]:
    """What its plan does, by the resource's name in the spec."""
    assert made.plan is not None
    return {item.name: item.action.value for item in made.plan.items}


def reasons(made: Submission) -> dict[str, str]:
    assert made.plan is not None
    return {item.name: item.reason for item in made.plan.items}


@dataclass
class House:
    """A platform with its engine, and the few sentences that tests say about it."""

    running: compose.Running
    settings: Settings

    @property
    def platform(self) -> Platform:
        return self.running.platform

    def submit(self, source: str, *, environment: str | None = None, prune: bool = False) -> Submission:
        return submissions.submit(self.platform, ME, source, environment=environment, prune=prune)

    def plan(self, source: str, *, environment: str | None = None, prune: bool = False) -> Submission:
        return submissions.submit(self.platform, ME, source, environment=environment, prune=prune, dry_run=True)

    def delete(self, name: str, *, environment: str = "default") -> Submission:
        return deletions.delete(self.platform, ME, name, environment=environment)

    def rest(self) -> None:
        """Return once nothing runs or is ready: all that is left waits for a person, or for what waits for one."""
        deadline = time.monotonic() + _SECONDS
        never = threading.Event()
        while busy := self._busy():
            assert time.monotonic() < deadline, f"executions {busy} do not come to a rest"
            never.wait(0.004)

    def _busy(self) -> list[int]:
        ready = executions_table.c.ready_at <= database_now()
        at_work = executions_table.c.state.in_(["pending", "running"])
        query = select(executions_table.c.id).where(or_(at_work, (executions_table.c.state == "waiting") & ready))
        with self.platform.store.read() as tx:
            return list(tx.connection.execute(query).scalars())

    def resources(self, name: str, *, environment: str = "default") -> dict[str, Resource]:
        """The resources of an application by their names; none when it is gone."""
        try:
            view = applications.get(self.platform, name, environment=environment)
        except NotFound:
            return {}
        return {resource.name: resource for resource in view.resources}

    def status(self, name: str, *, environment: str = "default") -> str:
        return applications.get(self.platform, name, environment=environment).status

    def states(self, name: str, *, environment: str = "default") -> dict[str, str]:
        return {found: r.state.value for found, r in self.resources(name, environment=environment).items()}

    def open_gates(self) -> int:
        """Continue everything that waits for a person, and rest; returns how many gates that were."""
        opened = 0
        for run in executions.listed(self.platform, state="waiting", limit=200).items:
            executions.resume(self.platform, ME, run.id, "gate")
            opened += 1
        self.rest()
        return opened

    def row_counts(self) -> dict[str, int]:
        with self.platform.store.read() as tx:
            return {
                table.name: tx.connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    def reopened(self, *folders: Path) -> "House":
        """The same data under other providers."""
        self.running.close(grace=0)
        settings = self.settings.model_copy(update={"providers": ":".join(map(str, folders))})
        return House(compose.start(settings), settings)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated database to copy."""
    url = postgres_server.database_url()
    engine = create_engine(url)
    schema.upgrade(engine)
    engine.dispose()
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("template") / "innominatus.db"
    engine = create_engine(f"sqlite:///{path}")
    schema.upgrade(engine)
    engine.dispose()
    return path.read_bytes()


Build = Callable[..., House]


@pytest.fixture(params=["sqlite", "postgresql"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Build]:
    """Makes the house of a test: `build(folders..., engine=True)`."""
    houses: list[House] = []
    dropped: list[Callable[[], None]] = []

    def make(*folders: Path, engine: bool = True, threads: int = 4) -> House:
        data = tmp_path / "data"
        data.mkdir()
        url = ""
        if request.param == "sqlite":
            (data / "innominatus.db").write_bytes(request.getfixturevalue("sqlite_template"))
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url = server.database_url(template=request.getfixturevalue("postgres_template"))
            dropped.append(lambda: server.drop(url.rpartition("/")[2]))
        settings = Settings(
            data_dir=data,
            database_url=url,
            secret_key=SecretStr(KEY),
            providers=":".join(map(str, folders or (team.write(tmp_path / "team"),))),
            threads=threads,
            health_seconds=0,
            grace_seconds=0,
        )
        house = House(compose.start(settings, run_engine=engine), settings)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.running.close(grace=0)
    for drop in dropped:
        drop()


@pytest.fixture
def house(build: Build) -> House:
    return build()
