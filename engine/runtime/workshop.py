"""What an attempt of a step is given: its own data, and what every attempt of the process works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.domain.runs import Execution
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.domain.workflow import Step
from engine.runtime.cancellation import Token
from engine.runtime.live_log import LiveLog
from engine.runtime.warden_client import WardenClient
from engine.runtime.workspace import Workspaces
from engine.steps.base import Resumed
from engine.steps.masking import Masker


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every attempt of a process needs."""

    workspaces: Workspaces
    warden: WardenClient
    base_environment: Mapping[str, str]
    provider_data: Path
    program_deadline: Callable[[ExecutionId], float]
    step_timeout: float
    log_bytes: int
    output_bytes: int


class Attempt(NamedTuple):
    """One attempt of one step. `scope` is what expressions see, `artifacts` are those of the steps before.

    A tuple, since thousands are made a second.
    """

    execution: Execution
    step: Step
    position: int
    number: int
    scope: Mapping[str, Json]
    inputs: JsonObject
    token: Token
    masker: Masker
    bundle: Callable[[], Path]
    log: LiveLog
    artifacts: tuple[bytes, ...] = ()
    resumed: Resumed | None = None
