"""Old history goes, what somebody needs stays, and nothing that runs notices."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cli import server
from engine.domain.values import ExecutionId
from engine.errors import NotFound
from engine.services import applications, executions, overview, resources, retention
from engine.services.platform import Platform
from engine.store import bundles
from engine.store import executions as rows
from engine.store.tables import metadata
from tests.services.conftest import ME, Build, House
from tests.support import team
from tests.support.platforms import until
from tests.support.score import score
from tests.support.served import Done, call

DAY = 86_400.0
KEPT = 90 * DAY


def age(platform: Platform, days: int = 100) -> None:
    """As if all of this had happened so many days ago."""
    with platform.store.begin() as tx:
        for table in metadata.sorted_tables:
            moments = [column for column in table.c if isinstance(column.type, type(_A_MOMENT))]
            for column in moments:
                known: Any = tx.connection.execute(sa.select(*table.primary_key.columns, column)).all()
                for row in known:
                    if row[-1] is None:
                        continue
                    where = [key == value for key, value in zip(table.primary_key.columns, row, strict=False)]
                    moved = sa.update(table).where(*where).values({column: row[-1] - timedelta(days=days)})
                    tx.connection.execute(moved)


_A_MOMENT = metadata.tables["events"].c.at.type


def prune(house: House, *, trial: bool = False, batch: int = 7) -> dict[str, int]:
    return retention.prune(house.platform.store, older_than=KEPT, batch=batch, trial=trial)


def run(house: House, workflow: str, **inputs: str) -> ExecutionId:
    found = executions.execute(house.platform, ME, workflow, {**inputs})
    assert found is not None
    house.rest()
    return found


def ids(house: House) -> set[int]:
    return {found.id for found in executions.listed(house.platform, limit=200).items}


def deploy(house: House, name: str, *levels: str) -> None:
    for level in levels:
        house.submit(score(name, db={"type": "database", "params": {"size": int(level)}}))
        house.rest()


def test_what_is_old_goes_and_the_newest_of_each_resource_and_golden_path_stays(build: Build) -> None:
    house = build()
    deploy(house, "shop", "1", "2", "3")
    hellos = [run(house, "hello", name=name) for name in ("a", "b", "c")]
    asleep = run(house, "waiting")
    house.open_gates()
    asleep_still = run(house, "waiting")
    newest = {found.workflow_execution for found in _standing(house)}
    before = ids(house)
    totals = overview.of_platform(house.platform).totals
    age(house.platform)
    young = run(house, "hello", name="d")

    would = prune(house, trial=True)
    assert ids(house) == before | {young}
    gone = prune(house)
    assert {**gone, "graph_edges": 0, "graph_nodes": 0} == {**would, "graph_edges": 0, "graph_nodes": 0}
    left = ids(house)
    assert left >= newest | {young, asleep_still}
    assert not left & {*hellos, asleep}
    assert gone["executions"] == len(before - left) > 5
    assert gone["step_runs"] >= gone["executions"]
    assert gone["events"] > 10
    assert gone["graph_edges"] > 0

    again = prune(house)
    assert not any(again.values()), again
    for name, count in totals.items():
        assert overview.of_platform(house.platform).totals[name] >= count, "totals do not forget"
    assert all(details.transitions for details in _details(house)), "the last word about each resource stays"
    assert house.open_gates() == 1
    deploy(house, "shop", "4")
    assert house.status("shop") == "active"
    house.delete("shop")
    house.rest()
    with pytest.raises(NotFound):
        applications.get(house.platform, "shop")


class _Standing:
    def __init__(self, execution: int | None) -> None:
        assert execution is not None
        self.workflow_execution = execution


def _standing(house: House) -> list[_Standing]:
    return [_Standing(found.execution_id) for found in resources.listed(house.platform).items]


def _details(house: House) -> list[resources.ResourceDetails]:
    return [resources.get(house.platform, found.id) for found in resources.listed(house.platform).items]


def test_nothing_is_left_of_what_was_deleted_long_ago(build: Build) -> None:
    house = build()
    deploy(house, "gone", "1", "2")
    deploy(house, "stays", "1")
    house.delete("gone")
    house.rest()
    age(house.platform)
    would = prune(house, trial=True)
    gone = prune(house)
    assert (gone["resources"], gone["applications"], gone["specs"]) == (2, 1, 2)
    assert (would["resources"], would["applications"], would["specs"]) == (2, 1, 2)
    prune(house)
    with house.platform.store.read() as tx:
        for table, column in (("resources", "name"), ("applications", "name"), ("graph_nodes", "name")):
            left = tx.connection.execute(sa.text(f"select {column} from {table}")).scalars()
            assert not [name for name in left if "gone" in str(name)], table
    assert house.states("stays") == {"db": "active", "workload": "active"}
    deploy(house, "gone", "1")  # and comes back as if it had never been
    assert house.status("gone") == "active"


def test_an_execution_stays_with_what_it_called_and_goes_with_it(build: Build) -> None:
    house = build(engine=False)
    store = house.platform.store
    new = rows.NewExecution(provider="p", digest="d", workflow="parent", fair_key="run:parent", actor="user:me")

    def family(state: str) -> tuple[int, ...]:
        with store.begin() as tx:
            (parent,) = rows.queue(tx, [new])
            found = [parent]
            for depth in range(2):
                child = rows.NewExecution(
                    provider="p", digest="d", workflow="child", fair_key="k", actor="user:me",
                    parent_id=ExecutionId(found[-1]), parent_step=str(depth),
                )  # fmt: skip
                found += rows.queue(tx, [child])
            table = metadata.tables["executions"]
            tx.connection.execute(
                sa.update(table).where(table.c.id.in_(found)).values(state="succeeded", finished_at=tx.now)
            )
            tx.connection.execute(sa.update(table).where(table.c.id == found[-1]).values(state=state))
        return tuple(found)

    over, unfinished, newest = family("failed"), family("waiting"), family("succeeded")
    age(house.platform)
    assert prune(house, batch=1)["executions"] == 3
    assert ids(house) == {*unfinished, *newest}
    assert not ids(house) & {*over}


@contextmanager
def pruning(house: House, count: int) -> Generator[list[dict[str, int]]]:
    """Several who prune again and again meanwhile."""
    done: list[dict[str, int]] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            done.append(retention.prune(house.platform.store, older_than=0.0, batch=3))

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def test_several_may_prune_at_once_beside_a_live_engine(build: Build) -> None:
    house = build()
    with pruning(house, 2) as done:
        for turn in range(4):
            deploy(house, "shop", *map(str, range(turn + 1, turn + 3)))
            run(house, "hello", name="abcd"[turn])
        house.delete("shop")
        house.rest()
        run(house, "hello", name="last")
        until(lambda: len(done) > 4)
    retention.prune(house.platform.store, older_than=0.0, batch=100)
    counts = house.row_counts()
    assert (counts["resources"], counts["applications"], counts["executions"]) == (0, 0, 1)
    assert sum(found["executions"] for found in done) > 5
    deploy(house, "shop", "1")
    assert house.status("shop") == "active"


def test_bundles_that_nobody_can_need_go_and_come_back_when_somebody_starts_with_them(
    build: Build, tmp_path: Path
) -> None:
    old = team.write(tmp_path / "old", name="old-team")
    house = build(old, engine=False)
    (digest,) = [provider.digest for provider in house.platform.providers.registry.providers]
    new = team.write(tmp_path / "new", name="new-team")
    renewed = house.reopened(new)
    age(renewed.platform, days=100)
    assert prune(renewed, trial=True)["provider_bundles"] == 1
    gone = prune(renewed)
    assert (gone["provider_bundles"], gone["provider_generations"]) == (1, 1)
    with renewed.platform.store.read() as tx:
        assert bundles.get(tx, digest) is None
    assert not prune(renewed)["provider_bundles"]
    back = renewed.reopened(old)
    with back.platform.store.read() as tx:
        assert bundles.get(tx, digest) is not None
    back.running.close(grace=0)


def test_a_bundle_that_made_what_stands_stays(build: Build, tmp_path: Path) -> None:
    house = build(team.write(tmp_path / "old", name="old-team"))
    deploy(house, "shop", "1")
    renewed = house.reopened(team.write(tmp_path / "new", name="new-team"))
    age(renewed.platform)
    assert prune(renewed)["provider_bundles"] == 0
    renewed.delete("shop")
    renewed.rest()
    assert renewed.resources("shop") == {}
    renewed.running.close(grace=0)


def test_a_little_at_a_time_comes_to_the_same_and_then_rests(build: Build) -> None:
    house = build()
    for name in "abcdefg":
        run(house, "hello", name=name)
    age(house.platform)
    now = [0.0]
    little = retention.Retention(house.platform.store, days=90, batch=1, clock=lambda: now[0])
    little.turn()
    assert len(ids(house)) > 1
    for _ in range(20):
        little.turn()
    assert len(ids(house)) == 1
    run(house, "hello", name="d")
    age(house.platform)
    little.turn()
    assert len(ids(house)) == 2, "it rests"
    now[0] += 3601
    for _ in range(20):
        little.turn()
    assert len(ids(house)) == 1


def command(house: House, *args: str, typed: str | None = None) -> Done:
    """`innominatus prune` beside the running house."""
    settings = house.settings
    env = {
        "INNOMINATUS_DATABASE_URL": settings.database_url,
        "INNOMINATUS_SECRET_KEY": settings.secret_key.get_secret_value(),
        "INNOMINATUS_DATA_DIR": str(settings.data_dir),
    }
    return call(server.main, "prune", *args, env=env, typed=typed)


ONE_GOES = "  executions            1"


def test_the_command_prints_what_went_beside_a_running_platform(build: Build) -> None:
    house = build()
    for name in ("a", "b"):
        run(house, "hello", name=name)
    age(house.platform)
    cut_off = f"older than {datetime.now(UTC) - timedelta(days=90):%Y-%m-%d} "
    trial = command(house, "--older-than", "90d", "--dry-run")
    assert (trial.code, trial.out.splitlines()[1]) == (0, ONE_GOES)
    assert trial.out.startswith(f"Would be removed, {cut_off}")
    assert len(ids(house)) == 2
    done = command(house, "--older-than", "90d", "--batch", "5", "--yes")
    assert done.code == 0, done.err
    assert done.out.startswith(f"Removing what is {cut_off}")
    assert done.out.splitlines()[1:3] == ["Removed:", ONE_GOES]
    assert len(ids(house)) == 1


def test_a_person_is_shown_what_would_go_and_asked_before_it_does(build: Build) -> None:
    house = build()
    for name in ("a", "b"):
        run(house, "hello", name=name)
    age(house.platform)
    silent = command(house, "--older-than", "90d")
    assert (silent.code, "--yes" in silent.err, len(ids(house))) == (2, True, 2)
    refused = command(house, "--older-than", "90d", typed="n\n")
    assert (refused.code, len(ids(house))) == (1, 2)
    assert refused.out.startswith("Would be removed, older than 20")
    assert ONE_GOES in refused.out
    agreed = command(house, "--older-than", "90d", typed="y\n")
    assert (agreed.code, agreed.out.count(ONE_GOES), len(ids(house))) == (0, 2, 1)
    nothing = command(house, "--older-than", "90d")
    assert (nothing.code, nothing.err) == (0, ""), "there is nothing to ask about"


@pytest.mark.parametrize(("given", "hint"), [("90", "`90d`"), (" 1.5 ", "`1.5d`"), ("soon", "90d"), ("-1d", "90d")])
def test_an_age_without_a_unit_is_refused_and_not_taken_for_seconds(given: str, hint: str, tmp_path: Path) -> None:
    done = call(server.main, "prune", f"--older-than={given}", "--yes", "--data-dir", str(tmp_path))
    assert (done.code, hint in done.err) == (2, True)


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    done = call(server.main, "prune", "--older-than", "90d", "--yes", "--data-dir", str(tmp_path))
    assert done.code == 5
    assert list(tmp_path.iterdir()) == []
