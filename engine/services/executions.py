"""Run golden paths; read, retry, cancel and continue executions."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from engine.domain import parameters
from engine.domain.event import Event
from engine.domain.execution import EXECUTION_TRANSITIONS, FINAL, ExecutionState, StepState
from engine.domain.provider import Operation, Provider, ProviderWorkflow, WorkflowCategory
from engine.domain.reading import did_you_mean
from engine.domain.resource import ResourceState
from engine.domain.runs import Execution, ListedExecution, Outputs, StepRun
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Actor, ExecutionId, JsonObject
from engine.errors import Conflict, Invalid, NotFound
from engine.services import environment_names, paging, texts
from engine.services.idempotency import once
from engine.services.platform import Page, Platform
from engine.services.provisioner_requests import ResourceWanted, ask_for_resource
from engine.services.retrying import restart
from engine.services.starting import begun
from engine.store import events, executions, leavings, resources, steps
from engine.store.again import transacted
from engine.store.database import Transaction
from engine.store.executions import NewExecution
from engine.store.hints import of_end

_LONGEST_WAIT = 45.0


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution and the newest attempt of each step begun so far; `logs` per (step, attempt) where asked for."""

    execution: Execution
    steps: tuple[StepRun, ...] = ()


def execute(
    platform: Platform,
    actor: Actor,
    workflow: str,
    inputs: JsonObject,
    *,
    from_text: bool = False,
    idempotency_key: str | None = None,
    environment: str | None = None,
) -> ExecutionId | None:
    """Run a golden path; a provisioner's name becomes a request for that resource, so that nothing escapes the state.

    Inputs are checked at once. With `from_text` they are texts, as from a command line. The answer is None when a
    resource request found everything as wanted. Raises NotFound, Invalid (every problem), Conflict.
    """
    provider, found = workflow_named(platform, workflow)
    where = environment_names.checked(environment) if environment else DEFAULT_ENVIRONMENT
    if found.category is WorkflowCategory.PROVISIONER:
        return _provision(platform, actor, found, inputs, where, from_text=from_text, key=idempotency_key)
    definition = found.definition
    bound = parameters.bind(definition.parameters, inputs, from_text=from_text)
    request: JsonObject = {"workflow": workflow, "inputs": bound, "environment": where}
    new = NewExecution(
        provider=provider.name,
        digest=provider.digest,
        workflow=definition.name,
        fair_key=f"run:{definition.name}",
        actor=str(actor),
        environment=where,
        inputs=Outputs(bound, definition.secret_parameters),
        total_steps=len(definition.steps),
    )
    return _started(platform, actor, idempotency_key, request, partial(_queued, new=new, actor=actor))


def _queued(tx: Transaction, *, new: NewExecution, actor: Actor) -> ExecutionId:
    execution_id = executions.queue(tx, [new])[0]
    data: JsonObject = {"workflow": new.workflow, "provider": new.provider}
    events.record(tx, [Event("execution.requested", str(actor), execution_id=execution_id, data=data)])
    return execution_id


def _started(
    platform: Platform,
    actor: Actor,
    key: str | None,
    request: JsonObject,
    start: Callable[[Transaction], ExecutionId | None],
) -> ExecutionId | None:
    """What `start` starts, or what the same request under the same key started before; then wake the engine."""

    def attempt(tx: Transaction) -> JsonObject:
        def work() -> JsonObject:
            return {"execution_id": start(tx)}

        return once(platform, tx, actor, "execute", key, request=request, work=work)[0]

    handle = begun(platform, attempt)
    return _id(handle)


def _id(handle: JsonObject) -> ExecutionId | None:
    value = handle["execution_id"]
    return ExecutionId(value) if isinstance(value, int) else None


def workflow_named(platform: Platform, name: str) -> tuple[Provider, ProviderWorkflow]:
    """Raises NotFound."""
    found = platform.providers.registry.workflow(name)
    if found is None:
        known = [w.name for p in platform.providers.registry.providers for w in p.workflows.values()]
        raise NotFound("workflow", name, known=known)
    return found


