"""An execution and its step runs as they stand in the store."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.resource import Resource
from engine.domain.values import ApplicationId, ExecutionId, Json, JsonObject, ResourceId


@dataclass(frozen=True, slots=True)
class Outputs:
    """Named values and which of the names are secret."""

    values: JsonObject = field(default_factory=dict[str, Json])
    secret: frozenset[str] = frozenset()


NO_OUTPUTS = Outputs()


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a workflow, bound to the bundle it was queued with. Generation and operation are its resource's."""

    id: ExecutionId
    provider: str
    digest: str
    workflow: str
    state: ExecutionState
    application_id: ApplicationId | None = None
    application: str = ""
    environment: str = ""
    resource_id: ResourceId | None = None
    operation: Operation | None = None
    generation: int = 0
    parent_id: ExecutionId | None = None
    parent_step: str | None = None
    inputs: Outputs = field(default_factory=Outputs)
    attempt: int = 1
    fence: int = 0
    sequence: int = 0
    """The number of journal records applied so far."""
    cancel_requested: bool = False
    outputs: Outputs = field(default_factory=Outputs)
    error: str = ""
    reason: str = ""
    actor: str = ""
    total_steps: int = 0
    completed_steps: int = 0
    failed_steps: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def duration_ms(self) -> int | None:
        return _milliseconds(self.started_at, self.finished_at)


class ListedExecution(NamedTuple):
    """An execution as lists show it: without its inputs and outputs, which are sealed, and what only its run needs.

    A tuple, since lists are long: it is made in a tenth of the time.
    """

    state: ExecutionState
    operation: Operation | None
    id: ExecutionId
    application: str
    environment: str
    workflow: str
    provider: str
    resource_id: ResourceId | None
    parent_id: ExecutionId | None
    attempt: int
    actor: str
    total_steps: int
    completed_steps: int
    failed_steps: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    reason: str

    @property
    def duration_ms(self) -> int | None:
        return _milliseconds(self.started_at, self.finished_at)


@dataclass(frozen=True, slots=True)
class StepRun:
    """One attempt of one step. `attempt` counts from 1 over the whole execution; `position` is the step's place."""

    position: int
    name: str
    type: str
    attempt: int
    execution_attempt: int
    state: StepState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outputs: Outputs = field(default_factory=Outputs)
    error: str = ""
    reason: str = ""
    wait_kind: WaitKind | None = None
    wait_ref: int | None = None
    wake_at: datetime | None = None
    memo: JsonObject = field(default_factory=dict[str, Json])

    @property
    def duration_ms(self) -> int | None:
        return _milliseconds(self.started_at, self.finished_at)


@dataclass(frozen=True, slots=True)
class Claim:
    """An execution a worker holds. `taken_over` when it was found running under a lease that ran out.

    `resource` is what it works for, as it was at the moment of the claim.
    """

    execution: Execution
    taken_over: bool = False
    resource: Resource | None = None


def _milliseconds(begin: datetime | None, end: datetime | None) -> int | None:
    return None if begin is None or end is None else round((end - begin).total_seconds() * 1000)
