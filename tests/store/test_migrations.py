"""The history of the tables, on SQLite and PostgreSQL."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ProgrammingError

from engine.errors import Conflict, Unavailable
from engine.store import schema
from engine.store.database import open_engine
from engine.store.tables import metadata
from tests.support.postgres import PostgresServer

MakeUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeUrl]:
    """Makes empty databases of one kind; each call is another one."""
    made: list[str] = []
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")

    def make() -> str:
        made.append(server.database_url() if server else f"sqlite:///{tmp_path / f'{len(made)}.db'}")
        return made[-1]

    yield make
    if server:
        for url in made:
            server.drop(url.rpartition("/")[2])


@pytest.fixture
def engine(new_url: MakeUrl) -> Iterator[Engine]:
    engine = open_engine(new_url())
    yield engine
    engine.dispose()


def test_an_empty_database_is_told_to_migrate_and_then_is_right(engine: Engine) -> None:
    assert schema.current(engine) is None
    with pytest.raises(Unavailable, match="no tables yet") as raised:
        schema.check(engine)
    assert raised.value.code == "schema_missing"
    assert "innominatus migrate" in raised.value.hint

    schema.upgrade(engine)

    assert schema.current(engine) == schema.HEAD
    schema.check(engine)


def test_upgrading_again_changes_nothing_and_a_url_will_do(engine: Engine, new_url: MakeUrl) -> None:
    url = new_url()
    schema.upgrade(url)
    schema.upgrade(url)
    other = open_engine(url)
    schema.check(other)
    other.dispose()
    assert schema.current(engine) is None


def test_alembic_finds_no_difference_between_migrations_and_tables(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrated_and_created_tables_are_the_same_to_the_last_constraint(engine: Engine, new_url: MakeUrl) -> None:
    created = open_engine(new_url())
    metadata.create_all(created)
    schema.upgrade(engine)

    assert _shape(engine) == _shape(created)
    created.dispose()


def test_every_way_up_has_its_way_back(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        _insert_application(connection)

    schema.downgrade(engine, "base")

    assert schema.current(engine) is None
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    schema.upgrade(engine)
    schema.check(engine)


def test_migrations_are_numbered_in_sequence_and_the_code_expects_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]

    assert [script.revision for script in scripts] == [f"{n:04}" for n in range(1, len(scripts) + 1)]
    assert [script.down_revision for script in scripts] == [None, *(s.revision for s in scripts[:-1])]
    assert [Path(script.path).name[:5] for script in scripts] == [f"{script.revision}_" for script in scripts]
    assert scripts[-1].revision == schema.HEAD


def test_a_migration_that_fails_at_its_end_leaves_nothing_behind(engine: Engine) -> None:
    with engine.begin() as connection:  # takes a name that the last statements need
        connection.execute(sa.text("CREATE TABLE someone (a INTEGER)"))
        connection.execute(sa.text("CREATE INDEX ix_step_runs_waiting ON someone (a)"))

    with pytest.raises((Unavailable, ProgrammingError), match="ix_step_runs_waiting"):
        schema.upgrade(engine)

    assert sa.inspect(engine).get_table_names() == ["someone"]
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE someone"))
    schema.upgrade(engine)
    schema.check(engine)


def test_processes_that_migrate_at_once_take_turns(new_url: MakeUrl) -> None:
    url = new_url()
    code = f"from engine.store import schema; schema.upgrade({url!r})"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=_root()) for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in running]

    assert [process.returncode for process in running] == [0, 0, 0], errors
    engine = open_engine(url)
    schema.check(engine)
    engine.dispose()


def test_older_tables_name_the_command(engine: Engine) -> None:
    _pretend(engine, "0000")
    with pytest.raises(Unavailable, match=f"at version 0000; this innominatus needs {schema.HEAD}") as raised:
        schema.check(engine)
    assert raised.value.code == "schema_outdated"
    assert "innominatus migrate" in raised.value.hint
    assert raised.value.details == {"found": "0000", "expected": schema.HEAD}


@pytest.mark.parametrize("version", ["9999", "3f2a9c01d7bb", ""])
def test_tables_of_an_unknown_version_are_never_touched(engine: Engine, version: str) -> None:
    _pretend(engine, version)
    acts: list[Callable[[Engine], None]] = [
        schema.check,
        schema.upgrade,
        lambda engine: schema.downgrade(engine, "base"),
    ]
    for act in acts:
        with pytest.raises(Conflict, match="does not know") as raised:
            act(engine)
        assert raised.value.code == "schema_newer"
        assert schema.current(engine) == version


def test_a_revision_that_does_not_exist_is_refused_in_words(engine: Engine) -> None:
    with pytest.raises(Conflict, match="8888") as raised:
        schema.upgrade(engine, "8888")
    assert raised.value.code == "migration_refused"
    assert schema.current(engine) is None


def test_tables_of_another_program_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE events (happened TEXT)"))
    with pytest.raises(Conflict, match="`events`") as raised:
        schema.upgrade(engine)
    assert raised.value.code == "schema_foreign"
    assert sa.inspect(engine).get_table_names() == ["events"]


def test_a_server_that_does_not_answer_is_unavailable_and_its_password_is_not_shown() -> None:
    engine = open_engine("postgresql+psycopg://someone:hunter2@127.0.0.1:1/nowhere")
    for call in (schema.check, schema.upgrade):
        with pytest.raises(Unavailable, match="cannot be used") as raised:
            call(engine)
        assert raised.value.code == "database_unavailable"
        assert "hunter2" not in str(raised.value)
    engine.dispose()


@pytest.mark.parametrize("content", [b"this is no database " * 100, b""], ids=["text", "folder"])
def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "innominatus.db"
    path.write_bytes(content) if content else path.mkdir()
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(Unavailable, match=r"innominatus\.db cannot be used"):
        schema.check(engine)
    engine.dispose()


def test_checking_reads_while_a_writer_is_at_work(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        _insert_application(connection)
        schema.check(engine)


def test_checking_the_version_does_not_import_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'it.db'}"
    schema.upgrade(url)
    code = (
        "import sys; from engine.store import schema; from engine.store.database import open_engine; "
        f"schema.check(open_engine({url!r})); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    assert done.stdout == "False\n"


def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(tmp_path: Path) -> None:
    engine = _migrated_sqlite(tmp_path)
    with engine.connect() as connection, schema.exclusively(connection):
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("applications", recreate="always") as batch:
            batch.alter_column("team", server_default="nobody")

    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM specs")).scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_migration_that_leaves_dangling_rows_is_taken_back(tmp_path: Path) -> None:
    engine = _migrated_sqlite(tmp_path)
    with (
        pytest.raises(Conflict, match="first in `specs`"),
        engine.connect() as connection,
        schema.exclusively(connection),
    ):
        connection.execute(sa.text("DELETE FROM applications"))

    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM applications")).scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def _migrated_sqlite(tmp_path: Path) -> Engine:
    engine = open_engine(f"sqlite:///{tmp_path / 'it.db'}", pool_size=1)
    schema.upgrade(engine)
    with engine.begin() as connection:
        _insert_application(connection)
        connection.execute(
            sa.text(
                "INSERT INTO specs (application_id, version, source_sealed, digest, submitted_at) "
                "VALUES (1, 1, x'00', 'd', '2026-01-01')"
            )
        )
    return engine


def _insert_application(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO applications (name, environment, created_at, updated_at) "
            "VALUES ('shop', 'default', '2026-01-01', '2026-01-01')"
        )
    )


def _pretend(engine: Engine, version: str) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def _shape(engine: Engine) -> dict[str, Any]:
    """Everything that reflection tells about the tables, in an order of its own."""
    inspector = sa.inspect(engine)
    return {
        table: {
            "columns": [{**column, "type": repr(column["type"])} for column in inspector.get_columns(table)],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": _sorted(inspector.get_foreign_keys(table)),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "checks": _sorted(inspector.get_check_constraints(table)),
            "indexes": [
                {
                    **index,
                    "dialect_options": {key: str(value) for key, value in index.get("dialect_options", {}).items()},
                }
                for index in _sorted(inspector.get_indexes(table))
            ],
            "comment": inspector.get_table_comment(table) if engine.dialect.supports_comments else None,
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def _sorted(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda each: str(each["name"]))


def _root() -> Path:
    return Path(__file__).parents[2]
