"""Submissions of what exists already, while it stands, runs, fails or goes."""

import threading
from pathlib import Path

import pytest

from engine.domain.plan import Action
from engine.domain.provider import Operation
from engine.domain.resource import ResourceState
from engine.errors import Conflict, Invalid
from engine.services import applications, executions, resources, variables
from engine.services.applications import Submission
from tests.services.conftest import ME, Build, House
from tests.support import team
from tests.support.score import score


def actions(made: Submission) -> dict[str, str]:
    assert made.plan is not None
    return {item.name: item.action.value for item in made.plan.items}


def reasons(made: Submission) -> dict[str, str]:
    assert made.plan is not None
    return {item.name: item.reason for item in made.plan.items}


def fragile(flag: Path, **params: object) -> dict[str, object]:
    return {"type": "fragile", "params": {"needs_file": str(flag), **params}}


def test_the_same_spec_again_changes_nothing(house: House) -> None:
    source = score(db="database")
    house.submit(source)
    house.rest()
    before = house.row_counts()
    again = house.submit(source)
    assert set(actions(again).values()) == {"unchanged"}
    assert again.version == 1
    assert again.execution_ids == ()
    house.rest()
    after = house.row_counts()
    assert {name for name in after if after[name] != before[name]} <= {"events", "graph_edges", "graph_nodes"}


def test_a_new_image_or_variable_updates_the_workload_alone(house: House) -> None:
    house.submit(score(db="database", image="one"))
    house.rest()
    for source in (score(db="database", image="two"), score(db="database", image="two", variables={"A": "1"})):
        assert actions(house.submit(source)) == {"db": "unchanged", "workload": "update"}
        house.rest()
    assert house.resources("shop")["workload"].observed_generation == 3
    assert variables.of_application(house.platform, "shop").containers == {"main": {"A": "1"}}


def test_a_submission_during_a_run_is_carried_out_after_it(house: House) -> None:
    first = score(gate={"type": "gated", "params": {"note": "one"}})
    second = score(gate={"type": "gated", "params": {"note": "two"}})
    house.submit(first)
    house.rest()
    assert house.states("shop") == {"gate": "provisioning", "workload": "requested"}
    assert actions(house.submit(second))["gate"] == "update"
    assert house.open_gates() == 1
    assert house.states("shop")["gate"] == "updating"
    assert house.open_gates() == 1
    assert house.resources("shop")["gate"].outputs["seen"] == "two"
    assert house.status("shop") == "active"


def test_deleting_during_a_run_deletes_after_it(house: House) -> None:
    house.submit(score(gate="gated", db="database"))
    house.rest()
    house.delete("shop")
    house.rest()
    assert house.status("shop") == "deleting"
    assert house.open_gates() == 1  # what was being made is made
    assert house.open_gates() == 1  # and removed
    assert house.states("shop") == {}


def test_what_is_wanted_again_while_it_is_deleted_is_made_anew(house: House) -> None:
    source = score(gate="gated")
    house.submit(source)
    house.rest()
    house.open_gates()
    house.delete("shop")
    house.rest()
    assert house.states("shop")["gate"] == "terminating"
    assert actions(house.submit(source)) == {"gate": "create", "workload": "create"}
    assert house.open_gates() == 1
    assert house.states("shop") == {"gate": "provisioning", "workload": "requested"}
    changed = score(gate={"type": "gated", "params": {"note": "other"}}, db="database")
    house.submit(changed)
    house.open_gates()
    house.open_gates()
    assert house.status("shop") == "active"
    assert house.resources("shop")["gate"].outputs["seen"] == "other"


def test_deleting_twice_does_not_bring_anything_back(house: House) -> None:
    house.submit(score(db="database", gate={"type": "gated", "params": {"note": "${resources.db.host}"}}))
    house.rest()
    house.open_gates()
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {"db": "active", "gate": "terminating"}
    again = house.delete("shop")
    assert set(reasons(again).values()) == {"is being deleted"}
    house.open_gates()
    assert house.states("shop") == {}


def test_a_pruned_resource_goes_after_the_workload_let_go_of_it_even_when_submitted_again(house: House) -> None:
    house.submit(score(db="database", gate="gated", variables={"HOST": "${resources.db.host}"}))
    house.rest()
    house.open_gates()
    second = score(gate={"type": "gated", "params": {"note": "2"}})
    made = house.submit(second, prune=True)
    assert actions(made) == {"gate": "update", "workload": "update", "db": "delete"}
    house.rest()
    assert house.states("shop") == {"db": "active", "gate": "updating", "workload": "active"}
    again = house.submit(second, prune=True)
    assert reasons(again)["db"] == "is being deleted"
    house.open_gates()
    assert house.states("shop") == {"gate": "active", "workload": "active"}


