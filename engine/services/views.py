"""How nouns look as JSON, the same through every door, secrets masked; `reveal` is for the person at the keyboard."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import orjson

from engine.domain.application import SubmittedVersion
from engine.domain.changes import MASK
from engine.domain.event import Event
from engine.domain.execution import FINAL, StepState
from engine.domain.plan import Plan, PlanItem
from engine.domain.provider import OperationWorkflows, Provider, ProviderWorkflow, ResourceType
from engine.domain.resource import Resource
from engine.domain.runs import Execution, ListedExecution, Outputs, StepRun
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Parameter
from engine.errors import Problem
from engine.services.applications import ApplicationView, ListedApplication
from engine.services.checking import Verdict
from engine.services.claiming import Claiming
from engine.services.overview import Overview
from engine.services.resources import ResourceDetails
from engine.services.submissions import Submission
from engine.services.variables import Variables


def moment(value: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond. Lists have several of them in each row: `isoformat` takes twice as long."""
    if value is None:
        return None
    text = orjson.dumps(value if value.tzinfo is UTC else value.astimezone(UTC))  # quoted, in microseconds if not zero
    return f"{text[1:24].decode()}Z" if value.microsecond else f"{text[1:20].decode()}.000Z"


def masked(outputs: Outputs) -> JsonObject:
    """The values with `***` for every secret one."""
    return {name: MASK if name in outputs.secret else value for name, value in outputs.values.items()}


def problem(found: Problem) -> JsonObject:
    return {**found.members()}


def plan_item(item: PlanItem) -> JsonObject:
    changes: list[Json] = [{"path": c.path, "before": c.before, "after": c.after} for c in item.changes]
    view: JsonObject = {
        "action": item.action.value,
        "resource": str(item.key),
        "name": item.name,
        "type": item.key.type,
        "reason": item.reason,
        "provider": item.provider,
        "provider_version": item.version,
        "workflow": item.workflow,
        "changes": changes,
        "depends_on": [str(key) for key in item.depends_on],
        "known_after_apply": list(item.known_after_apply),
    }
    return {key: value for key, value in view.items() if value not in ("", [], None)}


def plan(made: Plan) -> JsonObject:
    return {
        "plan_hash": made.hash,
        "summary": made.summary,
        "has_changes": made.has_changes,
        "destructive": made.destructive,
        "items": [plan_item(item) for item in made.items],
    }


def submission(made: Submission) -> JsonObject:
    """The answer to a submit or delete; `plan` is left out of a replayed one."""
    view: JsonObject = {
        "application": made.application,
        "environment": made.environment,
        "applied": made.applied,
        "plan_hash": made.plan_hash,
        "version": made.version,
        "execution_ids": list(made.execution_ids),
        "replayed": made.replayed,
        "warnings": [problem(found) for found in made.warnings],
    }
    return view if made.plan is None else {**view, "plan": plan(made.plan)}


def application(view: ApplicationView | ListedApplication) -> JsonObject:
    found = view.application
    return {
        "id": found.id,
        "name": found.name,
        "environment": found.environment,
        "status": view.status,
        "version": view.version,
        "resource_count": view.resource_count,
        "created_by": found.created_by,
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
        "expires_at": moment(found.expires_at),
    }


def application_details(view: ApplicationView) -> JsonObject:
    return {**application(view), "resources": [resource(item) for item in view.resources]}


def resource(found: Resource, *, reveal: bool = False) -> JsonObject:
    outputs = Outputs(found.outputs, found.secret_outputs)
    return {
        "id": found.id,
        "application_name": found.application,
        "environment": found.key.environment,
        "resource_name": found.name,
        "resource": str(found.key),
        "resource_type": found.key.type,
        "resource_class": found.key.resource_class,
        "state": found.state.value,
        "health_status": {"active": "healthy", "degraded": "unhealthy"}.get(found.state.value, "unknown"),
        "configuration": found.params,
        "outputs": outputs.values if reveal else masked(outputs),
        "secret_outputs": [*sorted(found.secret_outputs)],
        "provider_id": found.provider,
        "workflow_execution_id": found.execution_id,
        "desired_operation": None if found.pending is None else found.pending.value,
        "generation": found.desired_generation,
        "observed_generation": found.observed_generation,
        "blocked_by": found.blocked_by,
        "error_message": found.error,
        "reason": found.reason,
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
    }


