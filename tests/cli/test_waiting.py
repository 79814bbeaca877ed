"""A start waits for the database, and says what it waits for."""

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cli import compose, server, waiting
from engine.config import Settings
from engine.errors import Unavailable
from engine.store import bundles, database, facts, schema
from engine.store.database import Transaction
from engine.store.sealing import Sealer
from tests.support.platforms import until
from tests.support.postgres import PostgresServer
from tests.support.served import Done, call, clean_environment, run

KEY = base64.urlsafe_b64encode(os.urandom(32)).decode()


def worker(folder: Path, url: str, **more: str) -> Done:
    env = {"INNOMINATUS_DATABASE_URL": url, "INNOMINATUS_SECRET_KEY": KEY, "INNOMINATUS_WAIT_SECONDS": "1", **more}
    return run("cli.server", "worker", "--data-dir", str(folder / "data"), env=env)


def away(*, passing: bool) -> Unavailable:
    return Unavailable("The database cannot be used.", code="database_unavailable", details={"passing": passing})


def test_a_database_that_comes_up_late_is_waited_for() -> None:
    answers = [away(passing=True), away(passing=True), None]
    seen = threading.Event()

    def look() -> None:
        if (error := answers.pop(0)) is not None:
            raise error
        seen.set()

    waiting.for_database(look, seconds=30)
    assert seen.is_set()


def test_a_database_that_falls_while_a_worker_starts_is_waited_for_too(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.upgrade(postgres_database)
    activate = bundles.activate
    falls = [True, True, False]

    def activate_in_a_fall(tx: Transaction, *rest: Any) -> int:
        if falls.pop(0):
            tx.connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return activate(tx, *rest)

    monkeypatch.setattr(bundles, "activate", activate_in_a_fall)
    running = compose.start(
        Settings(database_url=postgres_database, secret_key=SecretStr(KEY), data_dir=tmp_path, wait_seconds=30)
    )
    try:
        assert not falls
        assert running.platform.providers.registry.providers
    finally:
        running.close(grace=0)


@pytest.mark.parametrize(("passing", "seconds"), [(True, 0.0), (False, 3600.0)])
def test_one_that_does_not_come_up_or_refuses_for_good_is_not(*, passing: bool, seconds: float) -> None:
    def look() -> None:
        raise away(passing=passing)

    with pytest.raises(Unavailable):
        waiting.for_database(look, seconds=seconds)


def test_a_worker_without_its_database_says_so(tmp_path: Path) -> None:
    done = worker(tmp_path, "postgresql+psycopg://me:secret-word@127.0.0.1:1/none")
    assert done.code == 5
    assert "127.0.0.1" in done.err
    assert "secret-word" not in done.err + done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize("processes", [1, 2])
def test_a_worker_that_waits_for_its_database_ends_when_it_is_told_to(processes: int, tmp_path: Path) -> None:
    env = clean_environment(
        INNOMINATUS_DATABASE_URL="postgresql://me@127.0.0.1:1/none",
        INNOMINATUS_SECRET_KEY=KEY,
        INNOMINATUS_WAIT_SECONDS="3600",
        INNOMINATUS_GRACE_SECONDS="0",
        INNOMINATUS_LOG_FORMAT="json",
    )
    command = [sys.executable, "-m", "cli.server", "worker", "--processes", str(processes)]
    log = tmp_path / "worker.log"
    with log.open("wb") as told:
        process = subprocess.Popen([*command, "--data-dir", str(tmp_path / "data")], env=env, stderr=told)
    try:
        until(lambda: log.read_text().count('"database.awaited"') == processes, seconds=60, told=log.read_text)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert log.read_text().count('"worker.stopped"') == processes, "nobody had to be killed"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_postgresql_reaches_it(scheme: str, postgres_database: str, tmp_path: Path) -> None:
    url = postgres_database.replace("postgresql+psycopg", scheme)
    done = call(server.main, "migrate", "--data-dir", str(tmp_path), env={"INNOMINATUS_DATABASE_URL": url})
    assert (done.code, "up to date" in done.out) == (0, True), done.err


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:secret-word@host/x",
        "sqlite:///secret-word.db",
        "postgresql+psycopg2://me:secret-word@host/x",
        "me:secret-word@host/x",
        "postgresql://me:secret-word@host:port/x",
    ],
)
def test_a_url_of_nothing_we_can_use_is_refused_with_the_form_of_one(url: str, tmp_path: Path) -> None:
    done = call(server.main, "migrate", "--data-dir", str(tmp_path), env={"INNOMINATUS_DATABASE_URL": url})
    assert (done.code, "secret-word" in done.err) == (2, False)
    assert "INNOMINATUS_DATABASE_URL" in done.err
    assert "postgresql://user:password@host/database" in done.err


def test_a_wrong_password_is_not_waited_for(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.url("postgres").replace(postgres_server.server.password, "wrong")
    done = worker(tmp_path, url, INNOMINATUS_WAIT_SECONDS="3600")
    assert (done.code, "authentication failed" in done.err) == (5, True)


def test_a_database_without_tables_names_the_command(postgres_database: str, tmp_path: Path) -> None:
    done = worker(tmp_path, postgres_database)
    assert (done.code, "innominatus migrate" in done.err) == (5, True)


def test_a_key_that_the_database_was_not_made_with_is_refused(postgres_database: str, tmp_path: Path) -> None:
    schema.upgrade(postgres_database)
    store = database.open_store(postgres_database, Sealer(bytes(32)))
    with store.begin() as tx:
        facts.check_key(tx)
    store.close()
    done = worker(tmp_path, postgres_database)
    assert (done.code, "secret key" in done.err) == (5, True)
