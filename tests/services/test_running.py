"""Golden paths, provisioners by name, and what may be done with an execution."""

import pytest

from engine.domain.execution import ExecutionState
from engine.domain.values import ExecutionId, JsonObject, ResourceId
from engine.errors import Conflict, Invalid, NotFound
from engine.services import executions, resources, variables
from tests.services.conftest import ME, House
from tests.support.score import score


def test_a_golden_path_runs_and_gives_its_outputs(house: House) -> None:
    run = executions.execute(house.platform, ME, "hello", {"name": "ann", "size": "3"}, from_text=True)
    assert run is not None
    view = executions.wait(house.platform, run, seconds=10)
    assert (view.execution.state, view.execution.outputs.values) == (ExecutionState.SUCCEEDED, {"text": "hello ann"})
    assert [step.name for step in view.steps] == ["greeted"]


def test_an_unknown_workflow_is_not_found_with_the_nearest(house: House) -> None:
    with pytest.raises(NotFound) as missing:
        executions.execute(house.platform, ME, "helo", {})
    assert "`hello`" in missing.value.hint


def test_every_invalid_input_is_told_at_once(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        executions.execute(house.platform, ME, "hello", {"name": "ANN", "size": 99, "colour": "red"})
    told = " ".join(str(problem) for problem in refused.value.problems)
    assert all(word in told for word in ("name", "size", "colour"))
    assert executions.listed(house.platform).items == ()


def test_naming_a_provisioner_asks_for_the_resource_with_that_workflow(house: House) -> None:
    inputs: JsonObject = {"app_name": "shop", "resource_name": "side", "size": "2"}
    run = executions.execute(house.platform, ME, "make", inputs, from_text=True)
    assert run is not None
    house.rest()
    found = house.resources("shop")["side"]
    assert (found.key.type, found.outputs["size"], found.execution_id) == ("database", 2, run)
    assert executions.execute(house.platform, ME, "make", inputs, from_text=True) is None
    with pytest.raises(Invalid, match="say which"):
        executions.execute(house.platform, ME, "make", {})
    with pytest.raises(Conflict, match="cannot be run by itself"):
        executions.execute(house.platform, ME, "remove", {"app_name": "shop"})
    with pytest.raises(Invalid, match="cannot be asked for"):
        executions.execute(house.platform, ME, "make", {"app_name": "Not A Name"})


def test_the_same_key_runs_a_golden_path_once(house: House) -> None:
    first = executions.execute(house.platform, ME, "hello", {"name": "ann"}, idempotency_key="k")
    assert executions.execute(house.platform, ME, "hello", {"name": "ann"}, idempotency_key="k") == first
    with pytest.raises(Conflict, match="another execute"):
        executions.execute(house.platform, ME, "hello", {"name": "bob"}, idempotency_key="k")
    house.rest()
    assert len(executions.listed(house.platform).items) == 1


def test_what_has_ended_is_neither_cancelled_nor_continued(house: House) -> None:
    run = executions.execute(house.platform, ME, "hello", {"name": "ann"})
    assert run is not None
    house.rest()
    with pytest.raises(Conflict) as ended:
        executions.cancel(house.platform, ME, run)
    assert ended.value.code == "already_ended"
    with pytest.raises(Conflict, match="has succeeded; only a failed or cancelled one can be retried") as not_failed:
        executions.retry(house.platform, ME, run)
    assert not_failed.value.code == "illegal_transition"
    with pytest.raises(Conflict) as not_waiting:
        executions.resume(house.platform, ME, run, "greeted")
    assert not_waiting.value.code == "not_waiting"


def test_a_person_continues_or_cancels_what_waits(house: House) -> None:
    run = executions.execute(house.platform, ME, "waiting", {})
    assert run is not None
    house.rest()
    with pytest.raises(Conflict, match="`after` does not wait"):
        executions.resume(house.platform, ME, run, "after")
    executions.resume(house.platform, ME, run, "gate")
    house.rest()
    assert executions.get(house.platform, run).execution.state is ExecutionState.SUCCEEDED
    other = executions.execute(house.platform, ME, "waiting", {})
    assert other is not None
    house.rest()
    executions.cancel(house.platform, ME, other)
    house.rest()
    assert executions.get(house.platform, other).execution.state is ExecutionState.CANCELLED
    assert executions.retry(house.platform, ME, other) == other
    house.rest()
    assert executions.get(house.platform, other).execution.state is ExecutionState.WAITING


def test_what_does_not_exist_is_not_found(house: House) -> None:
    none, platform = ExecutionId(99), house.platform
    for ask in (
        lambda: executions.get(platform, none),
        lambda: executions.logs(platform, none),
        lambda: executions.retry(platform, ME, none),
        lambda: executions.cancel(platform, ME, none),
        lambda: executions.resume(platform, ME, none, "x"),
        lambda: resources.get(platform, ResourceId(99)),
        lambda: resources.retry(platform, ME, ResourceId(99)),
        lambda: resources.resolve(platform, ME, ResourceId(99), as_="gone"),
        lambda: resources.find(platform, "9" * 40),
    ):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(Invalid, match="no execution state"):
        executions.listed(platform, state="asleep")
    with pytest.raises(Invalid, match="no resource state"):
        resources.listed(platform, state="asleep")
    with pytest.raises(Invalid, match="cursor"):
        executions.listed(platform, cursor="x")


def test_only_what_failed_is_retried(house: House) -> None:
    house.submit(score(db="database"))
    house.rest()
    with pytest.raises(Conflict, match="only a failed resource can be retried"):
        resources.retry(house.platform, ME, house.resources("shop")["db"].id)


def test_variables_are_not_given_out_before_they_are_known(house: House) -> None:
    house.submit(score(gate="gated", variables={"HOST": "${resources.gate.host}", "KEY": "k:${resources.gate.key}"}))
    house.rest()
    with pytest.raises(Conflict) as early:
        variables.of_application(house.platform, "shop")
    assert early.value.code == "not_ready"
    house.open_gates()
    found = variables.of_application(house.platform, "shop")
    assert found.containers == {"main": {"HOST": "shop.gate.test", "KEY": "k:s3cret-key"}}
    assert found.secret == {"main": frozenset({"KEY"})}


def test_a_golden_path_works_in_the_environment_it_was_asked_for(house: House) -> None:
    run = executions.execute(house.platform, ME, "hello", {"name": "ann"}, environment="staging")
    assert run is not None
    assert executions.get(house.platform, run).execution.environment == "staging"
    house.rest()
