"""What health checks leave in the timeline: a fault and its end, and nothing while all is well."""

from pathlib import Path

import pytest

from engine.domain.event import Event
from engine.store import repair
from engine.store.database import Store
from tests.support.platforms_by_hand import ByHand, by_hand, spec

THING = "thing/app.aa"


@pytest.fixture
def hand(store: Store, tmp_path: Path) -> ByHand:
    made = by_hand(store, tmp_path)
    made.submit(spec("app", {"aa": "1"}))
    made.finish_all({"value": "x"})
    return made


def checked(hand: ByHand, how: str) -> list[Event]:
    """The events of one health check that ends in this way."""
    known = {event.id for event in hand.house.events()}
    with hand.house.store.begin() as tx:
        assert repair.queue_health_checks(tx, older_than=0, choose=hand.house.platform.providers.choose, limit=10) == 1
    assert hand.take() == [f"read {THING}"]
    hand.end(THING, how)
    return [event for event in hand.house.events() if event.id not in known]


def test_a_good_health_check_leaves_no_event(hand: ByHand) -> None:
    assert checked(hand, "succeeded") == []
    assert hand.resource(THING).state == "active"
    assert checked(hand, "succeeded") == []


def test_a_bad_health_check_leaves_its_execution_and_the_change_of_state(hand: ByHand) -> None:
    events = checked(hand, "failed")
    assert sorted(event.kind for event in events) == ["execution.failed", "resource.degraded"]
    assert all(event.resource_id == hand.resource(THING).id for event in events)
    assert next(event for event in events if event.kind == "execution.failed").data["error"] == "told to be failed"


def test_the_check_that_finds_it_well_again_tells_only_that(hand: ByHand) -> None:
    checked(hand, "failed")
    assert [event.kind for event in checked(hand, "succeeded")] == ["resource.active"]
    assert checked(hand, "succeeded") == []
