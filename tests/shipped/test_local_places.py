"""Real resources of local-team, seen by an engine with another data directory: it touches none and makes no second."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from engine.services import resources
from tests.shipped.steps import PROVIDERS
from tests.support import servers
from tests.support.platforms import (
    ME,
    House,
    database_url,
    open_store,
    postgres_with_tables,
    running_platform,
    sqlite_with_tables,
    until,
)

__all__ = ["database_url", "postgres_with_tables", "sqlite_with_tables"]

NAMES = {"db": "postgres/shop.db", "cache": "redis/shop.cache", "code": "git-repository/shop.code"}
WORKLOAD = "workload/shop"


def spec(*, limit: int = 5, about: str = "shop", image: str = "v1") -> str:
    return (
        f"apiVersion: score.dev/v1b1\nmetadata: {{name: shop}}\ncontainers: {{main: {{image: {image}}}}}\nresources:\n"
        f"  db: {{type: postgres, params: {{connection_limit: {limit}}}}}\n  cache: {{type: redis}}\n"
        f"  code: {{type: git-repository, params: {{description: {about}}}}}\n"
    )


class Town:
    """One database; `home` and `away` are the data directories of two engines, which run one at a time."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    @contextmanager
    def at(self, place: str, *, health: float = 0.0) -> Generator[House]:
        store = open_store(self.url)
        try:
            with running_platform(
                store, self.folder / place, [PROVIDERS / "local-team"], health_seconds=health
            ) as house:
                yield house
        finally:
            store.close()

    def kept(self, place: str) -> Path:
        return self.folder / place / "providers" / "local-team"


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[Town]:
    made = Town(database_url, tmp_path)
    made.kept("home").mkdir(parents=True)
    servers.start("postgres", made.kept("home"))
    yield made
    for place in ("home", "away"):
        servers.purge(made.kept(place))


def refused(house: House, key: str, verb: str) -> None:
    error = house.resource_in(key, "failed").error
    assert f"`{key}` lives in the data directory" in error
    assert f"cannot be {verb} from here" in error


def check_of(house: House, key: str) -> str:
    """What a failed health check of the resource said."""
    about = house.resource(key).id
    told = until(lambda: [event for event in house.events() if event.resource_id == about and event.data.get("error")])
    return str(told[0].data["error"])


def test_no_resource_is_checked_changed_or_deleted_in_another_place(town: Town) -> None:
    with town.at("home") as house:
        house.submit(spec())
        house.resource_in(WORKLOAD, "active", seconds=60)
        made = house.resource(NAMES["db"]).outputs
    with town.at("away", health=0.05) as house:
        for key in (*NAMES.values(), WORKLOAD):
            assert f"`{key}` lives in the data directory" in check_of(house, key)
            assert house.resource(key).state == "active"
    with town.at("away") as house:
        house.submit(spec(limit=7, about="changed"))
        refused(house, NAMES["db"], "changed")
        refused(house, NAMES["code"], "changed")
    with town.at("home") as house:
        for name in ("db", "code"):
            house.retry_resource(NAMES[name])
            house.resource_in(NAMES[name], "active")
    with town.at("away") as house:
        house.submit(spec(limit=7, about="changed", image="v2"))
        refused(house, WORKLOAD, "changed")
        house.delete("shop")
        refused(house, WORKLOAD, "deleted")
        resources.resolve(house.platform, ME, house.resource(WORKLOAD).id, as_="gone")
        for key in NAMES.values():
            refused(house, key, "deleted")
    assert not town.kept("away").exists(), "nothing was made there, no second server started"
    with psycopg.connect(
        host=str(made["host"]), port=str(made["port"]), user=str(made["username"]), password=str(made["password"]),
        dbname=str(made["database"]),
    ) as connection:  # fmt: skip
        limit = connection.execute("SELECT datconnlimit FROM pg_database WHERE datname = current_database()")
        assert limit.fetchone() == (7,), "it was changed at home"
    with town.at("home") as house:
        for key in NAMES.values():
            house.retry_resource(key)
            house.resource_in(key, "terminated")


def test_another_place_makes_its_own(town: Town) -> None:
    with town.at("away") as house:
        house.submit(spec().replace("shop", "stall"))
        house.resource_in("workload/stall", "active", seconds=60)
        house.delete("stall")
        house.resource_in("postgres/stall.db", "terminated")
