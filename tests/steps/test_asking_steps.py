"""`set`, `workflow` and `resource-provisioning`: steps that touch nothing themselves."""

import json
from typing import Protocol

import pytest

from engine.domain.values import JsonObject
from engine.steps import registry
from engine.steps.base import (
    ChildExecution,
    RequestedResource,
    Resumed,
    StepFailed,
    StepResult,
    SubmittedSpec,
    Suspend,
)


class Lab(Protocol):
    def start(self, step_type: str, config: JsonObject, *, resumed: Resumed | None = None) -> StepResult | Suspend: ...


def test_set_gives_out_its_values_with_their_types(lab: Lab) -> None:
    values: JsonObject = {"a": 1, "b": "1", "c": [True, None], "d": {"e": 1.5}}
    assert lab.start("set", {"values": values}) == StepResult(outputs=values)
    assert lab.start("set", {"outputs": values}) == StepResult(outputs=values)


def test_workflow_waits_for_its_child_and_hands_on_its_outputs(lab: Lab) -> None:
    config: JsonObject = {"workflow": "team/onboard", "inputs": {"n": 2, "x": {"y": []}}}
    assert lab.start("workflow", config) == Suspend(on=ChildExecution("team/onboard", {"n": 2, "x": {"y": []}}))
    done = Resumed(succeeded=True, outputs={"url": "u", "key": "k"}, secret_outputs=frozenset({"key"}))
    assert lab.start("workflow", config, resumed=done) == StepResult({"url": "u", "key": "k"}, frozenset({"key"}))
    with pytest.raises(StepFailed, match="`team/onboard` failed: disk full"):
        lab.start("workflow", config, resumed=Resumed(succeeded=False, error="disk full"))


def test_a_resource_is_requested_and_its_outputs_handed_on(lab: Lab) -> None:
    config: JsonObject = {
        "type": "postgres",
        "class": "large",
        "name": "db",
        "id": "shared",
        "params": {"size": 3},
        "application": "shop",
        "operation": "delete",
    }
    assert lab.start("resource-provisioning", config) == Suspend(
        on=RequestedResource(
            name="db",
            type="postgres",
            params={"size": 3},
            resource_class="large",
            id="shared",
            operation="delete",
            application="shop",
        )
    )
    done = Resumed(succeeded=True, outputs={"password": "p"}, secret_outputs=frozenset({"password"}))
    assert lab.start("resource-provisioning", config, resumed=done) == StepResult(
        {"password": "p"}, frozenset({"password"})
    )
    with pytest.raises(StepFailed, match="resource `db` failed: no room"):
        lab.start("resource-provisioning", config, resumed=Resumed(succeeded=False, error="no room"))


def test_a_resource_without_a_name_is_called_by_its_type(lab: Lab) -> None:
    assert lab.start("resource-provisioning", {"type": "redis"}) == Suspend(
        on=RequestedResource(name="redis", type="redis", params={})
    )


def test_a_spec_may_be_text_or_a_mapping(lab: Lab) -> None:
    text = lab.start("resource-provisioning", {"spec": "apiVersion: score.dev/v1b1\n", "environment": "dev"})
    assert text == Suspend(on=SubmittedSpec("apiVersion: score.dev/v1b1\n", "dev"))
    mapping = lab.start("resource-provisioning", {"spec": {"metadata": {"name": "é"}}})
    assert isinstance(mapping, Suspend)
    assert isinstance(mapping.on, SubmittedSpec)
    assert json.loads(mapping.on.source) == {"metadata": {"name": "é"}}


FAULTS: list[tuple[str, JsonObject]] = [
    ("resource-provisioning", {}),
    ("resource-provisioning", {"type": "a", "spec": "b"}),
    ("resource-provisioning", {"type": "a", "environment": "b"}),
    ("resource-provisioning", {"spec": "a", "params": {}}),
    ("resource-provisioning", {"type": "a", "operation": "read"}),
    ("workflow", {"workflow": ""}),
    ("workflow", {"workflow": "a", "inputs": []}),
    ("set", {"values": {"a": 1}, "outputs": {"a": 2}}),
]


@pytest.mark.parametrize(("step_type", "config"), FAULTS)
def test_config_problems_are_found_before_the_run(step_type: str, config: JsonObject) -> None:
    assert len(registry.config_problems(step_type, config)) == 1
