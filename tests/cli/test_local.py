"""innominatus local: the database servers of a data directory, looked at, stopped and removed."""

import base64
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import compose, live, server
from cli.demo_house import House
from cli.exits import TERMINATED
from engine.config import Settings
from engine.errors import Conflict
from engine.store import schema
from tests.support import servers
from tests.support.served import Done, Served, call, start
from tests.support.stdio_client import Client


def local(command: str, data_dir: Path, *args: str) -> Done:
    return call(server.main, "local", command, "--data-dir", str(data_dir), *args)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory with both servers at work; as root, PostgreSQL's cluster lies elsewhere."""
    place = tmp_path / "data"
    home = place / "providers" / "local-team"
    home.mkdir(parents=True)
    (place / "innominatus.db").write_text("the platform's own")
    for kind in ("postgres", "valkey"):
        assert not silent(servers.start(kind, home).port)
    yield place
    if home.exists():
        servers.purge(home)


def ports(data_dir: Path) -> dict[str, int]:
    """Where servers listen that are at work."""
    found = servers.command("status", data_dir / "providers" / "local-team")
    return {name: server["port"] for name, server in found.items() if server["pid"]}


def cluster(data_dir: Path) -> Path:
    return Path((data_dir / "providers/local-team/postgres/location").read_text())


def silent(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_purging_asks_a_person_and_without_one_removes_nothing(data_dir: Path) -> None:
    before = ports(data_dir)
    done = local("purge", data_dir)
    assert (done.code, "--yes" in done.err) == (2, True)
    assert str(cluster(data_dir).parent) in done.out
    assert str(data_dir / "providers/local-team/valkey") in done.out
    assert ports(data_dir) == before


def test_purging_removes_the_servers_and_their_data_wherever_it_is_and_nothing_else(data_dir: Path) -> None:
    given, place = ports(data_dir), cluster(data_dir)
    done = local("purge", data_dir, "--yes")
    assert done.code == 0, done.err
    assert f"port {given['postgres']}" in done.out
    assert "postgres  removed" in done.out
    assert "valkey  removed" in done.out
    assert all(map(silent, given.values()))
    assert not place.parent.exists()
    assert list((data_dir / "providers/local-team").iterdir()) == []
    assert (data_dir / "innominatus.db").exists()
    assert "No servers" in local("purge", data_dir, "--yes").out


def test_nothing_is_purged_under_a_live_platform(served: Served) -> None:
    kept = served.data_dir / "providers" / "local-team" / "valkey"
    kept.mkdir(parents=True)
    done = local("purge", served.data_dir, "--yes")
    assert (done.code, "Stop it first" in done.err) == (4, True)
    assert kept.exists()
    shutil.rmtree(kept.parent)


def test_a_platform_that_stops_says_which_servers_go_on_and_how_to_stop_them(tmp_path: Path, provider: Path) -> None:
    platform = start(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    home = platform.data_dir / "providers" / "local-team"
    home.mkdir(parents=True)
    port = servers.start("valkey", home).port
    try:
        assert platform.stop() == 0
        said = (tmp_path / "data.log").read_text()
        assert f"go on: valkey (port {port})." in said
        program, *words = shlex.split(said.splitlines()[-1].rpartition(": ")[2])
        assert program == "innominatus"
        assert "valkey  stopped" in call(server.main, *words).out
    finally:
        servers.purge(home)


@pytest.mark.parametrize("how", ["its client leaves", "it is terminated"])
def test_an_mcp_server_that_ends_says_on_stderr_which_servers_go_on(how: str, tmp_path: Path, provider: Path) -> None:
    data = tmp_path / "data"
    with (tmp_path / "stderr").open("w+") as stderr:
        client = Client(data, stderr=stderr, INNOMINATUS_PROVIDERS=str(provider))
        home = data / "providers" / "local-team"
        home.mkdir(parents=True)
        port = servers.start("valkey", home).port
        try:
            assert client.tools() == 10
            assert client.process.stdin is not None
            assert client.process.stdout is not None
            if how == "its client leaves":
                client.process.stdin.close()
            else:
                client.process.terminate()
            assert client.process.stdout.read() == "", "stdout is the protocol's"
            assert client.leave() == (0 if how == "its client leaves" else TERMINATED)
            stderr.seek(0)
            said = stderr.read()
            assert f"go on: valkey (port {port})." in said
            assert said.count(f"innominatus local stop --data-dir {data}") == 1
        finally:
            servers.purge(home)


def test_an_mcp_server_whose_client_has_closed_everything_ends_well_although_nobody_hears_it(
    tmp_path: Path, provider: Path
) -> None:
    data = tmp_path / "data"
    client = Client(data, stderr=subprocess.PIPE, INNOMINATUS_PROVIDERS=str(provider))
    home = data / "providers" / "local-team"
    home.mkdir(parents=True)
    servers.start("valkey", home)
    try:
        assert client.process.stderr is not None
        client.process.stderr.close()
        assert client.leave() == 0
    finally:
        servers.purge(home)


def test_a_platform_that_stops_and_leaves_no_server_says_nothing(tmp_path: Path, provider: Path) -> None:
    platform = start(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    (platform.data_dir / "providers" / "local-team").mkdir(parents=True)
    assert platform.stop(signal.SIGINT) == 0
    assert "innominatus local" not in (tmp_path / "data.log").read_text()


def test_engines_on_one_postgresql_share_a_data_directory_that_nobody_has_alone_meanwhile(tmp_path: Path) -> None:
    first, second = (live.take_lock(tmp_path, shared=True) for _ in range(2))
    assert first is not None
    assert second is not None
    first.close()
    assert live.take_lock(tmp_path) is None
    with pytest.raises(Conflict, match="at work"), live.alone(tmp_path):
        pass
    second.close()
    with live.alone(tmp_path):
        assert live.take_lock(tmp_path, shared=True) is None


def test_an_engine_on_postgresql_holds_its_data_directory_too(tmp_path: Path, postgres_database: str) -> None:
    schema.upgrade(postgres_database)
    key = base64.urlsafe_b64encode(bytes(32)).decode()
    settings = Settings.model_validate({"data_dir": tmp_path, "database_url": postgres_database, "secret_key": key})
    engines = [compose.start(settings, run_engine=False) for _ in range(2)]
    with pytest.raises(Conflict, match="at work"), live.alone(tmp_path):
        pass
    for engine in engines:
        engine.close()
    with live.alone(tmp_path):
        pass


def test_the_demo_leaves_nothing_behind(data_dir: Path) -> None:
    given, place = ports(data_dir), cluster(data_dir)
    if os.geteuid() == 0:
        assert not place.is_relative_to(data_dir), "root's PostgreSQL cannot reach the folders of tests"
    House(data_dir).remove()
    assert all(map(silent, given.values()))
    assert not data_dir.exists()
    assert not place.parent.exists()


def test_a_demo_clears_away_what_an_earlier_one_left_running(data_dir: Path) -> None:
    given, place = ports(data_dir), cluster(data_dir)
    house = House.make(data_dir)
    assert house.data_dir == data_dir
    assert list(data_dir.iterdir()) == []
    assert all(map(silent, given.values()))
    assert not place.parent.exists()
