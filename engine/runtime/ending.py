"""What an execution ends with: its outputs, and what that means for its resource."""

from engine.domain import expressions
from engine.domain.execution import ExecutionState
from engine.domain.provider import Operation
from engine.domain.resource import Outcome, RunEnd
from engine.domain.runs import Execution, Outputs
from engine.domain.values import Json
from engine.domain.workflow import Workflow
from engine.errors import NotFound
from engine.providers.active import ActiveProviders
from engine.runtime.inputs import Subject
from engine.runtime.progress import Progress

_OUTCOMES = {ExecutionState.SUCCEEDED: Outcome.SUCCEEDED, ExecutionState.CANCELLED: Outcome.CANCELLED}


def run_end(
    execution: Execution,
    subject: Subject,
    providers: ActiveProviders,
    *,
    state: ExecutionState,
    outputs: Outputs,
    error: str,
) -> RunEnd | None:
    """How the run of a resource's operation ended; None for an execution that works for no resource."""
    if execution.resource_id is None or execution.operation is None:
        return None
    if execution.operation is Operation.READ:
        outputs = Outputs()
    declared = _declared_secrets(execution, subject, providers)
    return RunEnd(
        execution.operation,
        execution.generation,
        _OUTCOMES.get(state, Outcome.FAILED),
        outputs.values,
        outputs.secret | (declared & outputs.values.keys()),
        subject.fingerprint,
        error or ("cancelled" if state is ExecutionState.CANCELLED else ""),
    )


def _declared_secrets(execution: Execution, subject: Subject, providers: ActiveProviders) -> frozenset[str]:
    try:
        provider = providers.provider(execution.digest)
    except NotFound:
        return frozenset()
    kind = provider.resource_type(str(subject.view.get("type")))
    return kind.secret_outputs if kind else frozenset()


def workflow_outputs(workflow: Workflow, progress: Progress) -> Outputs:
    """The outputs of a finished workflow; those of its last step when it declares none. Raises Invalid.

    An output is secret when declared so, or when it reads a secret of its steps or inputs.
    """
    if not workflow.outputs:
        return progress.outputs.get(workflow.steps[-1].name, Outputs()) if workflow.steps else Outputs()
    scope = progress.scope
    values: dict[str, Json] = {}
    secret: set[str] = set()
    for name, output in workflow.outputs.items():
        values[name] = expressions.render(output.value, scope, at=f"outputs.{name}")
        if output.secret or _reads_secret(output.value, progress):
            secret.add(name)
    return Outputs(values, frozenset(secret))


def _reads_secret(template: Json, progress: Progress) -> bool:
    for path in expressions.references(template):
        keys = [str(key) for key in path]
        if keys[0] == "steps" and len(keys) > 1:
            outputs = progress.outputs.get(keys[1], Outputs())
            if outputs.secret and (len(keys) < 4 or keys[3] in outputs.secret):
                return True
        if keys[0] == "parameters" and (len(keys) < 2 or keys[1] in progress.inputs.secret - {"resource"}):
            return True
    return False
