"""What we ship is read by the platform without a single problem."""

from pathlib import Path

import pytest

from engine.domain import provider_reader, spec_reader
from engine.domain.provider import Operation, Provider
from engine.steps import registry
from tests.shipped.steps import PROVIDERS

EXAMPLES = PROVIDERS.parent / "examples"
OURS = ["hello", "ecommerce-backend", "ecommerce-backend-v2", "shared-database-a", "shared-database-b"]


def load(name: str) -> Provider:
    root = PROVIDERS / name
    paths = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    provider, problems = provider_reader.read(
        {str(path.relative_to(root)): path.read_bytes() for path in paths},
        digest=name,
        check_config=registry.config_problems,
        step_types=registry.step_types(),
    )
    assert not problems
    assert provider
    return provider


@pytest.mark.parametrize("name", ["builtin", "local-team"])
def test_a_shipped_provider_loads_without_a_problem(name: str) -> None:
    for kind in load(name).resource_types:
        assert {Operation.CREATE, Operation.UPDATE, Operation.DELETE} <= set(kind.operations), kind.name


@pytest.mark.parametrize("name", ["builtin", "local-team"])
def test_every_declared_output_is_given_by_the_workflow_that_creates(name: str) -> None:
    provider = load(name)
    for kind in provider.resource_types:
        for operation in (Operation.CREATE, Operation.UPDATE):
            workflow = provider.workflows[kind.operations[operation].default].definition
            given = {output for output, declared in workflow.outputs.items() if declared.secret}
            assert {output.name for output in kind.outputs} == set(workflow.outputs), kind.name
            assert kind.secret_outputs == given, kind.name


def test_the_golden_path_is_offered_to_people() -> None:
    assert [path.name for path in load("local-team").golden_paths] == ["onboard-service"]


@pytest.mark.parametrize("name", OURS)
def test_an_example_is_a_strict_score_document_of_types_we_ship(name: str) -> None:
    parsed = spec_reader.read(Path(EXAMPLES / f"{name}.yaml").read_bytes(), strict=True)
    assert not parsed.problems
    assert parsed.spec
    shipped = [load("builtin"), load("local-team")]
    for declared in parsed.spec.resources.values():
        assert any(provider.resource_type(declared.type) for provider in shipped), declared.type


def test_the_second_version_adds_a_volume_and_changes_one_variable_and_leaves_the_database_alone() -> None:
    first, second = (
        spec_reader.read((EXAMPLES / f"{name}.yaml").read_bytes()).spec
        for name in ("ecommerce-backend", "ecommerce-backend-v2")
    )
    assert first
    assert second
    assert first.application == second.application
    assert set(second.resources) - set(first.resources) == {"uploads"}
    assert {name: second.resources[name].params for name in first.resources} == {
        name: declared.params for name, declared in first.resources.items()
    }
