"""What the page says about PostgreSQL, done with PostgreSQL's own programs; SQLite's part is run with all other pages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId
from engine.services import applications, executions
from tests.services.conftest import KEY, ME, Build, House, build, postgres_template, sqlite_template
from tests.support.console import CHECKOUT, blocks
from tests.support.postgres import PostgresServer
from tests.support.score import score
from tests.support.servers import SCRIPTS

__all__ = ["build", "postgres_template", "sqlite_template"]
PAGE = CHECKOUT / "docs" / "how-to" / "back-up-and-restore.md"


def programs() -> str:
    """The folder of the PostgreSQL that the tests' server comes from."""
    code = "import postgres_binaries; print(postgres_binaries.choose().folder)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def type_in(block: str, url: str, folder: Path) -> None:
    path = os.pathsep.join([programs(), str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {"PATH": path, "INNOMINATUS_DATABASE_URL": url, "INNOMINATUS_SECRET_KEY": KEY, "HOME": str(folder)}
    ours = {"INNOMINATUS_DATA_DIR": str(folder / "data"), "DATABASE": url.replace("+psycopg", "")}
    text = re.sub(r"^export DATABASE=.*$", "", block, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=folder,
        env={**given, **ours},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def restored(house: House, url: str) -> House:
    """Another platform, on what was restored."""
    house.settings = house.settings.model_copy(update={"database_url": url})
    return house.reopened(Path(house.settings.providers))


@pytest.mark.parametrize("build", ["postgresql"], indirect=True)
def test_postgresql_comes_back_with_what_ran_and_no_number_is_given_again(
    build: Build, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    backup, restore = [block for block in blocks(PAGE, "sh") if "DATABASE" in block]
    house = build()
    house.submit(score("shop", db="database"))
    waiting = executions.execute(house.platform, ME, "waiting", {})
    house.rest()
    type_in(backup, house.settings.database_url, tmp_path)
    house.submit(score("later"))
    house.rest()
    newest = max(run.id for run in executions.listed(house.platform).items)

    empty = postgres_server.database_url()
    try:
        type_in(restore, empty, tmp_path)
        again = restored(house, empty)
        assert again.status("shop") == "active"
        assert [view.application.name for view in applications.listed(again.platform).items] == ["shop"]
        assert again.open_gates() == 1
        assert waiting is not None
        run = executions.get(again.platform, ExecutionId(waiting)).execution
        assert run.state is ExecutionState.SUCCEEDED
        again.submit(score("new"))
        again.rest()
        assert max(run.id for run in executions.listed(again.platform).items) > newest
        again.running.close(grace=0)
    finally:
        postgres_server.drop(empty.rpartition("/")[2])
