"""What failed or was cancelled: whom it blocks, and how people and submissions get past it."""

from pathlib import Path

import pytest

from engine.domain.provider import Operation
from engine.domain.resource import ResourceState
from engine.domain.values import ExecutionId
from engine.errors import Conflict, Invalid
from engine.services import diagnosis, executions, resources, variables
from tests.services.conftest import ME, House, reasons
from tests.support.score import score


def fragile(flag: Path, **params: object) -> dict[str, object]:
    return {"type": "fragile", "params": {"needs_file": str(flag), **params}}


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


def test_what_is_asked_for_anew_shows_no_error_of_what_was_wanted_before(house: House, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    needs = {"type": "fragile", "params": {"needs_file": str(flag), "note": "${resources.gate.seen}"}}
    reads = {"HOST": "${resources.frail.host}"}
    house.submit(score(gate={"type": "gated", "params": {"note": "one"}}, frail=needs, variables=reads))
    house.rest()
    house.open_gates()
    before = house.resources("shop")["frail"]
    assert "file" in before.error
    house.submit(score(gate={"type": "gated", "params": {"note": "two"}}, frail=needs, variables=reads))
    house.rest()
    frail, gate = house.resources("shop")["frail"], house.resources("shop")["gate"]
    assert frail.awaits_turn
    assert frail.error == ""
    assert diagnosis.of_resource(house.platform, frail.id) is None, "nothing of what is wanted now has failed"
    told = [fact.data["error"] for fact in resources.get(house.platform, frail.id).transitions]
    assert before.error in told, "its history keeps what it was"
    with pytest.raises(Conflict, match="yet") as unresolved:
        variables.of_application(house.platform, "shop")
    assert unresolved.value.code == "not_ready"
    executions.cancel(house.platform, ME, gate.execution_id or ExecutionId(0))
    house.rest()
    why = diagnosis.of_resource(house.platform, gate.id)
    assert why is not None
    assert [one.resource_id for one in why.also] == [], "what waits did not fail"


def test_a_run_that_fails_for_what_is_not_wanted_any_more_leaves_its_error_in_the_history(house: House) -> None:
    uses = {"type": "gated", "params": {"note": "${resources.keeper.host}"}}
    house.submit(score(gate="gated"))
    house.rest()
    first = house.resources("shop")["gate"].execution_id
    house.submit(score(keeper="gated", gate=uses))
    house.rest()
    executions.cancel(house.platform, ME, first or ExecutionId(0))
    house.rest()
    gate = house.resources("shop")["gate"]
    assert (gate.state, gate.awaits_turn, gate.error) == (ResourceState.FAILED, True, "")
    failed = [fact for fact in resources.get(house.platform, gate.id).transitions if fact.kind == "resource.failed"]
    assert all(fact.data["error"] for fact in failed)


def fail_what_is_used(house: House, flag: Path) -> None:
    """`gate` stands on `frail`, whose update has failed."""
    flag.touch()
    uses = {"type": "gated", "params": {"note": "${resources.frail.host}"}}
    house.submit(score(frail=fragile(flag), gate=uses))
    house.rest()
    house.open_gates()
    flag.unlink()
    house.submit(score(frail=fragile(flag, size=2), gate=uses))
    house.rest()


def test_what_failed_and_is_kept_from_being_deleted_shows_its_error_again(house: House, tmp_path: Path) -> None:
    fail_what_is_used(house, tmp_path / "flag")
    error = house.resources("shop")["frail"].error
    house.delete("shop")
    house.rest()
    assert house.resources("shop")["frail"].error == ""
    gate = house.resources("shop")["gate"]
    executions.cancel(house.platform, ME, gate.execution_id or ExecutionId(0))
    house.rest()
    resources.resolve(house.platform, ME, gate.id, as_="active")
    frail = house.resources("shop")["frail"]
    assert (frail.reason, frail.error) == ("failed", error)


def test_a_failed_resource_is_deleted_after_what_used_it(house: House, tmp_path: Path) -> None:
    fail_what_is_used(house, tmp_path / "flag")
    assert house.states("shop")["frail"] == "failed"
    house.delete("shop")
    house.rest()
    assert house.states("shop") == {"frail": "failed", "gate": "terminating"}
    house.open_gates()
    assert house.states("shop") == {}


def test_a_run_that_fails_after_it_was_superseded_goes_on_with_the_newer_wish(house: House) -> None:
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


def test_variables_that_read_what_has_failed_say_so_instead_of_asking_to_wait(house: House, tmp_path: Path) -> None:
    house.submit(
        score(
            frail=fragile(tmp_path / "never"),
            db={"type": "database", "params": {"note": "${resources.frail.host}"}},
            variables={"HOST": "${resources.db.host}"},
        )
    )
    house.rest()
    with pytest.raises(Conflict, match="resource `frail` has failed: ") as blocked:
        variables.of_application(house.platform, "shop")
    assert blocked.value.code == "resource_failed"
    assert "Wait" not in blocked.value.hint
    house.submit(score("other", frail=fragile(tmp_path / "never"), variables={"HOST": "${resources.frail.host}"}))
    house.rest()
    with pytest.raises(Conflict, match="resource `frail` has failed: "):
        variables.of_application(house.platform, "other")
