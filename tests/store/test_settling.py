"""What the end of a run does to resources: order, blocking, follow-up runs, pruning, deletion."""

from pathlib import Path

import pytest
from sqlalchemy import text

from engine.domain.plan import Action
from engine.domain.provider import Operation
from engine.errors import Conflict
from engine.services import resources
from engine.store import executions
from engine.store.database import Store
from tests.support.platforms import ME
from tests.support.platforms_by_hand import ByHand, by_hand, reads, spec


@pytest.fixture
def hand(store: Store, tmp_path: Path) -> ByHand:
    return by_hand(store, tmp_path)


def test_dependants_start_when_the_last_thing_they_need_is_there(hand: ByHand) -> None:
    diamond = {"top": "1", "left": reads("top"), "right": reads("top"), "bottom": reads("left", "right")}
    assert hand.submit(spec("app", diamond)) == ["create thing/app.top"]
    assert hand.end("thing/app.top", outputs={"value": 1}) == ["create thing/app.left", "create thing/app.right"]
    assert hand.end("thing/app.left") == ["create thing/app.right"]
    assert hand.end("thing/app.right") == ["create thing/app.bottom"]
    assert hand.end("thing/app.bottom") == ["create workload/app"]
    assert hand.end("workload/app") == []
    assert set(hand.states().values()) == {"active"}


