"""A limit over all workers holds for engines that claim whenever they can, also in the transactions that end runs."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.services import executions
from engine.store.database import Store
from tests.support.platforms import ME, House, open_store, running_platform
from tests.support.providers import script, values, workflow, write_provider

STEP = 'echo + >> "$PARAM_DIR/log"; sleep 0.02; echo - >> "$PARAM_DIR/log"'
DIR = [{"name": "dir", "type": "string", "required": True}]
GOLDEN = {
    "counted": workflow(
        [script("first", STEP), values("between", a=1), script("second", STEP)],
        parameters=DIR,
    ),
    "held": workflow([script("held", 'while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.02; done')], parameters=DIR),
}
MOST = 3


@contextmanager
def engines(database_url: str, tmp_path: Path, **changes: object) -> Generator[list[House]]:
    """Two engines where the database may have several, else one."""
    provider = write_provider(tmp_path / "provider", golden=GOLDEN)
    with ExitStack() as stack:
        made: list[House] = []
        for number in range(2 if database_url.startswith("postgresql") else 1):
            own = open_store(database_url)
            stack.callback(own.close)
            engine = running_platform(own, tmp_path / str(number), [provider], threads=6, **changes)
            made.append(stack.enter_context(engine))
        yield made


@pytest.fixture
def houses(store: Store, database_url: str, tmp_path: Path) -> Iterator[list[House]]:
    del store
    with engines(database_url, tmp_path, max_concurrent_workflows=MOST) as made:
        yield made


def test_never_more_than_the_limit_are_at_work_and_all_get_their_turn(houses: list[House], tmp_path: Path) -> None:
    ids = [house.execute("counted", dir=str(tmp_path)) for _ in range(12) for house in houses]
    for found in ids:
        assert houses[0].ended(found, seconds=60).state is ExecutionState.SUCCEEDED
    at_work, most = 0, 0
    for sign in (tmp_path / "log").read_text().split():
        at_work += 1 if sign == "+" else -1
        most = max(most, at_work)
    assert 1 < most <= MOST


@pytest.mark.parametrize("limit", ["max_concurrent_workflows", "max_concurrent_per_application"])
def test_what_waits_for_its_turn_is_cancelled_at_once(store: Store, tmp_path: Path, limit: str) -> None:
    provider = write_provider(tmp_path / "provider", golden=GOLDEN)
    with running_platform(store, tmp_path, [provider], **{limit: 1}) as house:
        at_work = house.execute("held", dir=str(tmp_path))
        house.step_in(at_work, "held", "running")
        queued = house.execute("held", dir=str(tmp_path))
        executions.cancel(house.platform, ME, queued)
        assert house.ended(queued).state == "cancelled"
        assert house.steps(queued) == []
        assert house.execution(at_work).state == "running"
        (tmp_path / "go").touch()
        assert house.ended(at_work).state == "succeeded"


def test_the_end_of_one_lets_the_next_of_its_application_begin_without_a_sweep(store: Store, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "provider", golden=GOLDEN)
    changes = {"threads": 6, "max_concurrent_per_application": 1, "sweep_seconds": 3600.0}
    with running_platform(store, tmp_path, [provider], **changes) as house:
        ids = [house.execute("counted", dir=str(tmp_path)) for _ in range(3)]
        assert {house.ended(found).state for found in ids} == {ExecutionState.SUCCEEDED}
    assert (tmp_path / "log").read_text().split() == ["+", "-"] * 6


@pytest.mark.parametrize("limit", ["max_concurrent_workflows", "max_concurrent_per_application"])
def test_also_one_that_another_engine_was_asked_for(
    store: Store, database_url: str, tmp_path: Path, limit: str
) -> None:
    del store
    with engines(database_url, tmp_path, sweep_seconds=3600.0, **{limit: 1}) as houses:
        at_work = houses[0].execute("held", dir=str(tmp_path))
        houses[0].step_in(at_work, "held", "running")
        queued = houses[-1].execute("counted", dir=str(tmp_path))
        (tmp_path / "go").touch()
        assert houses[0].ended(at_work).state is ExecutionState.SUCCEEDED
        assert houses[-1].ended(queued).state is ExecutionState.SUCCEEDED
