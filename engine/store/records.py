"""What a running execution writes: one record is one durable point, as in "step 1 finished, step 2 started".

Tuples, since thousands are made a second: a frozen dataclass takes three times as long.
"""

from dataclasses import dataclass
from typing import NamedTuple

from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.resource import RunEnd
from engine.domain.runs import NO_OUTPUTS, Execution, Outputs
from engine.domain.values import JsonObject

RETRY = "retry"
"""The reason of a failed try that another one follows, and of the pause between the two."""


class StepStarted(NamedTuple):
    position: int
    name: str
    type: str
    attempt: int
    execution_attempt: int


class StepSkipped(NamedTuple):
    position: int
    name: str
    type: str
    attempt: int
    execution_attempt: int
    state: StepState
    reason: str


class StepFinished(NamedTuple):
    """`log` is what of the step's log was not written yet: (chunk number, text)."""

    position: int
    attempt: int
    state: StepState
    outputs: Outputs = NO_OUTPUTS
    error: str = ""
    reason: str = ""
    artifacts: bytes | None = None
    log: tuple[tuple[int, str], ...] = ()


class StepWaits(NamedTuple):
    """The step frees its thread. `wake_after` is in seconds; None means until the event."""

    position: int
    attempt: int
    kind: WaitKind
    ref: int | None = None
    wake_after: float | None = None
    memo: JsonObject | None = None
    reason: str = ""
    log: tuple[tuple[int, str], ...] = ()


class StepResumed(NamedTuple):
    """A waiting step is at work again."""

    position: int
    attempt: int


class InputsResolved(NamedTuple):
    """The inputs the execution runs with on every attempt, and how many steps it has."""

    inputs: Outputs
    total_steps: int


class AttemptBegun(NamedTuple):
    """Another attempt of the execution, and how many finished steps it keeps."""

    kept: int


@dataclass(frozen=True, slots=True)
class ExecutionWaits:
    """Nothing of the execution is at work: it is asleep until its earliest wait is over."""


class ExecutionEnded(NamedTuple):
    """The end; `resource` is set when the execution ran an operation of a resource."""

    state: ExecutionState
    outputs: Outputs = NO_OUTPUTS
    error: str = ""
    reason: str = ""
    resource: RunEnd | None = None


Change = (
    StepStarted
    | StepSkipped
    | StepFinished
    | StepWaits
    | StepResumed
    | InputsResolved
    | AttemptBegun
    | ExecutionWaits
    | ExecutionEnded
)


class Record(NamedTuple):
    """Changes that become durable together: only while `execution.fence` holds, and only as number `sequence`."""

    execution: Execution
    sequence: int
    changes: tuple[Change, ...]
