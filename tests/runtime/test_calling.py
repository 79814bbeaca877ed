"""Steps that wait for others: sub-workflows, resources, whole specs; and which bundle a run is bound to."""

from pathlib import Path

import pytest

from engine.domain.values import ExecutionId
from engine.services import executions
from engine.store.database import Store
from tests.support.platforms import ME, House, build_platform, running_platform
from tests.support.providers import kind, script, values, workflow, write_provider

DIR = [{"name": "dir", "type": "string", "required": True}]
NAME = [{"name": "name", "type": "string", "required": True}]
SPEC = """\
apiVersion: score.dev/v1b1
metadata: {name: "{{ parameters.name }}"}
containers: {main: {image: nginx}}
resources: {db: {type: store, params: {size: 3}}}
"""


def calls(name: str, **inputs: str) -> dict[str, object]:
    return {"name": "call", "type": "workflow", "config": {"workflow": name, "inputs": inputs}}


def asks(**config: object) -> dict[str, object]:
    return {"name": "ask", "type": "resource-provisioning", "config": config}


GOLDEN = {
    "double": workflow(
        [values("double", n="{{ parameters.n * 2 }}")], parameters=[{"name": "n", "type": "int", "required": True}]
    ),
    "caller": workflow(
        [values("before", n=4), calls("double", n="{{ steps.before.outputs.n }}"), values("after", got="{{ steps.call.outputs.n }}")]
    ),
    "fragile": workflow(
        [script("mark", 'echo x >> "$PARAM_DIR/marks"'), script("needs", '[ -e "$PARAM_DIR/go" ]')], parameters=DIR
    ),
    "outer": workflow([calls("fragile", dir="{{ parameters.dir }}"), values("after", a=1)], parameters=DIR),
    "ouroboros": workflow([calls("ouroboros")]),
    "ping": workflow([calls("pong")]),
    "pong": workflow([calls("ping")]),
    "wrong-inputs": workflow([calls("double", n="many")]),
    "make-store": workflow(
        [asks(type="store", name="main", application="{{ parameters.name }}", params={"size": 7}),
         values("after", got="{{ steps.ask.outputs.size }}")],
        parameters=NAME,
    ),
    "make-broken": workflow([asks(type="broken", application="{{ parameters.name }}")], parameters=NAME),
    "nobodys": workflow([asks(type="store")]),
    "make-app": workflow([asks(spec=SPEC), values("after", done=True)], parameters=NAME),
    "make-selfish": workflow([asks(type="selfish", application="{{ parameters.name }}")], parameters=NAME),
}  # fmt: skip
WORKFLOWS = {
    "make": workflow([values("made", size="{{ parameters.size }}", at="here")], parameters=[{"name": "size", "type": "int", "default": 1}]),
    "break": workflow([script("breaks", "echo no such luck >&2; exit 1")]),
    "self": workflow([asks(type="selfish", name="selfish")]),
}  # fmt: skip
KINDS = {"store": kind("make"), "broken": kind("break"), "workload": kind(), "selfish": kind("self")}


def child_of(house: House, execution_id: ExecutionId) -> ExecutionId:
    (run,) = [run for run in house.steps(execution_id) if run.name == "call"][-1:]
    return ExecutionId(run.wait_ref or 0)


def test_a_child_gets_its_inputs_and_gives_its_outputs(house: House) -> None:
    done = house.run("caller")
    assert (done.state, done.outputs.values) == ("succeeded", {"got": 8}), done.error
    child = house.execution(child_of(house, done.id))
    assert (child.state, child.parent_id, child.parent_step, child.actor) == ("succeeded", done.id, "call", done.actor)


def test_a_child_that_fails_fails_its_parent_and_a_retry_goes_on_with_it(house: House, tmp_path: Path) -> None:
    done = house.run("outer", dir=str(tmp_path))
    child = child_of(house, done.id)
    assert done.state == "failed"
    assert f"Execution {child} of `fragile` failed" in done.error
    (tmp_path / "go").touch()
    assert house.ended(house.retry(done.id)).state == "succeeded"
    assert child_of(house, done.id) == child
    assert (house.execution(child).state, house.execution(child).attempt) == ("succeeded", 2)
    assert (tmp_path / "marks").read_text().split() == ["x"], "what the child had done is kept"


@pytest.mark.parametrize(("name", "chain"), [("ouroboros", "ouroboros → ouroboros"), ("ping", "ping → pong → ping")])
def test_workflows_that_call_themselves_are_stopped_with_the_chain_named(house: House, name: str, chain: str) -> None:
    done = house.run(name)
    assert done.state == "failed"
    assert "more than 10 deep" in done.error
    assert chain in done.error
    assert house.idle()


