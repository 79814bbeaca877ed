"""A wish that was made while its provider was there is carried out by what was recorded of it, or fails and says why."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.domain.provider import Operation
from engine.services import resources
from engine.store import executions
from engine.store.database import Store
from engine.store.tables import provider_bundles
from tests.support.platforms import ME
from tests.support.platforms_by_hand import ByHand, by_hand, reads, spec
from tests.support.providers import NOOP, kind, workflow, write_provider

APART = {kind_name: kind("make", update="change", delete="remove", read="look") for kind_name in ("thing", "workload")}
WORKFLOWS = {name: workflow(NOOP) for name in ("make", "change", "remove", "look")}


@pytest.fixture
def hand(store: Store, tmp_path: Path) -> ByHand:
    folder = write_provider(tmp_path / "apart", kinds=APART, workflows=WORKFLOWS)
    return by_hand(store, tmp_path, providers=[folder])


def without_provider(hand: ByHand, folder: Path) -> ByHand:
    """The same store and runs, served by a process that has other providers."""
    other = write_provider(folder / "other", name="other-team", kinds={"unlike": kind("noop")})
    return ByHand(by_hand(hand.house.store, folder / "later", providers=[other]).house, hand.runs)


def forget_bundles(hand: ByHand) -> None:
    with hand.house.store.begin() as tx:
        tx.connection.execute(sa.delete(provider_bundles))


def workflow_of(hand: ByHand, key: str) -> tuple[str, str]:
    """(operation, workflow) of the newest run."""
    resource = hand.resource(key)
    assert resource.execution_id is not None
    with hand.house.store.read() as tx:
        run = executions.get(tx, resource.execution_id)
    assert run is not None
    return str(run.operation), run.workflow


def deleted_while_it_is_updated(hand: ByHand) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": "2"}))
    hand.delete("app")
    hand.end("workload/app")


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_a_deletion_that_follows_an_update_uses_the_recorded_delete_workflow(
    hand: ByHand, tmp_path: Path, how: str
) -> None:
    deleted_while_it_is_updated(hand)
    later = without_provider(hand, tmp_path)
    assert later.end("thing/app.aa", how) == ["delete thing/app.aa"]
    assert workflow_of(later, "thing/app.aa") == ("delete", "remove")
    later.finish_all()
    assert set(later.states().values()) == {"terminated"}


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_with_nothing_on_record_the_deletion_fails_and_a_person_decides(hand: ByHand, tmp_path: Path, how: str) -> None:
    deleted_while_it_is_updated(hand)
    forget_bundles(hand)
    later = without_provider(hand, tmp_path)
    assert later.end("thing/app.aa", how) == []
    left = later.resource("thing/app.aa")
    assert (left.state, left.pending, left.workflow) == ("failed", "delete", "")
    assert left.error == "no provider has a workflow for its delete now"
    later.sweep()
    assert later.take() == []
    resources.resolve(later.house.platform, ME, left.id, as_="gone")
    assert set(later.states().values()) == {"terminated"}


def test_what_is_wanted_again_after_a_deletion_that_failed_is_not_made_by_the_delete_workflow(
    hand: ByHand, tmp_path: Path
) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.finish_all({"value": "x"})
    hand.delete("app")
    hand.end("workload/app")
    hand.submit(spec("app", {"aa": "2"}))
    later = without_provider(hand, tmp_path)
    later.end("thing/app.aa", "failed")
    assert workflow_of(later, "thing/app.aa") == ("create", "make")


def test_a_follow_up_update_that_nobody_offers_any_more_is_dropped_and_said(hand: ByHand, tmp_path: Path) -> None:
    hand.submit(spec("app", {"aa": "1"}))
    hand.submit(spec("app", {"aa": "2"}))
    later = without_provider(hand, tmp_path)
    assert later.end("thing/app.aa") == ["create workload/app"]
    dropped = later.resource("thing/app.aa")
    assert (dropped.state, dropped.pending) == ("active", None)
    assert dropped.reason == "no provider has a workflow for its update now"


def test_a_health_check_leaves_the_operation_under_way_alone(hand: ByHand, tmp_path: Path) -> None:
    hand.submit(spec("app", {"aa": "1", "bb": reads("aa")}))
    hand.finish_all({"value": "x"})
    hand.submit(spec("app", {"aa": "2", "bb": reads("aa")}))
    before = hand.resource("thing/app.aa")
    check = executions.NewExecution(
        provider=before.provider,
        digest=before.digest,
        workflow="look",
        fair_key="app",
        actor="system:engine",
        application_id=before.application_id,
        resource_id=before.id,
        operation=Operation.READ,
        generation=1,
    )
    update = hand.runs.pop("thing/app.aa")
    with hand.house.store.begin() as tx:
        executions.queue(tx, [check])
    hand.take()
    later = without_provider(hand, tmp_path)
    later.end("thing/app.aa", "failed")
    after = later.resource("thing/app.aa")
    assert (after.state, after.pending, after.workflow) == ("updating", "update", "change")
    later.runs["thing/app.aa"] = update
    later.finish_all({"value": "x"})
    assert set(later.states().values()) == {"active"}
