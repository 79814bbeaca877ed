"""What a finished workflow gives out."""

from engine.domain import expressions
from engine.domain.runs import Outputs
from engine.domain.values import Json
from engine.domain.workflow import Workflow
from engine.runtime.progress import Progress


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
