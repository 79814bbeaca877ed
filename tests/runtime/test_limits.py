"""A limit over all workers holds for engines that claim whenever they can, also in the transactions that end runs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.store.database import Store
from tests.support.platforms import House, open_store, running_platform
from tests.support.providers import script, values, workflow, write_provider

STEP = 'echo + >> "$PARAM_DIR/log"; sleep 0.02; echo - >> "$PARAM_DIR/log"'
GOLDEN = {
    "counted": workflow(
        [script("first", STEP), values("between", a=1), script("second", STEP)],
        parameters=[{"name": "dir", "type": "string", "required": True}],
    )
}
MOST = 3


@pytest.fixture
def houses(store: Store, database_url: str, tmp_path: Path) -> Iterator[list[House]]:
    """Two engines where the database may have several, else one."""
    provider = write_provider(tmp_path / "provider", golden=GOLDEN)
    with ExitStack() as stack:
        made: list[House] = []
        for number in range(2 if database_url.startswith("postgresql") else 1):
            own = open_store(database_url)
            stack.callback(own.close)
            folder = tmp_path / str(number)
            engine = running_platform(own, folder, [provider], threads=6, max_concurrent_workflows=MOST)
            made.append(stack.enter_context(engine))
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
