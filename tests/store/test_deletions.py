"""What is used is deleted after what uses it, whenever people change their mind."""

from pathlib import Path

import pytest

from engine.errors import NotFound
from engine.services import applications, overview, resources
from engine.store.database import Store
from tests.support.platforms import ME
from tests.support.platforms_by_hand import ByHand, by_hand, reads, spec


@pytest.fixture
def hand(store: Store, tmp_path: Path) -> ByHand:
    return by_hand(store, tmp_path)


def let_go(hand: ByHand) -> None:
    """`bb` was made with `aa` and is being updated to do without it."""
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    assert hand.submit(spec("app", {"bb": "plain"})) == ["update thing/app.bb"]


def test_what_was_kept_is_pruned_after_its_former_user_does_without_it(hand: ByHand) -> None:
    let_go(hand)
    assert hand.submit(spec("app", {"bb": "plain"}), prune=True) == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "x"}) == ["delete thing/app.aa"]
    hand.end("thing/app.aa")
    assert hand.states() == {"thing/app.aa": "terminated", "thing/app.bb": "active", "workload/app": "active"}


def test_what_was_kept_is_not_pruned_while_the_update_of_its_former_user_fails(hand: ByHand) -> None:
    let_go(hand)
    assert hand.end("thing/app.bb", "failed") == []
    assert hand.submit(spec("app", {"bb": "plain"}), prune=True) == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", "failed") == []
    assert hand.retry("thing/app.bb") == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "x"}) == ["delete thing/app.aa"]


def test_what_is_deleted_during_an_update_waits_for_what_the_update_still_uses(hand: ByHand) -> None:
    let_go(hand)
    assert hand.delete("app") == ["delete workload/app", "update thing/app.bb"]
    assert hand.end("workload/app") == ["update thing/app.bb"]
    assert hand.end("thing/app.bb") == ["delete thing/app.bb"]
    assert hand.end("thing/app.bb") == ["delete thing/app.aa"]
    hand.end("thing/app.aa")
    assert set(hand.states().values()) == {"terminated"}


def test_what_changes_places_can_still_be_deleted(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1"}))
    hand.finish_all({"value": "x"})
    assert hand.submit(spec("app", {"aa": "1", "bb": reads("aa")})) == ["update thing/app.aa"]
    hand.end("thing/app.aa", "failed")
    hand.delete("app")
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_a_ring_of_former_and_present_uses_can_still_be_deleted(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1", "cc": reads("dd"), "dd": "1"}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": "1", "bb": reads("cc"), "cc": "1", "dd": reads("aa")}))
    assert hand.take() == ["update thing/app.aa", "update thing/app.cc"]
    hand.delete("app")
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


RIGID = """\
apiVersion: score.dev/v1b1
metadata: {name: app}
containers: {main: {image: v1}}
resources:
  bb: {type: rigid, params: {value: "%s"}}
"""


def test_what_is_read_by_something_that_cannot_be_updated_is_kept_and_said(hand: ByHand) -> None:
    more = '  aa: {type: thing, params: {value: "${resources.cc.value}"}}\n  cc: {type: thing, params: {value: "1"}}\n'
    hand.submit(RIGID % reads("aa") + more)
    hand.finish_all({"value": "x"})
    for _ in range(2):
        made = hand.house.submit(RIGID % "plain", prune=True)
        assert made.plan is not None
        told = {item.name: (item.action.value, item.reason) for item in made.plan.items}
        assert told["bb"][0] == "blocked"
        assert told["aa"] == ("kept", "still used by `rigid/app.bb`, which cannot be updated")
        assert told["cc"] == ("kept", "still used by `thing/app.aa`, which is kept")
        assert hand.take() == []
    hand.submit(spec("app", {}), prune=True)
    assert hand.take() == ["delete rigid/app.bb"]
    assert hand.end("rigid/app.bb") == ["delete thing/app.aa"]
    assert hand.end("thing/app.aa") == ["delete thing/app.cc"]


