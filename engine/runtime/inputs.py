"""The inputs an execution runs with: params with every placeholder resolved, bound to the workflow's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.domain import parameters, spec_reader
from engine.domain.placeholders import (
    PlaceholderError,
    output_references,
    refers_to_metadata,
    resolver,
    resource_references,
    substitute_tree,
)
from engine.domain.planner import canonical
from engine.domain.provider import Operation
from engine.domain.resource import Resource
from engine.domain.runs import Claim, Execution, Outputs
from engine.domain.spec import WORKLOAD
from engine.domain.values import ApplicationId, Json, JsonObject
from engine.domain.workflow import Workflow
from engine.domain.workload import resolve_workload
from engine.errors import Invalid, Problem
from engine.runtime.bench import Bench
from engine.store import applications, resources
from engine.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Subject:
    """The resource an execution works for, as expressions see it, with what must be masked."""

    view: JsonObject = field(default_factory=dict[str, Json])
    params: JsonObject = field(default_factory=dict[str, Json])
    secret_params: frozenset[str] = frozenset()
    fingerprint: str = ""
    masks: tuple[str, ...] = ()
    resource: Resource | None = None
    local: bool = False
    """Whether what the resource's provider makes lives in the place of the engine that made it."""


def subject_of(bench: Bench, claim: Claim) -> Subject:
    """Resolve the params of the claim's resource. Raises Invalid when a placeholder has no value."""
    execution, resource = claim.execution, claim.resource
    assert resource is not None
    metadata, neighbours = _surroundings(bench, resource)
    strict = execution.operation in {Operation.CREATE, Operation.UPDATE}
    params = _resolved(resource, metadata, neighbours, strict=strict)
    masks = [value for name in sorted(neighbours) for value in secret_texts(neighbours[name])]
    kind = bench.providers.provider(execution.digest).resource_type(resource.key.type)
    view: JsonObject = {
        "id": resource.key.id,
        "name": resource.name,
        "type": resource.key.type,
        "class": resource.key.resource_class,
        "application": resource.application,
        "operation": execution.operation.value if execution.operation else None,
        "outputs": resource.outputs,
        "params": params,
    }
    return Subject(
        view=view,
        params=params,
        secret_params=_secret_params(resource, neighbours) | (kind.secret_params if kind else frozenset[str]()),
        fingerprint=bench.store.sealer.fingerprint(canonical(params)),
        masks=tuple(masks + list(secret_texts(resource))),
        resource=resource,
        local=kind is not None and kind.local,
    )


def secret_texts(resource: Resource) -> tuple[str, ...]:
    """The secret outputs of a resource as text."""
    return tuple(str(resource.outputs[name]) for name in sorted(resource.secret_outputs & resource.outputs.keys()))


def _surroundings(bench: Bench, resource: Resource) -> tuple[JsonObject, Mapping[str, Resource]]:
    """What the resource refers to: metadata of its application, other resources by name. Nothing else is read."""
    used, metadata = resource_references(resource.params), refers_to_metadata(resource.params)
    if not used and not metadata:
        return {}, {}
    with bench.reading() as tx:
        return _metadata(tx, resource) if metadata else {}, resources.named(tx, resource.application_id, used)


def _metadata(tx: Transaction, resource: Resource) -> JsonObject:
    workload = resource if resource.key.type == WORKLOAD else None
    workload = workload or resources.named(tx, resource.application_id, [WORKLOAD]).get(WORKLOAD)
    written = workload.params.get("metadata") if workload else None
    if isinstance(written, dict):
        return written
    newest = applications.newest_spec(tx, ApplicationId(resource.application_id))
    spec = spec_reader.read(newest.source).spec if newest else None
    return spec.metadata if spec else {"name": resource.application}


def _resolved(
    resource: Resource, metadata: JsonObject, neighbours: Mapping[str, Resource], *, strict: bool
) -> JsonObject:
    resolve = resolver(metadata, {name: other.outputs for name, other in neighbours.items() if name != WORKLOAD})
    try:
        if resource.key.type == WORKLOAD:
            return resolve_workload(resource.params, resolve)
        params = substitute_tree(resource.params, resolve)
    except PlaceholderError as error:
        if not strict:  # what is being deleted may refer to what never came to be
            return resource.params
        problem = Problem("placeholder", f"resources.{resource.name}.params", str(error))
        raise Invalid(
            f"A value that `{resource.key}` needs is not there: {error}", [problem], code="placeholder"
        ) from None
    assert isinstance(params, dict)
    return params


def _secret_params(resource: Resource, neighbours: Mapping[str, Resource]) -> frozenset[str]:
    """Top-level params that carry another resource's secret."""
    return frozenset(
        name
        for name, value in resource.params.items()
        if any(
            output in neighbours[other].secret_outputs
            for other, output in output_references(value)
            if other in neighbours
        )
    )


def bound(execution: Execution, workflow: Workflow, subject: Subject) -> Outputs:
    """The inputs of a fresh execution. Raises Invalid with every problem."""
    if execution.resource_id is None:
        given = parameters.bind(workflow.parameters, execution.inputs.values)
        return Outputs(given, workflow.secret_parameters | execution.inputs.secret)
    about: JsonObject = {
        "app_name": execution.application,
        "resource_name": subject.view["name"],
        "resource_type": subject.view["type"],
        "environment": execution.environment,
        "operation": subject.view["operation"],
    }
    is_workload = subject.view["type"] == WORKLOAD
    params: JsonObject = {"workload": subject.params} if is_workload else subject.params
    given = parameters.bind(workflow.parameters, {**about, **params}, allow_unknown=True)
    given["resource"] = subject.view
    secret = workflow.secret_parameters | subject.secret_params | {"resource"}
    return Outputs(given, secret | ({"workload"} if is_workload else frozenset[str]()))
