"""What goes: applications deleted, resources pruned, kept, protected, retained, and wanted again after all."""

from pathlib import Path

import pytest

from engine.domain.values import JsonObject
from engine.errors import Conflict, Invalid, NotFound
from engine.services import deletions, executions
from tests.services.conftest import ME, Build, House, actions, reasons
from tests.support import team
from tests.support.score import score


def test_deleting_during_a_run_deletes_after_it(house: House) -> None:
    house.submit(score(gate="gated", db="database"))
    house.rest()
    house.delete("shop")
    house.rest()
    assert house.status("shop") == "deleting"
    assert house.open_gates() == 1  # what was being made is made
    assert house.open_gates() == 1  # and removed
    assert house.states("shop") == {}


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
    assert actions(gone) == {"arch": "forget", "keep": "forget", "workload": "delete"}
    assert gone.plan is not None
    assert gone.plan.summary == "1 to delete, 2 to forget", "in the same words"
    house.rest()
    assert house.states("shop", environment="production") == {}
    ran = [run.workflow for run in executions.listed(house.platform, limit=50).items]
    assert sorted(ran) == ["deploy", "make", "make", "undeploy"]


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
        assert actions(gone) == {"workload": "delete", "keep": "forget", "db": "delete"}
        assert "recorded bundle" in reasons(gone)["db"]
        other.rest()
        assert other.states("free") == {}
        with pytest.raises(Invalid, match="cannot be applied"):
            other.submit(score("free", db="database"))
    finally:
        other.running.close(grace=0)


def test_one_resource_beside_the_spec_is_deleted_and_the_others_stay(house: House) -> None:
    house.submit(score(db="database"))
    executions.execute(house.platform, ME, "make", {"app_name": "shop", "resource_name": "side"})
    house.rest()
    found = house.resources("shop")
    planned = deletions.delete_resource(house.platform, ME, found["side"].id, dry_run=True)
    assert actions(planned) == {"side": "delete"}
    assert house.states("shop")["side"] == "active"
    with pytest.raises(Conflict, match="destroy"):
        deletions.delete_resource(house.platform, ME, found["side"].id, confirm=True)
    deletions.delete_resource(house.platform, ME, found["side"].id, plan_hash=planned.plan_hash, confirm=True)
    house.rest()
    assert set(house.states("shop")) == {"db", "workload"}
    with pytest.raises(NotFound):
        deletions.delete_resource(house.platform, ME, found["side"].id, plan_hash=planned.plan_hash)


def test_what_the_spec_declares_or_another_resource_needs_is_not_deleted_alone(house: House) -> None:
    house.submit(score(db="database"))
    executions.execute(house.platform, ME, "make", {"app_name": "shop", "resource_name": "side"})
    house.rest()
    needs: JsonObject = {"app_name": "shop", "resource_name": "upper", "note": "${resources.side.host}"}
    executions.execute(house.platform, ME, "make", needs)
    house.rest()
    found = house.resources("shop")
    for name, code in (("db", "declared_by_spec"), ("workload", "declared_by_spec"), ("side", "still_used")):
        with pytest.raises(Conflict) as refused:
            deletions.delete_resource(house.platform, ME, found[name].id)
        assert refused.value.code == code
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {}
