"""What a local provider makes lives in one data directory: engines that have another one leave it alone."""

import os
import shutil
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.resource import Resource
from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.runtime.places import Places
from engine.services import executions, resources
from engine.store.database import Store
from tests.support.platforms import ME, House, build_platform, open_store, running_platform, until
from tests.support.providers import kind, script, workflow, write_provider

CARD = "card/shop.card"
HERE = 'cd "$INNOMINATUS_PROVIDER_DATA"'
MARK = 'echo "$PARAM_OPERATION" >> ../../effects'
TEXT = [{"name": "text", "type": "string", "default": ""}]
WORKFLOWS = {
    "write": workflow([script("writes", f'{HERE}; {MARK}; echo "$PARAM_TEXT" > card')], parameters=TEXT),
    "look": workflow([script("looks", f"{HERE}; test -e card", idempotent=True)]),
    "remove": workflow([script("removes", f"{HERE}; {MARK}; rm -f card")]),
    "fail": workflow([script("fails", f"{HERE}; {MARK}; touch half; test -e ../../may")]),
    "half": workflow([script("first", f"{HERE}; touch half"), script("second", f"{HERE}; {MARK}; test -e ../../may")]),
}
KINDS = {
    "card": kind("write", update="write", delete="remove", read="look", local=True),
    "remote": kind("write", update="write", delete="remove", read="look"),
    "fragile": kind("fail", delete="remove", local=True),
    "slow": kind("half", delete="remove", local=True),
    "workload": kind("noop", update="noop"),
}


def spec(text: str = "hello", *, kinds: str = "card") -> str:
    lines = ["apiVersion: score.dev/v1b1", "metadata: {name: shop}", "containers: {main: {image: v1}}", "resources:"]
    return "\n".join([*lines, *(f"  {kind}: {{type: {kind}, params: {{text: '{text}'}}}}" for kind in kinds.split())])


@dataclass(frozen=True)
class Town:
    """One database, and engines with data directories of their own; `at` runs one of them alone."""

    url: str
    folder: Path
    provider: Path

    @contextmanager
    def at(self, place: str, **settings: object) -> Generator[House]:
        folder = self.folder / place
        folder.mkdir(exist_ok=True)
        store = open_store(self.url)
        try:
            with running_platform(store, folder, [self.provider], **settings) as house:
                yield house
        finally:
            store.close()

    def card(self, place: str) -> Path:
        return self.folder / place / "providers" / "engine-team" / "card"

    def effects(self, place: str) -> list[str]:
        """The operations that were carried out in a place."""
        file = self.folder / place / "effects"
        return file.read_text().split() if file.exists() else []

    def made(self, text: str = "hello", *, kinds: str = "card") -> None:
        """Deployed by the engine at `home`."""
        with self.at("home") as house:
            house.submit(spec(text, kinds=kinds))
            for name in kinds.split():
                house.resource_in(f"{name}/shop.{name}", "active")


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Town:
    return Town(database_url, tmp_path, write_provider(tmp_path / "team", kinds=KINDS, workflows=WORKFLOWS))


def refused(resource: Resource, town: Town, verb: str) -> None:
    """The message says where it lives, where we are, and what to do."""
    assert f"`{resource.key}` lives in the data directory `{town.folder / 'home'}` on `{os.uname().nodename}`" in (
        resource.error
    )
    assert f"cannot be {verb} from here, the data directory `{town.folder / 'away'}`" in resource.error
    assert f"INNOMINATUS_DATA_DIR={town.folder / 'home'}" in resource.error
    assert f"innominatus-ctl resource retry {resource.id}`" in resource.error
    assert f"innominatus-ctl resource resolve {resource.id} --as gone`" in resource.error


def test_a_deletion_in_another_place_fails_at_once_and_succeeds_at_home(town: Town) -> None:
    town.made()
    with town.at("away") as house:
        house.delete("shop")
        refused(house.resource_in(CARD, "failed"), town, "deleted")
    assert town.card("home").exists()
    assert town.effects("away") == []
    with town.at("home") as house:
        house.retry_resource(CARD)
        house.resource_in(CARD, "terminated")
    assert not town.card("home").exists()


def test_an_update_in_another_place_fails_at_once_and_succeeds_at_home(town: Town) -> None:
    town.made()
    with town.at("away") as house:
        house.submit(spec("changed"))
        refused(house.resource_in(CARD, "failed"), town, "changed")
        assert house.steps(house.resource(CARD).execution_id or ExecutionId(0)) == []
    assert town.effects("away") == []
    with town.at("home") as house:
        house.retry_resource(CARD)
        house.resource_in(CARD, "active")
    assert town.card("home").read_text() == "changed\n"


