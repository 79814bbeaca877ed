"""`workflow`: runs another workflow as a child and hands on its outputs."""

from typing import ClassVar

from pydantic import BaseModel, Field, JsonValue

from engine.steps.base import ChildExecution, StepConfig, StepContext, StepFailed, StepResult, Suspend
from engine.steps.fields import Text, as_config, typed_json


class WorkflowConfig(StepConfig):
    workflow: Text = Field(min_length=1, max_length=300, description="The workflow's name, or `provider/name`.")
    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], description="Its parameters.")


class WorkflowExecutor:
    step_type: ClassVar[str] = "workflow"
    Config: ClassVar[type[BaseModel]] = WorkflowConfig
    idempotent: ClassVar[bool] = True
    """Asking is all it does; the child has its own record."""
    script_fields: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext) -> StepResult | Suspend:
        config = as_config(context, WorkflowConfig)
        ended = context.resumed
        if ended is None:
            context.log(f"Running workflow {config.workflow}")
            return Suspend(on=ChildExecution(workflow=config.workflow, inputs=typed_json(config.inputs)))
        if not ended.succeeded:
            raise StepFailed(
                f"The workflow `{config.workflow}` failed: {ended.error or 'it gave no reason'}",
                hint="See the child execution; retry it, then this one.",
            )
        return StepResult(outputs=ended.outputs, secret_outputs=ended.secret_outputs)
