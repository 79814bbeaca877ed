"""Lists tell what the pages of the single things tell, and are asked for with few questions to the database."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.services import applications, resources, views
from tests.services.conftest import House
from tests.support.plans import recording
from tests.support.score import score

SHARED = {"type": "database", "id": "main"}


def one_of_each_kind(house: House, folder: Path) -> None:
    """Applications in every state, two of which share a resource, one of which names a resource twice."""
    flag = folder / "flag"
    frail = {"type": "fragile", "params": {"needs_file": str(flag)}}
    house.submit(score("active", one=SHARED, two=SHARED, cache="cache"))
    house.submit(score("broken", db=SHARED, frail={**frail, "id": "never"}))
    house.submit(score("gated", gate="gated"))
    house.submit(score("leaving", gate="gated"))
    needs = {"type": "fragile", "params": {"needs_file": str(flag), "note": "${resources.gate.seen}"}}
    house.submit(score("turning", gate={"type": "gated", "params": {"note": "one"}}, frail=needs))
    house.rest()
    house.open_gates()
    house.submit(score("turning", gate={"type": "gated", "params": {"note": "two"}}, frail=needs))
    house.submit(score("gated", gate={"type": "gated", "params": {"note": "again"}}))
    house.delete("leaving")
    house.submit(score("empty"))
    house.rest()


def test_the_list_of_applications_tells_of_each_what_its_own_page_tells(house: House, tmp_path: Path) -> None:
    one_of_each_kind(house, tmp_path)
    listed = [views.application(item) for item in applications.listed(house.platform).items]
    assert {row["name"]: row["status"] for row in listed} == {
        "active": "active",
        "broken": "failed",
        "gated": "in_progress",
        "leaving": "deleting",
        "turning": "in_progress",
        "empty": "active",
    }
    for row in listed:
        assert row == views.application(applications.get(house.platform, str(row["name"])))


def test_the_list_of_resources_tells_of_each_what_its_own_page_tells(house: House, tmp_path: Path) -> None:
    one_of_each_kind(house, tmp_path)
    found = resources.listed(house.platform).items
    assert {item.state.value for item in found} >= {"active", "failed", "blocked", "updating", "terminating"}
    for item in found:
        assert item == resources.get(house.platform, item.id).resource


def test_a_list_of_many_applications_asks_the_database_no_more_often_than_one_of_few(house: House) -> None:
    def asked(limit: int) -> int:
        with recording(house.platform.store) as sent:
            assert len(applications.listed(house.platform, limit=limit).items) == limit
        return len(sent)

    for number in range(6):
        house.submit(score(f"app-{number}", db="database"))
    house.rest()
    assert house.running.engine is not None
    house.running.engine.stop(grace=0)  # it asks questions of its own
    assert asked(6) == asked(2)


def test_a_database_without_applications_has_an_empty_list_of_them(house: House) -> None:
    assert applications.listed(house.platform).items == ()


@given(
    st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))))
    | st.datetimes(timezones=st.just(UTC))
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
)
def test_a_moment_is_shown_in_utc_to_the_millisecond(at: datetime) -> None:
    try:
        there = at.astimezone(UTC)
    except OverflowError:
        return
    assert views.moment(at) == there.replace(tzinfo=None).isoformat("T", "milliseconds") + "Z"