def test_an_update_that_never_ran_is_not_lost_by_withdrawing_a_deletion(house: House) -> None:
    def source(note: str) -> str:
        db = {"type": "database", "params": {"note": note + "${resources.gate.seen}"}}
        return score(gate={"type": "gated", "params": {"note": note}}, db=db)

    house.submit(source("one"))
    house.rest()
    house.open_gates()
    house.submit(source("two"))
    house.rest()  # `g` is being updated, `db` waits for it
    house.delete("shop")
    house.rest()
    house.submit(source("two"))
    while house.open_gates():
        pass
    assert house.status("shop") == "active"
    assert house.resources("shop")["db"].outputs["seen"] == "twotwo"


def test_what_the_spec_drops_is_kept_and_told_until_prune(house: House) -> None:
    house.submit(score(db="database", cache="cache"))
    house.rest()
    kept = house.submit(score(db="database"))
    assert actions(kept) == {"db": "unchanged", "workload": "unchanged", "cache": "kept"}
    assert "`prune` deletes it" in reasons(kept)["cache"]
    house.rest()
    assert house.states("shop")["cache"] == "active"
    assert actions(house.submit(score(db="database"), prune=True))["cache"] == "delete"
    house.rest()
    assert set(house.states("shop")) == {"db", "workload"}