def test_what_failed_blocks_all_that_waits_for_it_and_its_retry_unblocks(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa"), "cc": reads("bb"), "free": "1"}))
    hand.end("thing/app.aa", "failed")
    states = hand.states()
    assert (states["thing/app.aa"], states["thing/app.bb"], states["thing/app.cc"]) == ("failed", "blocked", "blocked")
    assert states["workload/app"] == "blocked"
    assert hand.resource("thing/app.cc").blocked_by == hand.resource("thing/app.aa").id
    hand.end("thing/app.free")
    assert hand.retry("thing/app.aa") == ["create thing/app.aa"]
    assert hand.states()["thing/app.cc"] == "requested"
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_with_two_failed_dependencies_both_have_to_be_retried(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": "1", "cc": reads("aa", "bb")}))
    hand.end("thing/app.aa", "failed")
    hand.end("thing/app.bb", "failed")
    hand.retry("thing/app.aa")
    assert hand.states()["thing/app.cc"] == "blocked"
    hand.end("thing/app.aa")
    assert hand.states()["thing/app.cc"] == "blocked"
    hand.retry("thing/app.bb")
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_failed_run_that_a_newer_wish_follows_leaves_nobody_blocked(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    assert hand.submit(spec("app", {"aa": "2", "bb": reads("aa")})) == ["create thing/app.aa"]
    assert hand.end("thing/app.aa", "failed") == ["create thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_what_came_to_be_needed_while_a_run_was_under_way_is_waited_for_by_its_retry(hand: ByHand, how: str) -> None:
    assert hand.submit(spec("app")) == ["create workload/app"]
    assert hand.submit(spec("app", {"aa": "1"})) == ["create thing/app.aa", "create workload/app"]
    hand.end("workload/app", how)
    with pytest.raises(Conflict, match="waits for others") as told:
        hand.retry("workload/app")
    assert "Retry it when" in told.value.hint
    hand.end("thing/app.aa")
    assert hand.states()["workload/app"] == "failed", "a person has not asked for it again"
    assert hand.retry("workload/app") == ["create workload/app"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_deletion_that_failed_does_not_wait_for_what_came_to_be_needed_before(hand: ByHand) -> None:
    hand.submit(spec("app"))
    hand.submit(spec("app", {"aa": "1"}))
    hand.end("workload/app", "failed")
    hand.end("thing/app.aa", "failed")
    assert hand.states() == {"workload/app": "failed", "thing/app.aa": "failed"}
    hand.delete("app")
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_a_retry_repeats_the_operation_that_failed(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all({"value": "kept"})
    assert hand.submit(spec("app", {"aa": "2"})) == ["update thing/app.aa"]
    hand.end("thing/app.aa", "failed")
    assert hand.resource("thing/app.aa").outputs == {"value": "kept"}
    assert hand.retry("thing/app.aa") == ["update thing/app.aa"]
    hand.finish_all()
    hand.delete("app")
    hand.end("workload/app", "failed")
    assert hand.retry("workload/app") == ["delete workload/app"]
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_a_wish_that_comes_during_a_run_is_followed_up_when_the_run_ends(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.submit(spec("app", {"aa": "2"}))
    hand.submit(spec("app", {"aa": "3"}))
    assert hand.resource("thing/app.aa").desired_generation == 3
    assert hand.end("thing/app.aa") == ["update thing/app.aa"]
    assert hand.end("thing/app.aa") == ["create workload/app"]
    hand.finish_all()
    assert hand.resource("thing/app.aa").observed_generation == 3
    assert set(hand.states().values()) == {"active"}


def test_a_follow_up_run_waits_for_what_the_new_spec_makes_it_need(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.submit(spec("app", {"aa": reads("db"), "db": "1"}))
    assert sorted(hand.runs) == ["thing/app.aa", "thing/app.db"]
    assert hand.end("thing/app.aa") == ["create thing/app.db"], "its update needs the database first"
    assert hand.end("thing/app.db") == ["update thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_third_submission_does_not_forget_what_the_follow_up_waits_for(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    newer = spec("app", {"aa": reads("db"), "db": "1"})
    hand.submit(newer)
    hand.submit(newer)
    assert hand.end("thing/app.aa") == ["create thing/app.db"]
    assert hand.end("thing/app.db") == ["update thing/app.aa"]


def test_changed_outputs_update_the_dependants_and_unchanged_ones_do_not(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": "2", "bb": reads("aa")}))
    assert hand.end("thing/app.aa", outputs={"value": "y"}) == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "y"}) == ["update workload/app"]
    hand.end("workload/app")
    assert set(hand.states().values()) == {"active"}
    hand.submit(spec("app", {"aa": "3", "bb": reads("aa")}))
    assert hand.end("thing/app.aa", outputs={"value": "y"}) == []


def test_outputs_that_changed_before_the_last_of_several_wishes_reach_the_dependants(hand: ByHand) -> None:
    hand.submit(spec("app", {"db": "1", "user": reads("db")}))
    hand.end("thing/app.db", outputs={"value": "1"})
    hand.finish_all()
    assert hand.submit(spec("app", {"db": "2", "user": reads("db")})) == ["update thing/app.db"]
    hand.submit(spec("app", {"db": "3", "user": reads("db")}))
    # The run that was under way has read the newest params already; the one that follows changes nothing.
    assert hand.end("thing/app.db", outputs={"value": "3"}) == ["update thing/app.db"]
    assert "update thing/app.user" in hand.end("thing/app.db", outputs={"value": "3"})
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_failed_dependant_is_retried_with_the_outputs_as_they_are_by_then(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.end("thing/app.aa", outputs={"value": "old"})
    hand.end("thing/app.bb", "failed")
    before = hand.resource("thing/app.bb").execution_id
    hand.submit(spec("app", {"aa": "2", "bb": reads("aa")}))
    hand.finish_all({"value": "new"})
    if hand.states()["thing/app.bb"] == "failed":
        hand.retry("thing/app.bb")
    after = hand.resource("thing/app.bb").execution_id
    assert after != before, "an execution keeps the inputs it was given, so this needs another one"


def test_pruned_things_go_only_after_those_that_used_them_were_updated(hand: ByHand) -> None:
    hand.submit(spec("app", {"db": "1", "web": reads("db")}))
    hand.finish_all({"value": "x"})
    assert hand.submit(spec("app", {"web": "plain"}, image="v2"), prune=True) == ["update thing/app.web"]
    assert hand.end("thing/app.web", outputs={"value": "x"}) == ["update workload/app"]
    assert hand.end("workload/app") == ["delete thing/app.db"]
    hand.finish_all()
    assert hand.states()["thing/app.db"] == "terminated"


def test_a_pruned_thing_stays_while_the_update_of_its_user_fails(hand: ByHand) -> None:
    hand.submit(spec("app", {"db": "1"}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {}, image="v2"), prune=True)
    assert hand.end("workload/app", "failed") == []
    assert hand.retry("workload/app") == ["update workload/app"]
    assert hand.end("workload/app") == ["delete thing/app.db"]


def test_deletion_goes_in_reverse_order(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all()
    assert hand.delete("app") == ["delete workload/app"]
    assert hand.end("workload/app") == ["delete thing/app.bb"]
    assert hand.end("thing/app.bb") == ["delete thing/app.aa"]
    assert hand.end("thing/app.aa") == []
    assert set(hand.states().values()) == {"terminated"}


def test_a_failed_deletion_holds_what_it_still_uses_until_its_retry(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all()
    hand.delete("app")
    assert hand.end("workload/app", "failed") == []
    assert hand.retry("workload/app") == ["delete workload/app"]
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_what_is_wanted_again_while_it_is_being_deleted_is_made_anew(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all()
    hand.delete("app")
    hand.end("workload/app")
    assert hand.submit(spec("app", {"aa": "1"})) == ["delete thing/app.aa"]
    assert hand.end("thing/app.aa") == ["create thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_what_is_wanted_again_may_change_while_it_waits(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    hand.delete("app")
    hand.finish_all()
    assert hand.submit(spec("app", {"aa": "1", "bb": "1 " + reads("aa")})) == ["create thing/app.aa"]
    hand.submit(spec("app", {"aa": "1", "bb": "2 " + reads("aa")}))
    assert hand.end("thing/app.aa", outputs={"value": "x"}) == ["create thing/app.bb"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_blocked_thing_that_no_longer_needs_what_failed_goes_on(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.end("thing/app.aa", "failed")
    assert hand.submit(spec("app", {"bb": "plain"})) == ["create thing/app.bb"]
    hand.finish_all()
    assert hand.states() == {"thing/app.aa": "failed", "thing/app.bb": "active", "workload/app": "active"}


def test_a_failed_thing_that_is_pruned_goes_once_its_users_do_without_it(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.end("thing/app.aa", "failed")
    hand.submit(spec("app", {"bb": "plain"}), prune=True)
    hand.finish_all()
    assert hand.states() == {"thing/app.aa": "terminated", "thing/app.bb": "active", "workload/app": "active"}


def test_a_failed_deletion_does_not_block_what_is_wanted_again_without_it(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    hand.delete("app")
    hand.end("workload/app")
    hand.end("thing/app.bb", "failed")
    hand.submit(spec("app", {"aa": "2"}))
    hand.finish_all()
    assert hand.states() == {"thing/app.aa": "active", "thing/app.bb": "failed", "workload/app": "active"}


def test_a_shared_thing_lives_as_long_as_one_application_refers_to_it(hand: ByHand) -> None:
    for name in ("one", "two"):
        hand.submit(spec(name, {"cache": "1"}, ids={"cache": "shared"}))
    assert [key for key in hand.runs if key.startswith("thing")] == ["thing/shared"]
    hand.finish_all()
    hand.delete("one")
    hand.finish_all()
    assert hand.states() == {"thing/shared": "active", "workload/one": "terminated", "workload/two": "active"}
    assert hand.resource("thing/shared").application == "two"
    hand.delete("two")
    hand.finish_all()
    assert set(hand.states().values()) == {"terminated"}


def test_two_runs_of_one_resource_may_end_in_one_commit(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all()
    hand.submit(spec("app", {"aa": "2"}))
    resource = hand.resource("thing/app.aa")
    update = hand.record("thing/app.aa")
    check = executions.NewExecution(
        provider=resource.provider,
        digest=resource.digest,
        workflow="noop",
        fair_key="app",
        actor="system:engine",
        application_id=resource.application_id,
        resource_id=resource.id,
        operation=Operation.READ,
        generation=1,
    )
    with hand.house.store.begin() as tx:
        executions.queue(tx, [check])
    hand.take()
    hand.write(update, hand.record("thing/app.aa"))
    assert hand.states()["thing/app.aa"] == "active"
    assert hand.resource("thing/app.aa").observed_generation == 2


def test_a_failed_thing_that_is_wanted_otherwise_starts_when_what_it_needs_now_is_there(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.end("thing/app.aa", "failed")
    assert hand.submit(spec("app", {"aa": reads("bb"), "bb": "1"})) == ["create thing/app.bb"]
    with pytest.raises(Conflict) as told:
        hand.retry("thing/app.aa")
    assert told.value.code == "waiting"
    assert hand.end("thing/app.bb", "failed") == []
    assert hand.retry("thing/app.bb") == ["create thing/app.bb"]
    assert hand.end("thing/app.bb") == ["create thing/app.aa"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_a_person_who_says_that_it_stands_lets_the_others_go_on(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": "x ${metadata.name} " + reads("aa")}))
    hand.end("thing/app.aa", "failed")
    resources.resolve(hand.house.platform, ME, hand.resource("thing/app.aa").id, as_="active")
    assert hand.take() == ["create thing/app.bb"]
    hand.finish_all()
    assert set(hand.states().values()) == {"active"}


def test_what_is_kept_is_updated_with_what_it_reads_as_the_plan_says(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": reads("bb"), "bb": "1", "cc": reads("aa")}))
    hand.finish_all({"value": "x"})
    made = hand.house.submit(spec("app", {"bb": "2"}))
    assert made.plan is not None
    told = {item.name: item.reason for item in made.plan.items if item.action is Action.KEPT}
    assert told["aa"].endswith("may be updated: it reads outputs of `thing/app.bb`, which is updated")
    assert told["cc"].endswith("may be updated: it reads outputs of `thing/app.aa`, which may be updated")
    assert hand.take() == ["update thing/app.bb"]
    assert hand.end("thing/app.bb", outputs={"value": "y"}) == ["update thing/app.aa", "update workload/app"]
    assert "update thing/app.cc" in hand.end("thing/app.aa", outputs={"value": "z"})


def test_the_sweep_finds_a_lost_start_behind_many_that_wait(hand: ByHand) -> None:
    many = {f"w{number:03}": reads("first") for number in range(120)}
    hand.submit(spec("app", {"first": "1", **many}))
    hand.submit(spec("other", {"lost": "1"}))
    hand.runs.pop("thing/other.lost")
    with hand.house.store.begin() as tx:
        tx.connection.execute(
            text("update resources set state='requested', execution_id=null where identity='other.lost'")
        )
    hand.sweep()
    assert "create thing/other.lost" in hand.take()
