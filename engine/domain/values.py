"""Values that every noun uses: JSON, identifiers, actors."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]

ApplicationId = NewType("ApplicationId", int)
SpecId = NewType("SpecId", int)
ResourceId = NewType("ResourceId", int)
ExecutionId = NewType("ExecutionId", int)
EventId = NewType("EventId", int)


class ActorKind(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    AGENT = "agent"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `name` is shown in the timeline; it is never a secret."""

    kind: ActorKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM = Actor(ActorKind.SYSTEM, "engine")