def test_a_check_from_another_place_says_nothing_about_the_resource(town: Town) -> None:
    town.made()
    with town.at("away", health_seconds=0.05) as house:
        told = until(lambda: [event for event in house.events() if event.kind == "execution.failed"])
        assert "cannot be checked from here" in str(told[0].data["error"])
        assert house.resource(CARD).state == "active"
    town.card("home").unlink()
    with town.at("home", health_seconds=0.05) as house:
        house.resource_in(CARD, "degraded")
    with town.at("away", health_seconds=0.05) as house:
        until(lambda: len([event for event in house.events() if event.kind == "execution.failed"]) > len(told) + 1)
        assert house.resource(CARD).state == "degraded"


def test_what_is_reached_over_the_network_is_worked_on_from_anywhere(town: Town) -> None:
    town.made(kinds="remote")
    with town.at("away") as house:
        house.submit(spec("changed", kinds="remote"))
        until(lambda: town.effects("away") == ["update"])
        house.resource_in("remote/shop.remote", "active")
        house.delete("shop")
        house.resource_in("remote/shop.remote", "terminated")


def test_a_person_says_that_it_is_gone_and_another_place_makes_its_own(town: Town) -> None:
    town.made()
    with town.at("away") as house:
        house.submit(spec("changed"))
        failed = house.resource_in(CARD, "failed")
        resources.resolve(house.platform, ME, failed.id, as_="gone")
        house.submit(spec("anew"))
        house.resource_in(CARD, "active")
        assert town.card("away").read_text() == "anew\n"
        house.delete("shop")
        house.resource_in(CARD, "terminated")


def test_what_a_failed_create_left_is_removed_where_it_was_made(town: Town) -> None:
    with town.at("home") as house:
        house.submit(spec(kinds="fragile"))
        house.resource_in("fragile/shop.fragile", "failed")
    with town.at("away") as house:
        house.delete("shop")
        refused(house.resource_in("fragile/shop.fragile", "failed"), town, "deleted")


def test_a_create_that_failed_is_begun_anew_in_another_place(town: Town) -> None:
    with town.at("home") as house:
        house.submit(spec(kinds="fragile"))
        house.resource_in("fragile/shop.fragile", "failed")
    (town.folder / "away").mkdir()
    (town.folder / "away/may").touch()
    with town.at("away") as house:
        house.retry_resource("fragile/shop.fragile")
        house.resource_in("fragile/shop.fragile", "active")
        house.delete("shop")
        house.resource_in("fragile/shop.fragile", "terminated")


def test_a_create_that_is_half_done_is_not_completed_in_another_place(town: Town) -> None:
    with town.at("home") as house:
        house.submit(spec(kinds="slow"))
        house.resource_in("slow/shop.slow", "failed")
    with town.at("away") as house:
        house.retry_resource("slow/shop.slow")
        refused(house.resource_in("slow/shop.slow", "failed"), town, "completed")
    assert town.effects("away") == []


def test_a_create_that_began_nothing_ties_the_resource_to_no_place(town: Town, store: Store) -> None:
    asleep = build_platform(store, town.folder / "asleep", [town.provider])
    asleep.submit(spec())
    executions.cancel(asleep.platform, ME, asleep.resource(CARD).execution_id or ExecutionId(0))
    with town.at("away") as house:
        assert house.resource_in(CARD, "failed").reason == "cancelled"
    with town.at("home") as house:
        house.delete("shop")
        house.resource_in(CARD, "terminated")


def test_a_data_directory_that_moved_is_the_same_place(town: Town) -> None:
    town.made()
    (town.folder / "home").rename(town.folder / "moved")
    with town.at("moved") as house:
        house.delete("shop")
        house.resource_in(CARD, "terminated")
    assert not town.card("moved").exists()


def test_a_data_directory_that_was_emptied_is_another_place_and_the_message_says_so(town: Town) -> None:
    town.made()
    shutil.rmtree(town.folder / "home")
    with town.at("home") as house:
        house.delete("shop")
        failed = house.resource_in(CARD, "failed")
    assert f"an earlier data directory `{town.folder / 'home'}`, which has been replaced since" in failed.error
    assert "Put the earlier one back" in failed.error


def test_a_resource_of_before_belongs_where_its_check_finds_it(town: Town, store: Store) -> None:
    town.made()
    with store.begin() as tx:
        tx.connection.execute(sa.text("update resources set place = ''"))
    with town.at("home", health_seconds=0.05) as house:
        until(lambda: house.resource(CARD).place)
    with town.at("away") as house:
        house.delete("shop")
        refused(house.resource_in(CARD, "failed"), town, "deleted")


def test_processes_that_start_at_once_agree_on_the_place_and_its_marker_is_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(Places(tmp_path).here) for _ in range(40)]
        found = {future.result().id for future in asked}
    assert len(found) == 1
    marker = tmp_path / "providers/.place"
    assert stat.S_IMODE(marker.stat().st_mode) == 0o600
    assert Places(tmp_path).here().id in found


def test_a_marker_that_a_full_disk_left_empty_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers/.place").touch()
    made = Places(tmp_path).here()
    assert len(made.id) == 32
    assert Places(tmp_path).here() == made


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "providers").write_text("a file")
    with pytest.raises(Unavailable) as told:
        Places(tmp_path).here()
    assert str(tmp_path / "providers") in told.value.message
