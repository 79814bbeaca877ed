"""Redis only carries hints: work goes on without it, whatever becomes of it."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.runtime.queue import Nudges, connect
from engine.runtime.signals import Elsewhere
from engine.store.database import Store
from tests.chaos.fleet import Command, fleet
from tests.chaos.workloads import LONG, Client, alive, house_provider, seeded, verdict
from tests.support import servers
from tests.support.platforms import House, build_platform, until


class Valkey:
    """A server that can be killed, stopped for a while, and started again at its port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._server = servers.start("valkey", data)

    @property
    def url(self) -> str:
        at = self._server
        return f"redis://{at.user}:{at.password}@{at.host}:{at.port}/0"

    def kill(self) -> None:
        os.kill(self._server.pid, signal.SIGKILL)
        until(lambda: not alive(self._server.pid))

    def start(self) -> None:
        self._server = servers.start("valkey", self._data)

    def pause(self) -> None:
        os.kill(self._server.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._server.pid, signal.SIGCONT)

    def flush(self) -> None:
        client = connect(self.url)
        client.flushall()  # pyright: ignore[reportUnknownMemberType] - redis leaves its options untyped
        client.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    data = Path(tempfile.mkdtemp(prefix="innominatus-chaos-"))
    try:
        yield Valkey(data)
    finally:
        servers.purge(data)
        shutil.rmtree(data, ignore_errors=True)


def through(nudges: Nudges, house: House) -> Client:
    """A client of an API process without an engine, which wakes the workers through Redis."""
    return Client(House(replace(house.platform, signals=Elsewhere(nudges)), house.engine))


def test_work_goes_on_while_redis_is_killed_flushed_and_paused(
    recorded_url: str, recorded_store: Store, valkey: Valkey, tmp_path: Path
) -> None:
    dice = seeded("redis")
    provider = house_provider(tmp_path)
    nudges = Nudges(valkey.url)
    nudges.start()
    client = through(nudges, build_platform(recorded_store, tmp_path, [provider]))
    asked = client.execute(count=5)
    harms = [(valkey.kill, valkey.start), (valkey.pause, valkey.go_on), (valkey.flush, valkey.flush)]
    with fleet(2, lambda: Command(recorded_url, tmp_path, provider, redis=valkey.url)) as workers:
        client.wait(lambda: client.all_ended(asked))
        for _ in range(20 if LONG else 1):
            dice.shuffle(harms)
            for harm, end in harms:
                harm()
                try:
                    during = client.execute(count=5)
                    client.wait(lambda during=during: client.all_of(during))
                finally:
                    end()
                after = client.execute(count=5)
                client.wait(lambda after=after: client.all_of(after))
        assert workers.deaths == 0
    nudges.stop()
    assert verdict(recorded_url, tmp_path) == []


def test_work_goes_on_with_a_redis_that_is_never_there(
    recorded_url: str, recorded_store: Store, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # a port on which nobody speaks Redis
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
    provider = house_provider(tmp_path)
    nudges = Nudges(url)
    nudges.start()
    client = through(nudges, build_platform(recorded_store, tmp_path, [provider]))
    with fleet(2, lambda: Command(recorded_url, tmp_path, provider, redis=url)) as workers:
        asked = client.execute(count=500 if LONG else 10)
        client.wait(lambda: client.all_ended(asked))
        assert workers.deaths == 0
    nudges.stop()
    assert verdict(recorded_url, tmp_path) == []
