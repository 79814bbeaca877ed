"""PostgreSQL falls down and comes back, ends connections, and keeps the outcome of commits to itself."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from engine.store.database import Store
from tests.chaos import history
from tests.chaos.fleet import Command, Worker, fleet
from tests.chaos.proxy import Proxy
from tests.chaos.workloads import LONG, PACE, SEED, Client, alive, house_provider, insist, seeded, verdict
from tests.support import servers
from tests.support.platforms import build_platform, create_tables, open_store, until
from tests.support.platforms_by_hand import reads, spec
from tests.support.postgres import PostgresServer


class Fragile:
    """A PostgreSQL with all its durability, which can be made to fall down."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.server = PostgresServer(servers.start("postgres", data, quick=False))
        self.away: list[tuple[float, float]] = []

    def fall(self) -> None:
        """As `pg_ctl stop -m immediate` and a start: no checkpoint, recovery from the log."""
        since = time.time()
        os.kill(self.server.server.pid, signal.SIGQUIT)
        until(lambda: not alive(self.server.server.pid), seconds=60)
        self.server.server = servers.start("postgres", self._data, quick=False)
        self.away.append((since, time.time()))

    def end_connections(self, url: str, dice: random.Random) -> int:
        """Each of the connections to the database with a probability of a third."""
        name = url.rpartition("/")[2]
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() ORDER BY pid"
        with psycopg.connect(self.server.conninfo(), autocommit=True) as connection:
            chosen = [row[0] for row in connection.execute(query, (name,)) if dice.random() < 1 / 3]
            return sum(bool(connection.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone()) for pid in chosen)


@pytest.fixture
def fragile() -> Iterator[Fragile]:
    data = Path(tempfile.mkdtemp(prefix="innominatus-chaos-"))
    try:
        yield Fragile(data)
    finally:
        servers.purge(data)
        shutil.rmtree(data, ignore_errors=True)


def test_a_database_that_falls_down_every_few_seconds_loses_and_repeats_nothing(
    fragile: Fragile, tmp_path: Path
) -> None:
    dice = seeded("database falls")
    url = fragile.server.database_url()
    create_tables(url)
    history.record(url)
    provider = house_provider(tmp_path)
    store = open_store(url)
    client = Client(build_platform(store, tmp_path, [provider]))
    asked = client.execute(count=10)
    client.submit(spec("shop", {"db": "1", "cache": "2", "app": reads("db", "cache")}))
    ended = 0
    with fleet(3, lambda: Command(url, tmp_path, provider)) as workers:
        client.wait(lambda: history.effects(tmp_path / "ledger"))
        while len(asked) < (2000 if LONG else 60):
            done = len(client.succeeded())
            fragile.fall()
            asked += client.execute(count=dice.randint(10, 25))  # they may be done before the last one is asked for
            client.wait(lambda done=done: len(client.succeeded()) > done + 5)
            ended += insist(lambda: fragile.end_connections(url, dice))
            asked += client.execute(count=5)
        client.wait(lambda: client.all_ended(asked))
        assert workers.deaths == 0, (tmp_path / "workers.log").read_text()[-5000:]
    store.close()
    assert (len(fragile.away) > 1, ended > 0) == (True, True)
    assert verdict(url, tmp_path, replace(PACE, away=tuple(fragile.away))) == []


def test_commits_whose_outcome_nobody_learns_happen_once(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    seeded("unknown commits")
    provider = house_provider(tmp_path)
    proxy = Proxy(recorded_url, seed=SEED, share=0.1)
    client = Client(build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=1000 if LONG else 30)
    client.submit(spec("shop", {"db": "1", "cache": "2", "app": reads("db", "cache")}))
    try:
        with fleet(2, lambda: Worker(proxy.url, tmp_path, provider)) as workers:
            client.wait(lambda: client.all_ended(asked))
            client.delete("shop")
            client.wait(lambda: {r.state.value for r in client.resources().values()} == {"terminated"})
            client.wait(lambda: not client.open())
            assert workers.deaths == 0
    finally:
        proxy.close()
    assert (proxy.unsent > 0, proxy.unanswered > 0) == (True, True)
    assert verdict(recorded_url, tmp_path) == []
