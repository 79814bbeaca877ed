"""What a workflow is, once read: parameters, steps in a graph, outputs. Reading YAML into it is `workflow_reader`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.domain.values import Json, JsonObject


class ParameterType(StrEnum):
    STRING = "string"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"
    DURATION = "duration"
    ENUM = "enum"
    LIST = "list"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a workflow. `minimum`/`maximum` bound numbers, and the length of strings and lists."""

    name: str
    type: ParameterType = ParameterType.STRING
    required: bool = False
    default: Json = None
    description: str = ""
    pattern: str | None = None
    enum: tuple[Json, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False


class When(StrEnum):
    """When a step runs, judged on the steps it needs."""

    ALWAYS = "always"
    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    MANUAL = "manual"
    """Waits for a person to continue it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max` further attempts after the first; the n-th waits `backoff * 2**(n-1)` seconds."""

    max: int = 0
    backoff: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `needs` names steps of the same workflow; `idempotent` None means: what the step type says."""

    name: str
    type: str
    needs: tuple[str, ...] = ()
    condition: str | None = None
    when: When = When.ON_SUCCESS
    timeout: float | None = None
    """Seconds; None means the platform's default."""
    retry: RetryPolicy = RetryPolicy()
    idempotent: bool | None = None
    config: JsonObject = field(default_factory=dict[str, Json])
    secret_outputs: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    """Paths below the step's workspace that later steps need; each is placed in their workspaces at the same path."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class WorkflowOutput:
    """A template rendered when all steps are done."""

    value: Json
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps are in a topological order: every step comes after the steps it needs."""

    name: str
    steps: tuple[Step, ...]
    parameters: tuple[Parameter, ...] = ()
    outputs: Mapping[str, WorkflowOutput] = field(default_factory=dict[str, WorkflowOutput])
    description: str = ""

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def secret_parameters(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters if parameter.secret)
