"""One engine per test module, around the workflows that the module names."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.platforms import (
    House,
    database_url,
    open_store,
    postgres_with_tables,
    running_platform,
    sqlite_with_tables,
    store,
)
from tests.support.providers import write_provider

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables", "store"]


@pytest.fixture(scope="module")
def house(
    request: pytest.FixtureRequest, sqlite_with_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A platform at work with the module's GOLDEN paths, KINDS of resources and their WORKFLOWS, on SQLite."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copyfile(sqlite_with_tables, folder / "innominatus.db")
    told = cast("dict[str, Any]", vars(request.module))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] # pytest does not say what a module is
    provider = write_provider(
        folder / "provider", golden=told["GOLDEN"], kinds=told.get("KINDS"), workflows=told.get("WORKFLOWS")
    )
    made = open_store(f"sqlite:///{folder}/innominatus.db")
    with running_platform(made, folder, [provider], **told.get("SETTINGS", {})) as running:
        yield running
    made.close()
