"""What running a workflow would do. Writes nothing."""

from dataclasses import dataclass

from engine.domain import parameters
from engine.domain.plan import Plan
from engine.domain.provider import Provider, ProviderWorkflow, WorkflowCategory
from engine.domain.runs import Outputs
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import JsonObject
from engine.services import environment_names
from engine.services.executions import resource_wanted, workflow_named
from engine.services.platform import Platform
from engine.services.provisioner_requests import plan_of_request


@dataclass(frozen=True, slots=True)
class Preview:
    """The workflow with the inputs it would get; `plan` when naming it is a request for a resource."""

    provider: Provider
    workflow: ProviderWorkflow
    inputs: Outputs
    plan: Plan | None = None


def of_execution(
    platform: Platform,
    workflow: str,
    inputs: JsonObject,
    *,
    from_text: bool = False,
    environment: str | None = None,
) -> Preview:
    """What `executions.execute` would do. Raises what it would raise."""
    provider, found = workflow_named(platform, workflow)
    where = environment_names.checked(environment) if environment else DEFAULT_ENVIRONMENT
    definition = found.definition
    if found.category is not WorkflowCategory.PROVISIONER:
        bound = parameters.bind(definition.parameters, inputs, from_text=from_text)
        return Preview(provider, found, Outputs(bound, definition.secret_parameters))
    wanted = resource_wanted(platform, found, inputs, where, from_text=from_text)
    with platform.store.read() as tx:
        plan = plan_of_request(tx, platform, wanted)
    kind = provider.resource_type(wanted.type)
    secret = definition.secret_parameters | (kind.secret_params if kind else frozenset[str]())
    return Preview(provider, found, Outputs(wanted.params, secret), plan)