def resource_details(details: ResourceDetails, *, reveal: bool = False) -> JsonObject:
    return {
        **resource(details.resource, reveal=reveal),
        "depends_on": [_brief(other) for other in details.depends_on],
        "dependants": [_brief(other) for other in details.dependants],
        "used_by": [*details.used_by],
        "transitions": [event(fact) for fact in details.transitions],
    }


def _brief(found: Resource) -> JsonObject:
    return {"id": found.id, "resource": str(found.key), "state": found.state.value}


def event(fact: Event) -> JsonObject:
    return {
        "id": fact.id,
        "at": moment(fact.at),
        "kind": fact.kind,
        "actor": fact.actor,
        "execution_id": fact.execution_id,
        "data": fact.data,
    }


def timeline_event(fact: Event) -> JsonObject:
    """An event where it stands alone: with what it is about."""
    about: JsonObject = {"application_id": fact.application_id, "resource_id": fact.resource_id}
    return {**event(fact), **about, "position": str(fact.position)}


def spec_version(found: SubmittedVersion) -> JsonObject:
    """A submitted version without its text, which may hold secrets."""
    return {
        "version": found.version,
        "digest": found.digest,
        "submitted_by": found.submitted_by,
        "submitted_at": moment(found.submitted_at),
    }


def variables(found: Variables, *, reveal: bool = False) -> JsonObject:
    containers: dict[str, Json] = {
        container: {
            key: MASK if key in found.secret.get(container, ()) and not reveal else value
            for key, value in values.items()
        }
        for container, values in found.containers.items()
    }
    secret: dict[str, Json] = {container: [*sorted(keys)] for container, keys in found.secret.items()}
    return {"containers": containers, "secret": secret}


def overview(found: Overview) -> JsonObject:
    """Counts of what stands and runs; of what is over, how often it ever came to that end."""
    by_state, by_type = Counter[str](), Counter[str]()
    for (kind, state), count in found.resources.items():
        by_state[state] += count
        by_type[kind] += count
    by_state["terminated"] = found.totals.get("resource.terminated", 0)
    ended = {state.value: found.totals.get(f"execution.{state}", 0) for state in FINAL}
    runs = {state: count for state, count in sorted({**found.executions, **ended}.items()) if count}
    return {
        "applications": found.applications,
        "environments": found.environments,
        "providers": found.providers,
        "golden_paths": found.golden_paths,
        "resources": by_type.total(),
        "resources_by_type": dict(sorted(by_type.items())),
        "resources_by_state": {state: count for state, count in sorted(by_state.items()) if count},
        "executions": sum(runs.values()),
        "executions_by_state": {**runs},
    }


def claiming(found: Claiming) -> JsonObject:
    pause = found.paused
    return {
        "paused": pause is not None,
        "by": pause.actor if pause else "",
        "since": moment(pause.at) if pause else None,
        "reason": pause.reason if pause else "",
        "running": found.running,
        "queued": found.queued,
        "unattended": found.unattended,
    }


def execution(run: Execution | ListedExecution) -> JsonObject:
    return {
        "id": run.id,
        "application_name": run.application,
        "environment": run.environment,
        "workflow_name": run.workflow,
        "provider": run.provider,
        "operation": None if run.operation is None else run.operation.value,
        "resource_id": run.resource_id,
        "parent_id": run.parent_id,
        "status": run.state.value,
        "attempt": run.attempt,
        "actor": run.actor,
        "total_steps": run.total_steps,
        "completed_steps": run.completed_steps,
        "failed_steps": run.failed_steps,
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at),
        "completed_at": moment(run.finished_at),
        "duration_ms": run.duration_ms,
        "error_message": run.error,
        "reason": run.reason,
    }


