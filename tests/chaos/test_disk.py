"""PostgreSQL's disk is full again and again, for every worker and every door at once."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.errors import Unavailable
from engine.services import executions, submissions
from engine.store.database import Store
from tests.chaos.fleet import Command, fleet
from tests.chaos.workloads import LONG, PACE, Client, house_provider, seeded, verdict
from tests.support.disks import FullPostgres
from tests.support.platforms import ME, build_platform, until
from tests.support.platforms_by_hand import reads, spec

SHOP = spec("shop", {"db": "1", "cache": "2", "app": reads("db", "cache")})


def told_to_send_it_again(client: Client) -> None:
    """Whoever asks for something is told that nothing was changed, and what to see to."""
    platform = client.house.platform
    for ask in (lambda: executions.execute(platform, ME, "mixed", {}), lambda: submissions.submit(platform, ME, SHOP)):
        with pytest.raises(Unavailable) as told:
            ask()
        assert told.value.details == {"outcome": "nothing_changed"}
        assert "its disk has room" in told.value.hint


def refused(disk: FullPostgres, count: int) -> None:
    """So many rows more, to whomever."""
    before = disk.refusals()
    until(lambda: disk.refusals() >= before + count, seconds=60)


def test_a_disk_that_is_full_again_and_again_loses_and_repeats_nothing(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    dice = seeded("disk full")
    hold = tmp_path / "hold"
    provider = house_provider(tmp_path, work=f"while [ -e {hold} ]; do sleep 0.05; done")
    disk = FullPostgres(recorded_store)
    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=5)
    client.submit(SHOP)
    away: list[tuple[float, float]] = []
    with fleet(3, lambda: Command(recorded_url, tmp_path, provider)) as workers:
        client.wait(lambda: client.all_of(asked))
        for _ in range(40 if LONG else 2):
            hold.touch()
            asked += client.execute(count=dice.randint(5, 15))
            client.wait(lambda: len(client.reasons(ExecutionState.RUNNING)) > 2)
            since = time.time()
            with disk.full():
                told_to_send_it_again(client)
                refused(disk, dice.randint(1, 15))
                hold.unlink()
                refused(disk, dice.randint(1, 45))
            away.append((since, time.time()))
            more = client.execute(count=5)
            client.wait(lambda more=more: client.all_of(more))
            asked += more
        client.wait(lambda: client.all_ended(asked))
        client.delete("shop")
        client.wait(lambda: {r.state.value for r in client.resources().values()} == {"terminated"})
        client.wait(lambda: not client.open())
        assert workers.deaths == 0, (tmp_path / "workers.log").read_text()[-5000:]
    assert len(client.succeeded()) >= len(asked)
    assert verdict(recorded_url, tmp_path, replace(PACE, away=tuple(away))) == []
