"""The contract between the runner and the code that performs one step type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from engine.domain.values import Json, JsonObject


class StepConfig(BaseModel):
    """Base of every step type's own `Config`: a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StepFailed(Exception):
    """The step cannot succeed as it is. `hint` says what a person can do about it.

    `reason` is for machines and stays on record: `exit_1`, `http_403`, `timeout`, `unreachable`, `no_program` ...
    """

    def __init__(self, message: str, *, hint: str = "", reason: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason


class RetryLater(StepFailed):
    """The step may succeed later: a failed attempt, retried after `after` seconds if its policy allows."""

    def __init__(self, message: str, *, after: float = 0.0, hint: str = "", reason: str = "failed") -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.after = after


class StepRefused(StepFailed):
    """The step cannot succeed however often it is tried: its retry policy does not apply."""


class StepCancelled(Exception):
    """The run was cancelled or lost its lease while the step was at work."""


class StepTimeout(StepFailed):
    """The step did not end within its time."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, reason="timeout")


@dataclass(frozen=True, slots=True)
class Timer:
    """Wake after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ChildExecution:
    """Run a workflow of the same platform as a child and wake when it has ended. `workflow` may be `provider/name`."""

    workflow: str
    inputs: JsonObject


@dataclass(frozen=True, slots=True)
class RequestedResource:
    """Ask the platform for a resource and wake when it is active or has failed.

    The resource belongs to the execution's application; `application` names another one. `operation` is `create`
    (create, or update when its params differ) or `delete`.
    """

    name: str
    type: str
    params: JsonObject
    resource_class: str = "default"
    id: str | None = None
    operation: str = "create"
    application: str | None = None


@dataclass(frozen=True, slots=True)
class SubmittedSpec:
    """Submit a Score spec as the execution's actor and wake when all its resources are active or one has failed."""

    source: str
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Wait until a person continues the step."""

    message: str


Wait = Timer | ChildExecution | RequestedResource | SubmittedSpec | Person


@dataclass(frozen=True, slots=True)
class Suspend:
    """Free the thread until `on` is over; `run` is then called again with `context.resumed`, which brings `memo`."""

    on: Wait
    memo: JsonObject = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the wait ended with: `succeeded` and the outputs of the child or resource, or its `error`."""

    succeeded: bool
    outputs: JsonObject = field(default_factory=dict[str, Json])
    secret_outputs: frozenset[str] = frozenset()
    error: str = ""
    memo: JsonObject = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class StepResult:
    """`outputs` must be JSON; names in `secret_outputs` are masked wherever a person or model reads them."""

    outputs: JsonObject = field(default_factory=dict[str, Json])
    secret_outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a child process ended. `stdout` holds the head and tail within the size cap, already decoded, not masked."""

    exit_code: int
    stdout: str
    stderr: str
    stdout_cut: bool = False
    """True when `stdout` lost its middle to the size cap."""


class CancelToken(Protocol):
    """Set when the execution is cancelled, its lease is lost or the process is stopping hard."""

    @property
    def cancelled(self) -> bool: ...

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as the token is set."""
        ...


class StepContext(Protocol):
    """What a running step may use. It holds no database, no transaction and not the server's environment."""

    @property
    def config(self) -> BaseModel:
        """The step's rendered and validated config: an instance of the executor's `Config`."""
        ...

    @property
    def workspace(self) -> Path:
        """The step's own folder, empty but for the artifacts of the steps before it."""
        ...

    @property
    def bundle(self) -> Path:
        """The provider's unpacked files, read only."""
        ...

    @property
    def inputs(self) -> JsonObject:
        """The execution's parameters (also in the file `$INNOMINATUS_INPUTS`)."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment for child processes: `PARAM_*`, `INNOMINATUS_*`, `PATH`, `HOME`, `LANG`; nothing else."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt of this step in this execution."""
        ...

    @property
    def attempt(self) -> int: ...

    @property
    def deadline(self) -> float:
        """`time.monotonic()` at which the step must have ended."""
        ...

    @property
    def cancel(self) -> CancelToken: ...

    @property
    def resumed(self) -> Resumed | None:
        """Set when the executor runs again after a `Suspend`."""
        ...

    def log(self, line: str) -> None:
        """Add a line to the step's log; secrets are masked before it is stored."""
        ...

    def secret(self, name: str) -> str:
        """A secret of the platform's configuration by name. Raises StepFailed when there is none."""
        ...

    def add_mask(self, value: str) -> None:
        """Mask `value` in everything this execution logs or reports from now on."""
        ...

    def check_held(self) -> None:
        """Raise StepCancelled where another worker may have the execution by now: to be asked right before an effect.

        An engine that was stopped for longer than its lease goes on in the middle of a step. `run_process` asks itself.
        """
        ...

    def mask_outputs(self, outputs: JsonObject) -> None:
        """Mask the values of those outputs that the step declares secret: for one that fails after it has made them."""
        ...

    def run_process(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        on_stdout: Callable[[str], None] | None = None,
        log_stdout: bool = True,
    ) -> ProcessResult:
        """Run a program in a process group of its own, streaming its lines to the log.

        `env` is added to `environment`. The whole group is ended when the step is cancelled or its deadline passes
        (StepCancelled, StepTimeout) and when the engine dies. A missing program raises StepFailed.
        """
        ...


class StepExecutor(Protocol):
    """One step type. Stateless; `run` is called on a worker thread and may be called again after a crash."""

    step_type: ClassVar[str]
    Config: ClassVar[type[BaseModel]]
    idempotent: ClassVar[bool]
    """True when running it twice is the same as once; a step's own `idempotent` overrides it."""
    script_fields: ClassVar[frozenset[str]]
    """Config keys that hold program text, as dotted paths (`*` stands for any list index or key). Expressions in them
    are rendered as into a script, never pasted. An executor without scripts may leave it out.

    Three more may be left out. `only_looks(config)` says whether a config, as written, changes nothing in the world:
    what fails then has left nothing behind. `instant = True` says that it waits for nothing and logs nothing: it costs
    no thread. `pure = True` says that it has no effect either: its start and its end may become durable together."""

    def run(self, context: StepContext) -> StepResult | Suspend: ...