def execution_details(run: Execution, steps: Iterable[StepRun]) -> JsonObject:
    return {
        **execution(run),
        "inputs": masked(Outputs(run.inputs.values, run.inputs.secret)),
        "outputs": masked(run.outputs),
        "steps": [step(item) for item in steps],
    }


def step(run: StepRun) -> JsonObject:
    """`upstream_failed` is shown as `skipped`, with its reason."""
    state = StepState.SKIPPED if run.state is StepState.UPSTREAM_FAILED else run.state
    return {
        "step_number": run.position + 1,
        "step_name": run.name,
        "step_type": run.type,
        "status": state.value,
        "attempt": run.attempt,
        "started_at": moment(run.started_at),
        "completed_at": moment(run.finished_at),
        "duration_ms": run.duration_ms,
        "error_message": run.error,
        "reason": run.reason,
        "waits_for": None if run.wait_kind is None else {"kind": run.wait_kind.value, "ref": run.wait_ref},
        "outputs": masked(run.outputs),
    }


def parameter(item: Parameter) -> JsonObject:
    view: JsonObject = {
        "name": item.name,
        "type": item.type.value,
        "required": item.required,
        "default": MASK if item.secret and item.default is not None else item.default,
        "description": item.description,
        "pattern": item.pattern,
        "enum": list(item.enum),
        "min": item.minimum,
        "max": item.maximum,
        "secret": item.secret,
    }
    kept = {"name", "type", "required"}
    return {key: value for key, value in view.items() if key in kept or _said(key, value)}


def _said(key: str, value: Json) -> bool:
    """False for what a parameter does not declare. A default of `false`, or a minimum of 0, is declared."""
    return value is not None and value not in ("", []) and (value is not False or key == "default")


def workflow(item: ProviderWorkflow, provider_name: str) -> JsonObject:
    return {
        "name": item.name,
        "provider": provider_name,
        "category": item.category.value,
        "operation": None if item.operation is None else item.operation.value,
        "description": item.description or item.definition.description,
        "tags": [*sorted(item.tags)],
        "parameters": [parameter(declared) for declared in item.definition.parameters],
        "steps": [{"name": s.name, "type": s.type, "needs": list(s.needs)} for s in item.definition.steps],
        "outputs": [*sorted(item.definition.outputs)],
    }


def resource_type(kind: ResourceType) -> JsonObject:
    return {
        "type": kind.name,
        "aliases": [*kind.aliases],
        "description": kind.description,
        "operations": {operation.value: _workflows(named) for operation, named in kind.operations.items()},
        "params": kind.params_schema,
        "outputs": [
            {"name": o.name, "type": o.type, "secret": o.secret, "description": o.description} for o in kind.outputs
        ],
        "examples": [*kind.examples],
        "protect": [*sorted(kind.protect)],
        "retain": [*sorted(kind.retain)],
        "local": kind.local,
    }


def _workflows(named: OperationWorkflows) -> Json:
    return named.default if len(named.choices) == 1 else [choice.workflow for choice in named.choices]


def provider(found: Provider) -> JsonObject:
    return {
        "name": found.name,
        "version": found.version,
        "category": found.category,
        "description": found.description,
        "digest": found.digest,
        "resource_types": [name for kind in found.resource_types for name in (kind.name, *kind.aliases)],
        "golden_paths": [path.name for path in found.golden_paths],
        "workflow_count": len(found.workflows),
    }


def provider_details(found: Provider) -> JsonObject:
    return {
        **provider(found),
        "resource_types": [resource_type(kind) for kind in found.resource_types],
        "workflows": [workflow(item, found.name) for item in found.workflows.values()],
    }


def verdict(found: Verdict) -> JsonObject:
    return {"kind": found.kind.value, "valid": found.valid, "problems": [problem(item) for item in found.problems]}
