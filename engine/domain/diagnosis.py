"""Why something failed, as far down as the records go: the cause, what is left behind, what to do next."""

from dataclasses import dataclass
from enum import StrEnum

from engine.domain.provider import Operation
from engine.domain.values import ExecutionId, ResourceId


class CauseClass(StrEnum):
    """Who or what has to change before it can succeed."""

    SPEC = "spec"
    """What was asked for: values of the spec, or inputs."""
    PROVIDER = "provider"
    """The provider's workflow, or the system it works with."""
    CREDENTIALS = "credentials"
    QUOTA = "quota"
    """A limit, or no room: rate, memory, disk, capacity."""
    DEPENDENCY = "dependency"
    """Something it needs is not there, and has not failed itself."""
    TIMEOUT = "timeout"
    PLATFORM = "platform"
    """The engine, or the machine it runs on."""
    CANCELLED = "cancelled"
    """Nothing was wrong: somebody ended it."""


class RetrySafety(StrEnum):
    SAFE = "safe"
    """It does no harm. Whether it succeeds depends on the cause being gone."""
    UNSAFE = "unsafe"
    """It may do something a second time: look first."""
    POINTLESS = "pointless"
    """It would end the same way, or cannot be asked for."""


class Do(StrEnum):
    """What a person or a model can do next; each door has its own words for it."""

    CORRECT_SPEC = "correct_spec"
    RUN_AGAIN = "run_again"
    """A golden path with other inputs."""
    MEND = "mend"
    """Outside of the platform: `why` says what."""
    READ_LOG = "read_log"
    SEE_RESOURCE = "see_resource"
    SEE_EXECUTION = "see_execution"
    RETRY_RESOURCE = "retry_resource"
    RETRY_EXECUTION = "retry_execution"
    RESOLVE_RESOURCE = "resolve_resource"
    """Say what became of it: active, or gone."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing on the way to the cause: a resource with the execution that failed for it, or one of the two."""

    why: str
    state: str
    resource_id: ResourceId | None = None
    resource: str = ""
    execution_id: ExecutionId | None = None
    workflow: str = ""
    operation: Operation | None = None
    provider: str = ""
    application: str = ""
    environment: str = ""

    @property
    def name(self) -> str:
        return self.resource or self.workflow


@dataclass(frozen=True, slots=True)
class FailedStep:
    name: str
    type: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What the records say of the deepest failure. `error` and `log` are masked as they are stored."""

    error: str
    reason: str = ""
    log: str = ""
    step: FailedStep | None = None
    harmless: bool = False
    """Its step may run twice: it says so itself, or its type does."""
    asks_params: bool = False
    """What was not valid came from what was asked for, not from the workflow alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`evidence` says what decided; `telling` is the line that did, where words did."""

    cause: CauseClass
    evidence: str
    telling: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    safety: RetrySafety
    why: str


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Something that exists all the same, or may: `kind` is `step`, `thing`, `resource` or `resources`."""

    kind: str
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Also:
    """Something else that failed beside the cause: a step of the same execution, or a resource beside it."""

    name: str
    says: str
    resource_id: ResourceId | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do next, with its arguments. `why` is for people."""

    do: Do
    why: str
    execution_id: ExecutionId | None = None
    resource_id: ResourceId | None = None
    step: str = ""
    workflow: str = ""
    application: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer to "why?". `chain` leads from what was asked about to `node`, the deepest that failed.

    `says` is the error in one line, `log` the lines of the step's log around the telling one. `moves` are ranked.
    """

    cause: CauseClass
    evidence: str
    node: Node
    step: FailedStep | None
    says: str
    log: str
    chain: tuple[Node, ...]
    left_behind: tuple[LeftBehind, ...]
    retry: Retry
    moves: tuple[Move, ...]
    also: tuple[Also, ...] = ()
