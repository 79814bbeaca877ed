"""`set`: outputs computed from expressions, with no side effect."""

from typing import ClassVar, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from engine.domain.values import Json
from engine.steps.base import StepConfig, StepContext, StepResult
from engine.steps.fields import as_config, refused, typed_json


class SetConfig(StepConfig):
    """`values` become the step's outputs; `outputs` is another word for it."""

    values: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], description="Name → value.")
    outputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], description="The same as `values`.")

    @model_validator(mode="after")
    def _one_word(self) -> Self:
        if twice := sorted(self.values.keys() & self.outputs.keys()):
            raise refused(f"`{twice[0]}` stands in both `values` and `outputs`", "name it once, in `values`")
        return self


class SetExecutor:
    step_type: ClassVar[str] = "set"
    Config: ClassVar[type[BaseModel]] = SetConfig
    idempotent: ClassVar[bool] = True
    instant: ClassVar[bool] = True
    pure: ClassVar[bool] = True
    script_fields: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext) -> StepResult:
        config = as_config(context, SetConfig)
        outputs: dict[str, Json] = typed_json({**config.values, **config.outputs})
        return StepResult(outputs=outputs)
