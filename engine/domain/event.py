"""Immutable facts of the timeline. They never carry a secret."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Self

from engine.domain.values import ApplicationId, EventId, ExecutionId, Json, JsonObject, ResourceId

_POSITION = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_LARGEST = 2**63 - 1


class Position(NamedTuple):
    """A place in the timeline: events are read in this order, and none appears behind one that was read.

    `xact` is the transaction that wrote the event, on PostgreSQL; 0 on SQLite, whose ids are in order already.
    """

    xact: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.xact}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what is no position."""
        found = _POSITION.fullmatch(text)
        numbers = [int(number) for number in found.groups()] if found and found[0].isascii() else []
        return cls(*numbers) if numbers and max(numbers) <= _LARGEST else None


BEGINNING = Position()


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
    position: Position = BEGINNING


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody wants to hear of. A kind is named whole, or by what stands before a dot: `resource`."""

    application_id: ApplicationId | None = None
    kinds: tuple[str, ...] = ()

    def takes(self, event: Event) -> bool:
        if self.application_id is not None and event.application_id != self.application_id:
            return False
        return not self.kinds or any(event.kind == kind or event.kind.startswith(f"{kind}.") for kind in self.kinds)


EVERYTHING = Wanted()