def test_protect_refuses_deletion_and_prune_as_a_whole(house: House) -> None:
    house.submit(score(safe="vault", db="database"), environment="production")
    house.rest()
    for attempt in (
        lambda: house.delete("shop", environment="production"),
        lambda: house.submit(score(db="database"), environment="production", prune=True),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "protected"
        assert "vault/shop.safe" in refused.value.message
    house.rest()
    assert set(house.states("shop", environment="production").values()) == {"active"}
    house.submit(score(safe="vault"))
    house.rest()
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {}


def test_retain_forgets_and_runs_nothing(house: House) -> None:
    house.submit(score(arch="archive", keep="keeper"), environment="production")
    house.rest()
    gone = house.delete("shop", environment="production")
    assert actions(gone) == {"arch": "retain", "keep": "retain", "workload": "delete"}
    house.rest()
    assert house.states("shop", environment="production") == {}
    ran = [run.workflow for run in executions.listed(house.platform, limit=50).items]
    assert sorted(ran) == ["deploy", "make", "make", "undeploy"]


def test_a_name_that_moves_to_another_resource_reads_the_new_one(house: House) -> None:
    def source(identity: str) -> str:
        return score(db={"type": "database", "id": identity}, variables={"HOST": "${resources.db.host}"})

    house.submit(source("zz"))
    house.rest()
    for identity in ("aa", "zz", "mm", "aa"):
        moved = house.submit(source(identity))
        assert moved.plan is not None
        assert next(item.action for item in moved.plan.items if item.name == "workload") is Action.UPDATE
        house.rest()
        assert variables.of_application(house.platform, "shop").containers["main"] == {"HOST": f"{identity}.test"}
        found = house.resources("shop")["workload"].outputs["containers"]
        assert isinstance(found, dict)
        assert f"{identity}.test" in str(found["main"])
        same = house.submit(source(identity))
        assert same.plan is not None
        assert not same.plan.has_changes


def test_a_failed_dependency_blocks_and_its_retry_unblocks(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    made = house.submit(
        score(frail=fragile(flag), db={"type": "database", "params": {"note": "${resources.frail.host}"}})
    )
    house.rest()
    assert house.states("shop") == {"frail": "failed", "db": "blocked", "workload": "blocked"}
    assert house.status("shop") == "failed"
    found = house.resources("shop")
    assert found["db"].blocked_by == found["frail"].id
    flag.touch()
    assert resources.retry(house.platform, ME, found["frail"].id) == made.execution_ids[0]
    house.rest()
    assert house.status("shop") == "active"
    assert executions.get(house.platform, made.execution_ids[0]).execution.attempt == 2


def test_a_failed_resource_taken_out_of_the_spec_blocks_nobody(house: House, tmp_path: Path) -> None:
    for prune in (False, True):
        name = f"shop{prune}".lower()
        house.submit(score(name, db="database", frail=fragile(tmp_path / "never")))
        house.rest()
        assert house.states(name) == {"db": "active", "frail": "failed", "workload": "blocked"}
        house.submit(score(name, db="database"), prune=prune)
        house.rest()
        assert house.states(name)["workload"] == "active"
        assert ("frail" in house.states(name)) is not prune


def test_a_failed_resource_that_must_wait_starts_when_what_it_needs_is_there(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    def source(note: str) -> str:
        needs = {**fragile(flag), "params": {"needs_file": str(flag), "note": "${resources.gate.seen}"}}
        return score(gate={"type": "gated", "params": {"note": note}}, frail=needs)

    house.submit(source("one"))
    house.rest()
    house.open_gates()
    assert house.states("shop") == {"gate": "active", "frail": "failed", "workload": "blocked"}
    flag.touch()
    house.submit(source("two"))
    house.rest()
    assert house.states("shop")["gate"] == "updating"
    assert house.status("shop") == "in_progress"  # asked for again: not failed for good
    house.open_gates()
    assert house.status("shop") == "active"
    assert house.resources("shop")["frail"].outputs["seen"] == "two"


def test_a_failed_resource_is_deleted_after_what_used_it(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    uses = {"type": "gated", "params": {"note": "${resources.frail.host}"}}
    house.submit(score(frail=fragile(flag), gate=uses))
    house.rest()
    house.open_gates()
    flag.unlink()
    house.submit(score(frail=fragile(flag, size=2), gate=uses))
    house.rest()
    assert house.states("shop")["frail"] == "failed"
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {"frail": "failed", "gate": "terminating"}
    house.open_gates()
    assert house.states("shop") == {}


def test_a_run_that_fails_after_it_was_superseded_goes_on_with_the_newer_wish(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    source = "steps:\n  - {name: gate, type: set, when: manual}\n"
    del source
    house.submit(score(gate="gated", db={"type": "database", "params": {"note": "${resources.gate.host}"}}))
    house.rest()
    found = house.resources("shop")["gate"]
    house.submit(
        score(
            gate={"type": "gated", "params": {"note": "two"}},
            db={"type": "database", "params": {"note": "${resources.gate.host}"}},
        )
    )
    assert found.execution_id is not None
    executions.cancel(house.platform, ME, found.execution_id)
    house.rest()
    assert house.states("shop") == {"gate": "provisioning", "db": "requested", "workload": "requested"}
    house.open_gates()
    assert house.status("shop") == "active"
    assert house.resources("shop")["gate"].outputs["seen"] == "two"
    assert not flag.exists()


def test_a_cancelled_run_leaves_the_resource_failed_and_retryable(house: House) -> None:
    house.submit(score(gate="gated"))
    house.rest()
    found = house.resources("shop")["gate"]
    assert found.execution_id is not None
    executions.cancel(house.platform, ME, found.execution_id)
    house.rest()
    after = house.resources("shop")["gate"]
    assert (after.state, after.reason) == (ResourceState.FAILED, "cancelled")
    assert house.states("shop")["workload"] == "blocked"
    resources.retry(house.platform, ME, found.id)
    house.rest()
    house.open_gates()
    assert house.status("shop") == "active"


def test_retrying_a_failed_update_and_a_failed_delete_repeats_each(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    house.submit(score(frail=fragile(flag)))
    house.rest()
    flag.unlink()
    house.submit(score(frail=fragile(flag, size=2)))
    house.rest()
    failed = house.resources("shop")["frail"]
    assert (failed.state, failed.pending, failed.outputs["size"]) == (ResourceState.FAILED, Operation.UPDATE, 1)
    flag.touch()
    again = house.submit(score(frail=fragile(flag, size=2)))
    assert reasons(again)["frail"] == "repeats the update that failed"
    house.rest()
    assert house.resources("shop")["frail"].outputs["size"] == 2


def test_a_person_sets_a_left_over_straight(house: House, tmp_path: Path) -> None:
    house.submit(
        score(frail=fragile(tmp_path / "never"), db={"type": "database", "params": {"note": "x${resources.frail}"}})
    )
    house.rest()
    found = house.resources("shop")["frail"]
    assert resources.resolve(house.platform, ME, found.id, as_="active").state is ResourceState.ACTIVE
    house.rest()
    assert house.status("shop") == "active"
    facts = resources.get(house.platform, found.id).transitions
    assert any(fact.kind == "resource.resolved" and fact.actor == "user:me" for fact in facts)
    with pytest.raises(Conflict, match="only a failed resource"):
        resources.resolve(house.platform, ME, found.id, as_="gone")
    with pytest.raises(Invalid, match="cannot be resolved as `shining`"):
        resources.resolve(house.platform, ME, found.id, as_="shining")


def test_a_left_over_that_is_gone_frees_those_that_waited(house: House, tmp_path: Path) -> None:
    house.submit(score(frail=fragile(tmp_path / "never")))
    house.rest()
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {}
    house.submit(score("two", frail=fragile(tmp_path / "never")))
    house.rest()
    resources.resolve(house.platform, ME, house.resources("two")["frail"].id, as_="gone")
    house.rest()
    assert "frail" not in house.states("two")


def test_changed_outputs_reach_those_that_read_them(house: House) -> None:
    def source(size: int) -> str:
        reads = {"type": "database", "params": {"note": "${resources.db.size}"}}
        return score(db={"type": "database", "params": {"size": size}}, reader=reads)

    house.submit(source(1))
    house.rest()
    made = house.submit(source(2))
    assert made.plan is not None
    reader = next(item for item in made.plan.items if item.name == "reader")
    assert reader.known_after_apply == ("note (from `resources.db`)",)
    assert reader.reason == "may be updated: it reads outputs of `database/shop.db`, which is updated"
    house.rest()
    assert house.resources("shop")["reader"].outputs["seen"] == "2"


def test_shared_resources_belong_to_all_who_name_them(house: House) -> None:
    shared = {"type": "database", "id": "main", "params": {"size": 3}}
    for name in ("aa", "bb", "cc"):
        house.submit(score(name, db=shared))
        house.rest()
    (one,) = {house.resources(name)["db"].id for name in ("aa", "bb", "cc")}
    assert house.resources("bb")["db"].application == "aa"
    with pytest.raises(Invalid) as refused:
        house.submit(score("dd", db={**shared, "params": {"size": 4}}))
    assert refused.value.code == "resource_conflict"
    assert "`aa`" in refused.value.problems[0].message
    gone = house.delete("bb")
    assert reasons(gone)["db"] == "still used by `aa`, `cc`"
    house.rest()
    assert house.resources("cc")["db"].application == "aa"  # who owns it goes on owning it
    house.delete("aa")
    house.rest()
    assert (house.resources("cc")["db"].id, house.resources("cc")["db"].application) == (one, "cc")
    assert house.states("aa") == {}
    house.submit(score("cc", db={**shared, "params": {"size": 4}}))
    house.rest()
    assert house.resources("cc")["db"].outputs["size"] == 4
    house.delete("cc")
    house.rest()
    assert resources.listed(house.platform).items == ()


def test_two_applications_that_name_a_new_resource_at_once_share_it(house: House) -> None:
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def submit(name: str) -> None:
        barrier.wait(5)
        try:
            house.submit(score(name, one={"type": "database", "id": "one"}, two={"type": "database", "id": "two"}))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=submit, args=(f"app{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    house.rest()
    assert {house.status(f"app{n}") for n in range(4)} == {"active"}
    assert len([r for r in resources.listed(house.platform).items if r.key.type == "database"]) == 2


def test_deleting_works_after_the_provider_is_gone(build: Build, tmp_path: Path) -> None:
    first = team.write(tmp_path / "first")
    house = build(first)
    house.submit(score(db="database", keep="keeper", safe="vault"), environment="production")
    house.submit(score("free", db="database", keep="keeper"))
    house.rest()
    other = house.reopened(team.write(tmp_path / "second", name="other-team", types=frozenset({"cache"})))
    try:
        with pytest.raises(Conflict, match="protected"):  # the promise outlives the provider
            other.delete("shop", environment="production")
        gone = other.delete("free")
        assert actions(gone) == {"workload": "delete", "keep": "retain", "db": "delete"}
        assert "recorded bundle" in reasons(gone)["db"]
        other.rest()
        assert other.states("free") == {}
        with pytest.raises(Invalid, match="cannot be applied"):
            other.submit(score("free", db="database"))
    finally:
        other.running.close(grace=0)


def test_without_a_provider_for_workloads_the_plan_says_so(build: Build, tmp_path: Path) -> None:
    house = build(team.write(tmp_path / "bare", workloads=False))
    made = house.submit(score(db="database"))
    assert actions(made) == {"db": "create", "workload": "blocked"}
    assert "not deployed by this platform" in reasons(made)["workload"]
    house.rest()
    assert house.status("shop") == "active"
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {}


def test_what_cannot_be_updated_is_left_as_it_is_and_told(house: House) -> None:
    house.submit(score(store={"type": "cache", "params": {"note": "one"}}))
    house.rest()
    made = house.submit(score(store={"type": "cache", "params": {"note": "two"}}))
    assert actions(made)["store"] == "blocked"
    assert "has no update workflow" in reasons(made)["store"]
    house.rest()
    assert house.resources("shop")["store"].outputs["seen"] == "one"
    assert house.status("shop") == "active"


def test_environments_are_apart(house: House) -> None:
    house.submit(score(db="database"))
    house.submit(score(db="database"), environment="staging")
    house.rest()
    assert house.resources("shop")["db"].id != house.resources("shop", environment="staging")["db"].id
    house.delete("shop", environment="staging")
    house.rest()
    assert house.status("shop") == "active"
    assert applications.listed_environments(house.platform) == [("default", 1)]