def test_wrong_inputs_of_a_child_are_told_in_its_callers_words(house: House) -> None:
    done = house.run("wrong-inputs")
    assert done.state == "failed"
    assert done.error == "step `call`: n: `n` must be a whole number"


def test_a_requested_resource_is_made_and_its_outputs_are_read(house: House) -> None:
    done = house.run("make-store", name="shop")
    assert (done.state, done.outputs.values) == ("succeeded", {"got": 7}), done.error
    assert house.resource("store/shop.main").outputs["size"] == 7
    again = house.run("make-store", name="shop")
    assert again.outputs.values == {"got": 7}, "asking twice is asking once"
    assert len([key for key in house.resources() if key.startswith("store/shop")]) == 1


def test_a_requested_resource_that_fails_fails_the_step_with_its_reason(house: House) -> None:
    done = house.run("make-broken", name="shop")
    assert done.state == "failed"
    assert "no such luck" in done.error


def test_a_request_without_an_application_says_how_to_name_one(house: House) -> None:
    assert "application:" in house.run("nobodys").error


def test_a_submitted_spec_is_waited_for_until_all_of_it_stands(house: House) -> None:
    done = house.run("make-app", name="blog")
    assert (done.state, done.outputs.values) == ("succeeded", {"done": True}), done.error
    assert {house.resource(key).state for key in house.resources() if "blog" in key} == {"active"}
    assert len([key for key in house.resources() if "blog" in key]) == 2


def test_a_spec_that_changes_nothing_is_not_waited_for(store: Store, tmp_path: Path) -> None:
    provider = write_provider(tmp_path / "team", golden=GOLDEN, kinds=KINDS, workflows=WORKFLOWS)
    with running_platform(store, tmp_path, [provider], sweep_seconds=3600.0) as house:
        assert house.run("make-app", name="blog").state == "succeeded"
        stands = house.resources()
        again = house.run("make-app", name="blog")
        assert (again.state, again.outputs.values) == ("succeeded", {"done": True}), again.error
        assert house.resources() == stands


def test_a_resource_whose_workflow_asks_for_itself_fails_instead_of_waiting_for_ever(house: House) -> None:
    done = house.run("make-selfish", name="shop")
    assert done.state == "failed"
    assert "asks for the `selfish` it works for itself" in done.error


def gated(text: str) -> dict[str, object]:
    return workflow(
        [
            {**values("gate", open=True), "when": "manual"},
            script("says", f'echo "said={text}" >> $INNOMINATUS_OUTPUT; {"false" if text == "old" else "true"}'),
        ]
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_execution_keeps_the_bundle_it_was_made_with_over_wait_failure_and_retry(
    store: Store, tmp_path: Path
) -> None:
    old = write_provider(tmp_path / "old", golden={"talk": gated("old")})
    new = write_provider(tmp_path / "new", version="2.0.0", golden={"talk": gated("new")})
    before = build_platform(store, tmp_path, [old])
    before.engine.start()
    first = before.execute("talk")
    before.step_in(first, "gate", "waiting")
    before.engine.stop(grace=1)
    after = build_platform(store, tmp_path / "elsewhere", [new])
    after.engine.start()
    try:
        executions.resume(after.platform, ME, first, "gate")
        failed = after.ended(first)
        assert failed.state == "failed"
        again = after.retry(first)
        after.step_in(again, "gate", "succeeded")
        assert after.ended(again).state == "failed", "the old script still runs"
        second = after.execute("talk")
        after.step_in(second, "gate", "waiting")
        executions.resume(after.platform, ME, second, "gate")
        assert after.ended(second).outputs.values == {"said": "new"}
    finally:
        after.engine.stop(grace=0.2)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_a_provider_made_is_removed_by_its_own_workflow_after_it_is_gone(store: Store, tmp_path: Path) -> None:
    spec = "apiVersion: score.dev/v1b1\nmetadata: {name: old}\ncontainers: {main: {image: x}}\nresources: {db: {type: thing}}\n"
    leaves = workflow([script("leaves", f"touch {tmp_path}/gone")])
    kinds = {"thing": kind("noop", delete="leave"), "workload": kind()}
    before = build_platform(
        store, tmp_path, [write_provider(tmp_path / "full", kinds=kinds, workflows={"leave": leaves})]
    )
    before.engine.start()
    before.submit(spec)
    before.resource_in("thing/old.db", "active")
    before.engine.stop(grace=1)
    other = write_provider(tmp_path / "other", name="other-team", kinds={"workload": kind()})
    after = build_platform(store, tmp_path / "elsewhere", [other])
    after.engine.start()
    try:
        after.delete("old")
        after.resource_in("thing/old.db", "terminated")
        assert (tmp_path / "gone").exists()
    finally:
        after.engine.stop(grace=0.2)
