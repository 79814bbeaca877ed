"""The database is away for a moment while an execution works."""

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.domain.execution import FINAL
from engine.store.away import DatabaseAway
from engine.store.database import Store, Transaction
from tests.support.platforms import open_store, running_platform, until
from tests.support.providers import script, values, workflow, write_provider


class Flaky(Store):
    """A store whose next readings fail as those of a database that is away."""

    failures = 0

    @contextmanager
    def read(self) -> Generator[Transaction]:
        self._fail()
        with super().read() as tx:
            yield tx

    @contextmanager
    def read_beside(self) -> Generator[Transaction]:
        self._fail()
        with super().read_beside() as tx:
            yield tx

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise DatabaseAway(Exception("the server closed the connection"))


@pytest.fixture
def flaky(sqlite_with_tables: Path, tmp_path: Path) -> Iterator[Flaky]:
    shutil.copyfile(sqlite_with_tables, tmp_path / "innominatus.db")
    plain = open_store(f"sqlite:///{tmp_path}/innominatus.db")
    yield Flaky(plain.engine, plain.sealer)
    plain.close()


def test_an_outage_between_two_steps_fails_nothing_and_no_step_runs_twice(flaky: Flaky, tmp_path: Path) -> None:
    waits = f"touch {tmp_path}/there; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    steps = [
        script("makes", f"echo one > it; echo x >> {tmp_path}/runs; {waits}", artifacts=["it"]),
        script("reads", "cat it"),
        values("after", a=1),
    ]
    provider = write_provider(tmp_path / "p", golden={"chain": workflow(steps)})
    with running_platform(flaky, tmp_path, [provider], sweep_seconds=60.0) as house:
        execution_id = house.execute("chain")
        until((tmp_path / "there").exists)
        flaky.failures = 1  # the next reading is the one of the artifacts
        (tmp_path / "go").touch()
        until(lambda: not flaky.failures)

        def taken_up() -> bool:
            house.engine.sweep()
            return house.execution(execution_id).state in FINAL

        until(taken_up)
        done = house.execution(execution_id)
        assert (done.state, done.fence) == ("succeeded", 2), done.error
        assert (tmp_path / "runs").read_text().split() == ["x"]
        assert house.log(execution_id).split() == ["one"]


def test_a_step_that_needs_its_providers_files_waits_for_the_database(flaky: Flaky, tmp_path: Path) -> None:
    golden = {"looks": workflow([script("looks", "ls $INNOMINATUS_BUNDLE")])}
    with running_platform(
        flaky, tmp_path, [write_provider(tmp_path / "p", golden=golden)], sweep_seconds=60.0
    ) as house:
        flaky.failures = 1  # the next reading is the one of the bundle: nothing of it is unpacked yet
        execution_id = house.execute("looks")
        until(lambda: not flaky.failures)
        done = house.ended(execution_id)
        assert (done.state, done.fence) == ("succeeded", 1), done.error
        assert "provider.yaml" in house.log(execution_id)


def test_an_engine_that_cannot_sweep_says_so_until_it_can(flaky: Flaky, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "p", golden={"chain": workflow([values("a", a=1)])})
    with running_platform(flaky, tmp_path, [provider], sweep_seconds=0.05, lease_seconds=0.5) as house:
        assert not house.engine.ailing
        flaky.failures = 1_000_000
        until(lambda: "last whole sweep" in house.engine.ailing)
        flaky.failures = 0
        until(lambda: not house.engine.ailing)


def test_an_engine_starts_though_the_database_is_away_for_a_moment(flaky: Flaky, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "p", golden={"chain": workflow([values("only", a=1)])})
    flaky.failures = 1  # the next reading is the one for the alarm
    with running_platform(flaky, tmp_path, [provider]) as house:
        assert flaky.failures == 0
        assert house.run("chain").state == "succeeded"