def test_what_a_person_says_still_stands_is_not_robbed_of_what_it_uses(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all({"value": "x"})
    hand.delete("app")
    hand.end("workload/app", "failed")
    resources.resolve(hand.house.platform, ME, hand.resource("workload/app").id, as_="active")
    assert hand.take() == []
    assert hand.states() == {"thing/app.aa": "active", "workload/app": "active"}
    assert all(resource.settled for resource in hand.house.resources().values())
    assert (status(hand), counted(hand)) == ("active", 1)
    assert hand.delete("app") == ["delete workload/app"], "it is asked for again"
    assert (status(hand), counted(hand)) == ("deleting", 0)
    assert hand.end("workload/app") == ["delete thing/app.aa"]


def status(hand: ByHand) -> str:
    return applications.get(hand.house.platform, "app").status


def counted(hand: ByHand) -> int:
    """How many applications there are by the numbers of the platform; those that are being deleted do not count."""
    return overview.of_platform(hand.house.platform).applications


def stands_after_all(hand: ByHand) -> list[str]:
    """The deletion of the workload has failed, and a person says that it stands; what is under way then."""
    hand.end("workload/app", "failed")
    assert status(hand) == "failed"
    resources.resolve(hand.house.platform, ME, hand.resource("workload/app").id, as_="active")
    return hand.take()


def test_what_is_left_of_a_deleted_application_is_told_by_its_own_states(hand: ByHand) -> None:
    hand.submit(spec("app", {}))
    hand.finish_all()
    hand.delete("app")
    assert status(hand) == "deleting"
    assert stands_after_all(hand) == []
    assert (status(hand), counted(hand)) == ("active", 1)
    hand.delete("app")
    hand.finish_all()
    assert counted(hand) == 0
    with pytest.raises(NotFound):
        status(hand)


def test_while_the_rest_goes_an_application_of_which_something_stands_counts_as_one_that_is_there(
    hand: ByHand,
) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": "1"}))
    hand.finish_all({"value": "x"})
    hand.delete("app")
    hand.end("workload/app")
    hand.end("thing/app.aa", "failed")
    resources.resolve(hand.house.platform, ME, hand.resource("thing/app.aa").id, as_="active")
    assert hand.take() == ["delete thing/app.bb"]
    assert (status(hand), counted(hand)) == ("in_progress", 1)
    hand.end("thing/app.bb")
    assert (status(hand), counted(hand)) == ("active", 1)


def test_whose_resource_is_kept_for_another_application_is_there_again_as_well(hand: ByHand) -> None:
    shared = {"bb": "common"}
    hand.submit(spec("app", {"bb": "1"}, ids=shared))
    hand.submit(spec("other", {"aa": reads("bb"), "bb": "1"}, ids=shared))
    hand.finish_all({"value": "x"})
    hand.delete("other")
    hand.delete("app")
    for key in ("workload/app", "workload/other"):
        hand.end(key)
    hand.end("thing/other.aa", "failed")
    assert counted(hand) == 0
    resources.resolve(hand.house.platform, ME, hand.resource("thing/other.aa").id, as_="active")
    assert hand.take() == []
    assert hand.resource("thing/common").settled
    assert counted(hand) == 2


def test_what_is_kept_for_it_gets_the_update_that_the_deletion_had_cut_off(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1"}))
    hand.finish_all({"value": "x"})
    assert hand.submit(spec("app", {"aa": "2 " + reads("bb"), "bb": "2"})) == ["update thing/app.bb"]
    hand.delete("app")
    hand.end("thing/app.bb", outputs={"value": "y"})
    assert stands_after_all(hand) == ["update thing/app.aa"]
    assert status(hand) == "in_progress"
    hand.finish_all({"value": "y"})
    assert (status(hand), set(hand.states().values())) == ("active", {"active"})


def test_what_is_kept_for_it_and_had_failed_before_waits_for_a_person_again(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1"}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "2"}))
    hand.end("thing/app.bb", "failed")
    hand.delete("app")
    assert stands_after_all(hand) == []
    assert status(hand) == "failed"
    assert hand.retry("thing/app.bb") == ["update thing/app.bb"]
    hand.finish_all({"value": "x"})
    assert (status(hand), set(hand.states().values())) == ("active", {"active"})


def changed_twice(hand: ByHand) -> None:
    """`aa` and `bb` are being updated; the workload, which depends on both, is wanted as it is."""
    hand.submit(spec("app", {"aa": "1", "bb": "1"}))
    hand.finish_all({"value": "x"})
    assert hand.submit(spec("app", {"aa": "2", "bb": "2"})) == ["update thing/app.aa", "update thing/app.bb"]


def test_who_depends_on_several_that_change_is_updated_once_and_after_the_last(hand: ByHand) -> None:
    changed_twice(hand)
    assert hand.end("thing/app.aa", outputs={"value": "y"}) == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "y"}) == ["update workload/app"]
    assert hand.end("workload/app") == []
    assert hand.resource("workload/app").observed_generation == 2


@pytest.mark.parametrize("failing_first", [False, True])
def test_who_depends_on_several_that_change_waits_for_the_one_that_failed(hand: ByHand, failing_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
    changed_twice(hand)
    if failing_first:
        hand.end("thing/app.bb", "failed")
    hand.end("thing/app.aa", outputs={"value": "y"})
    if not failing_first:
        hand.end("thing/app.bb", "failed")
    assert hand.take() == []
    workload = hand.resource("workload/app")
    assert (workload.state, workload.blocked_by) == ("active", hand.resource("thing/app.bb").id)
    assert hand.retry("thing/app.bb") == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "x"}) == ["update workload/app"]
