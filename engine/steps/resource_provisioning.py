"""`resource-provisioning`: asks the platform for a resource, or for everything in a Score spec, and waits for it."""

import json
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from engine.domain.values import JsonObject
from engine.steps.base import (
    RequestedResource,
    StepConfig,
    StepContext,
    StepFailed,
    StepResult,
    SubmittedSpec,
    Suspend,
    Wait,
)
from engine.steps.fields import Text, as_config, refused, typed_json

_WITH_SPEC = frozenset({"spec", "environment"})


class ResourceProvisioningConfig(StepConfig):
    """Either one resource (`type` and what belongs to it) or a whole `spec`."""

    type: Text | None = Field(default=None, min_length=1, description="The resource's type.")
    name: Text | None = Field(default=None, min_length=1, description="Its name in the application; default its type.")
    resource_class: Text = Field(default="default", alias="class", min_length=1, description="Its class.")
    id: Text | None = Field(default=None, min_length=1, description="Score's `id`: a resource that others may share.")
    params: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue], description="Its parameters.")
    operation: Literal["create", "delete"] = Field(default="create", description="`create` also updates.")
    application: Text | None = Field(default=None, min_length=1, description="Owner; default the execution's own.")
    spec: Text | dict[str, JsonValue] | None = Field(default=None, description="A Score document, as text or mapping.")
    environment: Text | None = Field(default=None, min_length=1, description="With `spec`: where it is deployed.")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.type is None) == (self.spec is None):
            raise refused("either `type` or `spec` is needed", "name a resource type, or give a Score document")
        strangers = self.model_fields_set - _WITH_SPEC if self.spec is not None else self.model_fields_set & _WITH_SPEC
        if strangers:
            name = min(strangers)
            key = type(self).model_fields[name].alias or name
            raise refused(
                f"`{key}` does not go with `{'spec' if self.spec is not None else 'type'}`", f"remove `{key}`"
            )
        return self


class ResourceProvisioningExecutor:
    step_type: ClassVar[str] = "resource-provisioning"
    Config: ClassVar[type[BaseModel]] = ResourceProvisioningConfig
    idempotent: ClassVar[bool] = True
    """A resource has an identity: asking for it twice is asking once."""
    script_fields: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext) -> StepResult | Suspend:
        config = as_config(context, ResourceProvisioningConfig)
        what = "spec" if config.type is None else f"resource `{config.name or config.type}`"
        ended = context.resumed
        if ended is None:
            context.log(f"Requesting {what}")
            return Suspend(on=_wait(config))
        if not ended.succeeded:
            raise StepFailed(
                f"The requested {what} failed: {ended.error or 'no reason was given'}",
                hint="See the resource's own execution; retry it, then this one.",
            )
        return StepResult(outputs=ended.outputs, secret_outputs=ended.secret_outputs)


def _wait(config: ResourceProvisioningConfig) -> Wait:
    if config.type is None:
        source = config.spec if isinstance(config.spec, str) else json.dumps(config.spec, ensure_ascii=False)
        return SubmittedSpec(source=source, environment=config.environment)
    params: JsonObject = typed_json(config.params)
    return RequestedResource(
        name=config.name or config.type,
        type=config.type,
        params=params,
        resource_class=config.resource_class,
        id=config.id,
        operation=config.operation,
        application=config.application,
    )