def _provision(
    platform: Platform,
    actor: Actor,
    found: ProviderWorkflow,
    inputs: JsonObject,
    where: str,
    *,
    from_text: bool,
    key: str | None,
) -> ExecutionId | None:
    wanted = resource_wanted(platform, found, inputs, where, from_text=from_text)
    request: JsonObject = {"workflow": found.name, "inputs": inputs, "environment": where}

    def start(tx: Transaction) -> ExecutionId | None:
        return ask_for_resource(tx, platform, actor, wanted).execution_id

    return _started(platform, actor, key, request, start)


def resource_wanted(
    platform: Platform, found: ProviderWorkflow, inputs: JsonObject, where: str, *, from_text: bool = False
) -> ResourceWanted:
    """What naming a provisioner asks for: `app_name` and `resource_name` say for whom, the rest are params."""
    kind = type_made_by(platform, found)
    application = inputs.get("app_name")
    if not isinstance(application, str) or not application:
        raise Invalid(
            f"`{found.name}` provisions a `{kind}` for an application: say which.",
            code="missing_application",
            hint="Add the input `app_name` (and, if you like, `resource_name`), or use a golden path.",
        )
    given = {name: value for name, value in inputs.items() if name not in {"app_name", "resource_name"}}
    if from_text:
        given = parameters.bind(found.definition.parameters, given, from_text=True, allow_unknown=True)
    name = str(inputs.get("resource_name") or kind)
    return ResourceWanted(application, where, name, kind, given, workflow=found.name)


def type_made_by(platform: Platform, found: ProviderWorkflow) -> str:
    """The resource type a provisioner creates. Raises Conflict for one that changes or removes."""
    owners = [p for p in platform.providers.registry.providers if p.workflows.get(found.name) is found]
    for provider in owners:  # others may have a workflow of the same name
        for kind in provider.resource_types:
            create = kind.operations.get(Operation.CREATE)
            if create and found.name in {choice.workflow for choice in create.choices}:
                return kind.name
    raise Conflict(
        f"`{found.name}` changes or removes a resource and cannot be run by itself.",
        code="not_runnable",
        hint="Submit the application's spec again to change a resource, or delete it.",
    )


def get(platform: Platform, execution_id: ExecutionId, *, every_attempt: bool = False) -> ExecutionView:
    """Raises NotFound."""
    with platform.store.read() as tx:
        execution = _existing(tx, execution_id)
        runs = steps.of_execution(tx, execution_id)
    if not every_attempt:
        runs = list({run.position: run for run in runs}.values())
    return ExecutionView(execution, tuple(runs))


def _existing(tx: Transaction, execution_id: ExecutionId, *, lock: bool = False) -> Execution:
    execution = executions.get(tx, execution_id, lock=lock)
    if execution is None:
        raise NotFound("execution", execution_id, hint="list_workflow_executions shows the newest.")
    return execution


def wait(platform: Platform, execution_id: ExecutionId, *, seconds: float) -> ExecutionView:
    """The execution as soon as it has ended, or as it stands after `seconds` (45 at most)."""
    deadline = time.monotonic() + min(max(0.0, seconds), _LONGEST_WAIT)
    with platform.store.hints.bell(of_end(execution_id)) as bell:
        while goes_on(platform, execution_id) and (left := deadline - time.monotonic()) > 0:
            bell.wait(left)
    return get(platform, execution_id)


def goes_on(platform: Platform, execution_id: ExecutionId) -> bool:
    """Whether there is such an execution, and it has not ended."""
    with platform.store.read() as tx:
        state = executions.state(tx, execution_id)
    return state is not None and state not in FINAL


def listed(
    platform: Platform,
    *,
    application: str | None = None,
    environment: str | None = None,
    search: str = "",
    state: str | None = None,
    cursor: str = "",
    limit: int = 20,
) -> Page[ListedExecution]:
    """Executions, newest first; health checks are left out."""
    texts.checked(application=application, environment=environment, search=search)
    with platform.store.read() as tx:
        found = executions.listed(
            tx,
            application=application,
            environment=environment,
            search=search,
            state=_state(state),
            before=paging.after(cursor) or None,
            limit=limit + 1,
        )
    page = tuple(found[:limit])
    return Page(page, str(page[-1].id) if len(found) > limit else "")


