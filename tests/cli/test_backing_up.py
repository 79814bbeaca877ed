"""The database of a data directory as one file, taken while it is written to, and put back."""

import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cli import server
from engine.store import schema
from tests.support.platforms import until
from tests.support.served import Done, Served, call, score, start


def innominatus(*args: str, **env: str) -> Done:
    return call(server.main, *args, env=env)


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def platform(tmp_path: Path, provider: Path) -> Iterator[Served]:
    found = start(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    yield found
    if found.process.poll() is None:
        found.stop()


def test_a_backup_taken_under_load_is_whole_and_stands_where_it_was_taken(
    platform: Served, tmp_path: Path, provider: Path
) -> None:
    data, file = ("--data-dir", str(platform.data_dir)), tmp_path / "backup.db"
    platform.submit("before")
    stop = threading.Event()
    busy = threading.Thread(target=lambda: _keep_submitting(platform, stop))
    busy.start()
    try:
        done = innominatus("backup", str(file), *data)
    finally:
        stop.set()
        busy.join(60)
    assert (done.code, "secret.key" in done.out) == (0, True), done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    assert rows(file, "PRAGMA foreign_key_check") == []
    assert innominatus("backup", str(file), *data).code == 4, "a backup is never written over"
    platform.submit("after")
    assert innominatus("restore", str(file), "--yes", *data).code == 4, "not under a running platform"
    newest = max(run["id"] for run in platform.ctl("list-workflows", "-o", "json").json)
    platform.stop()

    restored = innominatus("restore", str(file), "--yes", *data)
    assert restored.code == 0, restored.err
    again = start(platform.data_dir, INNOMINATUS_PROVIDERS=str(provider))
    names = {item["name"] for item in again.ctl("list", "-o", "json").json}
    assert ("before" in names, "after" in names) == (True, False)
    assert "KEY=" in again.ctl("env", "before").out, "its secrets can be read"
    assert again.submit("new").code == 0
    assert max(run["id"] for run in again.ctl("list-workflows", "-o", "json").json) > newest + 1000, (
        "no number is given again"
    )
    again.stop()
    (kept,) = [found for found in platform.data_dir.glob("innominatus.db.replaced-*") if found.suffix != ".db"][:1]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert ("after",) in rows(kept, "select name from applications")


def _keep_submitting(platform: Served, stop: threading.Event) -> None:
    """Over REST: a command line in this process is nothing for two threads."""
    token = (platform.data_dir / "token").read_text().strip()
    with httpx2.Client(base_url=platform.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        turn = 0
        while not stop.is_set():
            turn += 1
            assert client.post("/api/applications", content=score(f"busy-{turn}")).status_code == 202


def test_what_ran_at_the_backup_goes_on_by_its_rules(platform: Served, tmp_path: Path, provider: Path) -> None:
    started = platform.ctl("run", "ask", "-o", "json").json["execution_id"]
    until(lambda: platform.ctl("workflow", str(started), "-o", "json").json["status"] == "waiting")
    file = tmp_path / "backup.db"
    assert innominatus("backup", str(file), "--data-dir", str(platform.data_dir)).code == 0
    platform.stop()
    other = tmp_path / "elsewhere"
    refused = innominatus("restore", str(file), "--yes", "--data-dir", str(other))
    assert (refused.code, "secret.key" in refused.err) == (5, True)
    assert not (other / "secret.key").exists(), "no key is made up"
    shutil.copy(platform.data_dir / "secret.key", other)
    assert innominatus("restore", str(file), "--yes", "--data-dir", str(other)).code == 0
    again = start(other, INNOMINATUS_PROVIDERS=str(provider))
    assert again.ctl("workflow", "continue", str(started), "-o", "json").code == 0
    until(lambda: again.ctl("workflow", str(started), "-o", "json").json["status"] == "succeeded")
    again.stop()


def test_what_is_no_backup_leaves_everything_as_it_was(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    assert innominatus("backup", str(tmp_path / "b"), *data).code == 5
    assert innominatus("migrate", *data).code == 0
    (tmp_path / "data" / "secret.key").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    database = tmp_path / "data" / "innominatus.db"
    before = database.read_bytes()
    broken, foreign, newer = tmp_path / "broken", tmp_path / "foreign.db", tmp_path / "newer.db"
    broken.write_bytes(b"no database at all" * 100)
    connection = sqlite3.connect(foreign)
    connection.execute("create table other (a)")
    connection.close()
    assert innominatus("backup", str(newer), *data).code == 0
    connection = sqlite3.connect(newer)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    for file, code in ((broken, 2), (foreign, 2), (newer, 4), (tmp_path / "absent", 3)):
        refused = innominatus("restore", str(file), "--yes", *data)
        assert (refused.code, ".restoring" in refused.err) == (code, False), file
        assert f"`{file}`" in refused.err, "the file that was given is named"
        assert database.read_bytes() == before
        assert {found.name for found in database.parent.iterdir()} <= {
            "innominatus.db", "innominatus.db-wal", "innominatus.db-shm", "secret.key", "engine.lock",
        }  # fmt: skip
    assert innominatus("restore", str(newer), *data).code == 2, "nobody agreed"
    assert innominatus("backup", str(tmp_path / "no" / "where"), *data).code == 5


def test_a_backup_of_another_key_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        served = start(tmp_path / name)
        served.stop()
    file = tmp_path / "backup.db"
    assert innominatus("backup", str(file), "--data-dir", str(tmp_path / "one")).code == 0
    refused = innominatus("restore", str(file), "--yes", "--data-dir", str(tmp_path / "two"))
    assert (refused.code, "secret.key" in refused.err) == (5, True)


def test_an_older_backup_is_brought_to_this_version(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    served = start(tmp_path / "data")
    served.stop()
    file = tmp_path / "backup.db"
    assert innominatus("backup", str(file), *data).code == 0
    schema.downgrade(f"sqlite:///{file}", "0003")
    assert innominatus("restore", str(file), "--yes", *data).code == 0
    assert "up to date" in innominatus("migrate", "--status", *data).out


def test_postgresql_has_programs_of_its_own(tmp_path: Path) -> None:
    env = {"INNOMINATUS_DATABASE_URL": "postgresql+psycopg://u@127.0.0.1:1/x"}
    for command in (("backup", str(tmp_path / "b")), ("restore", str(tmp_path / "b"), "--yes")):
        done = innominatus(*command, **env)
        assert (done.code, "pg_dump" in done.err) == (2, True)
    assert not list(tmp_path.iterdir())
