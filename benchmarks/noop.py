"""A step that does nothing, and that the engine cannot know to do nothing: its start and its end are two commits."""

from typing import Any, ClassVar, cast

from pydantic import BaseModel

from engine.steps import registry
from engine.steps.base import StepConfig, StepContext, StepResult


class NoopExecutor:
    step_type: ClassVar[str] = "noop"
    Config: ClassVar[type[BaseModel]] = StepConfig
    idempotent: ClassVar[bool] = True
    instant: ClassVar[bool] = True
    script_fields: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext) -> StepResult:
        del context
        return StepResult(outputs={"done": True})


def register() -> None:
    """Make the step type known to this process, before it reads its first provider."""
    cast("dict[str, Any]", registry.EXECUTORS)["noop"] = NoopExecutor()