def _state(state: str | None) -> ExecutionState | None:
    if state is None:
        return None
    try:
        return ExecutionState(state)
    except ValueError:
        hint = did_you_mean(state, ExecutionState, noun="Known")
        raise Invalid(f"There is no execution state `{state[:80]}`.", code="unknown_state", hint=hint) from None


def logs(platform: Platform, execution_id: ExecutionId, *, step: str | None = None) -> list[tuple[StepRun, str]]:
    """Every step attempt with its log, in order. Raises NotFound."""
    with platform.store.read() as tx:
        _existing(tx, execution_id)
        runs = steps.of_execution(tx, execution_id)
        texts = leavings.logs(tx, execution_id)
    if step is not None and step not in {run.name for run in runs}:
        raise NotFound("step", step, known={run.name for run in runs})
    return [(run, texts.get((run.position, run.attempt), "")) for run in runs if step in {None, run.name}]


def retry(platform: Platform, actor: Actor, execution_id: ExecutionId) -> ExecutionId:
    """A new attempt that keeps the finished steps; the id is another one only when something newer is wanted."""

    def work(tx: Transaction) -> ExecutionId:
        execution = _existing(tx, execution_id, lock=True)
        started = _retried(tx, execution, actor)
        events.record(tx, [_event("execution.retried", actor, execution)])
        return started

    return begun(platform, work)


def _retried(tx: Transaction, execution: Execution, actor: Actor) -> ExecutionId:
    if ExecutionState.PENDING not in EXECUTION_TRANSITIONS[execution.state]:
        state = f"has {execution.state}" if execution.state in FINAL else f"is `{execution.state}`"
        raise Conflict(
            f"Execution {execution.id} {state}; only a failed or cancelled one can be retried.",
            code="illegal_transition",
        )
    if execution.operation is Operation.READ:
        raise Conflict("A health check is not retried; the next one comes by itself.", code="not_retryable")
    if execution.resource_id is None:
        executions.requeue(tx, execution, actor=str(actor))
        return execution.id
    resource = resources.lock(tx, [execution.resource_id])[execution.resource_id]
    if resource.state is not ResourceState.FAILED or resource.execution_id != execution.id:
        raise Conflict(
            f"Resource `{resource.key}` has moved on: it is `{resource.state}` and its newest execution is "
            f"{resource.execution_id}.",
            code="superseded",
        )
    return restart(tx, resource, execution, actor=actor)


def cancel(platform: Platform, actor: Actor, execution_id: ExecutionId) -> Execution:
    """Ask for the end of an execution. What runs is stopped within seconds; Conflict when it has ended already."""

    def work(tx: Transaction) -> Execution:
        execution = _existing(tx, execution_id, lock=True)
        if execution.state in FINAL:
            raise Conflict(f"Execution {execution_id} has ended already: {execution.state}.", code="already_ended")
        executions.request_cancel(tx, execution_id)
        events.record(tx, [_event("execution.cancel-requested", actor, execution)])
        return execution

    execution = transacted(platform.store, work)
    platform.signals.cancel(execution_id, execution.attempt)
    return execution


def resume(platform: Platform, actor: Actor, execution_id: ExecutionId, step: str) -> Execution:
    """A person continues a step that waits for one. Raises Conflict when it does not."""

    def work(tx: Transaction) -> Execution:
        execution = _existing(tx, execution_id, lock=True)
        if not steps.wake_person(tx, execution_id, step):
            waiting = [run.name for run in steps.of_execution(tx, execution_id) if run.state is StepState.WAITING]
            hint = f"Waiting steps: {', '.join(waiting)}." if waiting else "No step of it waits."
            raise Conflict(f"Step `{step}` does not wait for a person.", code="not_waiting", hint=hint)
        events.record(tx, [_event("execution.continued", actor, execution, step=step)])
        return execution

    return begun(platform, work)


def _event(kind: str, actor: Actor, execution: Execution, **data: str) -> Event:
    return Event(
        kind,
        str(actor),
        application_id=execution.application_id,
        resource_id=execution.resource_id,
        execution_id=execution.id,
        data={"workflow": execution.workflow, **data},
    )
