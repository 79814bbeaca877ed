"""What running workflows ask of the platform: the implementation of the runtime's Requests."""

from engine.domain import parameters
from engine.domain.execution import ExecutionState
from engine.domain.runs import Execution, Outputs
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Actor, ActorKind, ApplicationId, ExecutionId, ResourceId
from engine.errors import Invalid, NotFound
from engine.services import submissions
from engine.services.platform import Platform
from engine.services.provisioner_requests import ResourceWanted, ask_for_deletion, ask_for_resource
from engine.services.starting import begun
from engine.steps.base import ChildExecution, RequestedResource, SubmittedSpec
from engine.store import applications, executions
from engine.store.database import Transaction
from engine.store.executions import NewExecution

_DEEPEST = 10
"""How many workflows may be under way within each other."""


class PlatformRequests:
    """Acts in the name of whoever asked for the execution."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def start_child(self, execution: Execution, step: str, request: ChildExecution, *, again: bool) -> ExecutionId:
        found = self._platform.providers.registry.workflow(request.workflow)
        if found is None:
            known = [w.name for p in self._platform.providers.registry.providers for w in p.workflows.values()]
            raise NotFound("workflow", request.workflow, known=known)
        provider, workflow = found

        def work(tx: Transaction) -> ExecutionId:
            known_child = executions.child(tx, execution.id, step)
            if known_child is not None:
                return _taken_up(tx, known_child, execution, again=again)
            _check_depth([*executions.lineage(tx, execution.id), workflow.name])
            bound = parameters.bind(workflow.definition.parameters, request.inputs)
            new = NewExecution(
                provider=provider.name,
                digest=provider.digest,
                workflow=workflow.name,
                fair_key=execution.application or f"run:{execution.workflow}",
                actor=execution.actor,
                application_id=execution.application_id,
                environment=execution.environment,
                parent_id=execution.id,
                parent_step=step,
                inputs=Outputs(bound, workflow.definition.secret_parameters),
                total_steps=len(workflow.definition.steps),
            )
            return executions.queue(tx, [new])[0]

        return begun(self._platform, work)

    def request_resource(self, execution: Execution, request: RequestedResource) -> ResourceId:
        application = request.application or execution.application
        if not application:
            raise Invalid(
                f"For which application is the `{request.type}` called `{request.name}`?",
                code="missing_application",
                hint='Name it in the step\'s config: `application: "{{ parameters.name }}"`.',
            )
        wanted = ResourceWanted(
            application,
            execution.environment or DEFAULT_ENVIRONMENT,
            request.name,
            request.type,
            request.params,
            request.resource_class,
            request.id,
        )
        actor = actor_of(execution)
        ask = ask_for_deletion if request.operation == "delete" else ask_for_resource

        def work(tx: Transaction) -> ResourceId:
            asked = ask(tx, self._platform, actor, wanted).resource_id
            if asked == execution.resource_id:
                raise Invalid(
                    f"The workflow `{execution.workflow}` asks for the `{request.type}` it works for itself.",
                    code="waits_for_itself",
                    hint="Give what it asks for another name.",
                )
            return asked

        return begun(self._platform, work)

    def submit_spec(self, execution: Execution, step: str, request: SubmittedSpec) -> ApplicationId:
        submission = submissions.submit(
            self._platform,
            actor_of(execution),
            request.source,
            environment=request.environment or execution.environment or None,
            idempotency_key=f"execution-{execution.id}-{execution.attempt}-{step}",
        )
        with self._platform.store.read() as tx:
            found = applications.find(tx, submission.application, submission.environment)
        assert found is not None
        return found.id


def _taken_up(tx: Transaction, child: ExecutionId, execution: Execution, *, again: bool) -> ExecutionId:
    """The child that was started before, with another attempt when it failed and `again` asks for it."""
    before = executions.get(tx, child, lock=True)
    assert before is not None
    if again and before.state in {ExecutionState.FAILED, ExecutionState.CANCELLED}:
        executions.requeue(tx, before, actor=execution.actor)
    return child


def _check_depth(chain: list[str]) -> None:
    """Refuse workflows that call each other without end."""
    if len(chain) > _DEEPEST:
        raise Invalid(
            f"Workflows call each other more than {_DEEPEST} deep: {' → '.join(chain)}.",
            code="too_deep",
            hint="Does a workflow call itself? Let a condition (`if`) end it.",
        )


def actor_of(execution: Execution) -> Actor:
    """The actor as it is written in the execution (`kind:name`)."""
    kind, _, name = execution.actor.partition(":")
    return Actor(ActorKind(kind), name)
