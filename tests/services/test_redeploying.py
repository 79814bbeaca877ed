"""Submissions of what exists already: what changed is updated, the rest left alone."""

from pathlib import Path

from engine.domain.plan import Action
from engine.services import variables
from tests.services.conftest import Build, House, actions, reasons
from tests.support import team
from tests.support.score import score


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
