"""Many runs share few threads, whatever they do: compute, wait for their record, wait for the world."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.domain.execution import FINAL
from engine.store.database import Store, Transaction
from engine.store.executions import NewExecution, queue
from tests.support.platforms import (
    database_url,
    postgres_with_tables,
    running_platform,
    sqlite_with_tables,
    store,
    until,
)
from tests.support.providers import script, values, workflow, write_provider

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables", "store"]

CHAIN = workflow([values("one", a=1), values("two", b="{{ steps.one.outputs.a + 1 }}"), values("three", c=3)])


def provider(folder: Path) -> Path:
    meets = f"touch {folder}/$PARAM_ME; while [ ! -e {folder}/$PARAM_OTHER ]; do sleep 0.01; done"
    names = [{"name": "me", "type": "string"}, {"name": "other", "type": "string"}]
    golden = {
        "chain": CHAIN,
        "meet": workflow([script("meet", meets)], parameters=names),
        "mixed": workflow([values("before", a=1), values("more", b=2), script("acts", "true"), values("after", c=3)]),
        "long": workflow([values(f"s{number}", n=number) for number in range(150)]),
    }
    return write_provider(folder / "provider", golden=golden)


class Counting(Store):
    """A store that counts the transactions that write."""

    commits = 0

    @contextmanager
    def begin(self) -> Generator[Transaction]:
        with super().begin() as tx:
            yield tx
        self.commits += 1


def test_runs_that_go_on_side_by_side_share_their_commits(store: Store, tmp_path: Path) -> None:
    counting = Counting(store.engine, store.sealer)
    with running_platform(counting, tmp_path, [provider(tmp_path)], threads=100, sweep_seconds=60.0) as house:
        (team,) = house.platform.providers.registry.providers
        new = NewExecution(team.name, team.digest, "chain", "app", "user:me")
        with store.begin() as tx:
            ids = queue(tx, [new] * 100)
        before = counting.commits
        house.engine.nudge()
        assert {house.ended(execution_id).state.value for execution_id in ids} == {"succeeded"}
        assert counting.commits - before < 50, "a hundred executions were claimed and written"


def test_a_step_that_takes_its_time_keeps_nobody_else_waiting(store: Store, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider(tmp_path)], threads=3) as house:
        one = house.execute("meet", me="one", other="two")
        until((tmp_path / "one").exists)
        assert house.run("chain").state == "succeeded", "while the first one waits for the second"
        two = house.execute("meet", me="two", other="one")
        assert {house.ended(one).state.value, house.ended(two).state.value} == {"succeeded"}


def test_no_more_run_at_once_than_there_are_threads(store: Store, tmp_path: Path) -> None:
    with running_platform(store, tmp_path, [provider(tmp_path)], threads=2) as house:
        first = [house.execute("meet", me=name, other="go") for name in ("a", "b", "c")]
        until(lambda: len({f.name for f in tmp_path.iterdir()} & {"a", "b", "c"}) == 2)
        states = sorted(house.execution(execution_id).state.value for execution_id in first)
        assert states == ["pending", "running", "running"]
        (tmp_path / "go").touch()
        assert {house.ended(execution_id).state.value for execution_id in first} == {"succeeded"}


@pytest.mark.parametrize(
    ("path", "records"),
    [
        ("chain", 1),  # nothing but computing: one record says it all
        ("mixed", 2),  # what was computed is durable before the script begins; its end and the rest, when all is over
        ("long", 2),  # and a record never grows without bound
    ],
)
def test_steps_that_only_compute_share_a_record(store: Store, tmp_path: Path, path: str, records: int) -> None:
    with running_platform(store, tmp_path, [provider(tmp_path)]) as house:
        done = house.run(path)
        assert (done.state, done.sequence) == ("succeeded", records), done.error
        assert done.state in FINAL
        assert done.completed_steps == done.total_steps == len(house.steps(done.id))
