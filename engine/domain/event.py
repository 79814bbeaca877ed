"""Immutable facts of the timeline. They never carry a secret."""

from dataclasses import dataclass, field
from datetime import datetime

from engine.domain.values import ApplicationId, EventId, ExecutionId, Json, JsonObject, ResourceId


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is `noun.what-happened`, as in `resource.active`, `spec.submitted`, `execution.failed`."""

    kind: str
    actor: str
    application_id: ApplicationId | None = None
    resource_id: ResourceId | None = None
    execution_id: ExecutionId | None = None
    data: JsonObject = field(default_factory=dict[str, Json])
    id: EventId | None = None
    at: datetime | None = None
