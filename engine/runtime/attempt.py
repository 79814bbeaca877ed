"""One attempt of one step, from its rendered config to its outcome. What executors raise is understood here."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from engine.domain import expressions
from engine.domain.expression_scripts import render_script
from engine.domain.runs import Execution, Outputs
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.domain.workflow import Step
from engine.errors import InnominatusError, Invalid
from engine.runtime.cancellation import Token
from engine.runtime.context import LiveLog, RunningStep
from engine.runtime.warden_client import WardenClient
from engine.runtime.workspace import Workspaces
from engine.steps import registry
from engine.steps.base import Resumed, RetryLater, StepCancelled, StepFailed, StepRefused, Suspend
from engine.steps.masking import Masker
from engine.steps.outputs import accepted

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Succeeded:
    outputs: Outputs
    artifacts: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """`retry_after` seconds when the step itself says that it may succeed later."""

    error: str
    reason: str = "failed"
    retry_after: float = 0.0
    final: bool = False


@dataclass(frozen=True, slots=True)
class Suspended:
    wait: Suspend


@dataclass(frozen=True, slots=True)
class Stopped:
    """The token was set while the step was at work, or before it had begun."""

    begun: bool = True


Outcome = Succeeded | Failed | Suspended | Stopped


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


@dataclass(frozen=True, slots=True)
class Attempt:
    """`scope` is what expressions see. `artifacts` are those of the steps before."""

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


def perform(attempt: Attempt, workshop: Workshop) -> Outcome:
    """Run the step. Never raises: whatever happens is an outcome."""
    try:
        try:
            context = _context(attempt, workshop)
        except StepFailed as error:  # the config comes out the same at every try
            return _failed(attempt, error.message, error.hint, reason="invalid", final=True)
        done = registry.executor(attempt.step.type).run(context)
        if isinstance(done, Suspend):
            return Suspended(done)
        return _succeeded(attempt, workshop, context, done.outputs, done.secret_outputs)
    except (StepCancelled, StepFailed) as error:
        return Stopped() if isinstance(error, StepCancelled) or attempt.token.cancelled else _refused(attempt, error)
    except InnominatusError as error:
        return _refused(attempt, error)
    except Exception as error:
        logger.exception("step.defect", step=attempt.step.name, type=attempt.step.type)
        return _failed(
            attempt, f"The step type `{attempt.step.type}` broke: {type(error).__name__}: {error}", reason="internal"
        )


def _refused(attempt: Attempt, error: StepFailed | InnominatusError) -> Failed:
    if isinstance(error, Invalid):
        told = "; ".join(str(problem) for problem in error.problems) or error.message
        return _failed(attempt, told, error.hint, reason="invalid", final=True)
    after = error.after if isinstance(error, RetryLater) else 0.0
    final = isinstance(error, StepRefused)
    reason = error.reason if isinstance(error, StepFailed) else error.code
    return _failed(attempt, error.message, error.hint, reason=reason, retry_after=after, final=final)


def _failed(
    attempt: Attempt,
    message: str,
    hint: str = "",
    *,
    reason: str = "failed",
    retry_after: float = 0.0,
    final: bool = False,
) -> Failed:
    told = attempt.masker.mask(f"{message} {hint}".strip()).replace("\0", "")
    return Failed(told[:_MOST_ERROR], reason=reason, retry_after=retry_after, final=final)


_MOST_ERROR = 4000


def _succeeded(
    attempt: Attempt, workshop: Workshop, context: RunningStep, outputs: JsonObject, secret: frozenset[str]
) -> Outcome:
    checked = accepted(outputs, max_bytes=workshop.output_bytes)
    named = (secret | set(attempt.step.secret_outputs)) & checked.keys()
    named |= {name for name, value in checked.items() if _holds_secret(attempt.masker, value)}
    for name in named:
        add_masks(attempt.masker, checked[name])
    made = context.made_workspace
    archive = workshop.workspaces.collect(made, attempt.step.artifacts) if made else None
    return Succeeded(Outputs(checked, frozenset(named)), archive)


def _holds_secret(masker: Masker, value: Json) -> bool:
    """Whether a known secret has found its way into the value."""
    if masker.idle:
        return False
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return masker.mask(text) != text


def add_masks(masker: Masker, value: Json) -> None:
    """Mask every text and number in a secret value."""
    if isinstance(value, dict):
        for inner in value.values():
            add_masks(masker, inner)
    elif isinstance(value, list):
        for inner in value:
            add_masks(masker, inner)
    elif value is not None and not isinstance(value, bool):
        masker.add(str(value))


def _context(attempt: Attempt, workshop: Workshop) -> RunningStep:
    config = registry.parse_config(attempt.step.type, render_config(attempt.step, attempt.scope))
    return RunningStep(
        config=config,
        inputs=attempt.inputs,
        idempotency_key=f"{attempt.execution.id}-{attempt.step.name}",
        attempt=attempt.number,
        deadline=time.monotonic() + (attempt.step.timeout or workshop.step_timeout),
        cancel=attempt.token,
        resumed=attempt.resumed,
        execution_id=attempt.execution.id,
        labels=lambda: _labels(attempt),
        base_environment=workshop.base_environment,
        masker=attempt.masker,
        live_log=attempt.log,
        warden=workshop.warden,
        program_deadline=lambda: workshop.program_deadline(attempt.execution.id),
        open_workspace=lambda: workshop.workspaces.open(attempt.execution, attempt.position, attempt.artifacts),
        open_bundle=attempt.bundle,
        provider_data=lambda: workshop.provider_data / attempt.execution.provider,
        capture_bytes=workshop.output_bytes,
        mask_declared=lambda outputs: _mask_declared(attempt, outputs),
    )


def _mask_declared(attempt: Attempt, outputs: JsonObject) -> None:
    for name in outputs.keys() & set(attempt.step.secret_outputs):
        add_masks(attempt.masker, outputs[name])


def _labels(attempt: Attempt) -> dict[str, str]:
    execution = attempt.execution
    return {
        "INNOMINATUS_APPLICATION": execution.application,
        "INNOMINATUS_ENVIRONMENT": execution.environment,
        "INNOMINATUS_RESOURCE": str(attempt.inputs.get("resource_name", "")),
        "INNOMINATUS_EXECUTION": str(execution.id),
        "INNOMINATUS_STEP": attempt.step.name,
    }


def render_config(step: Step, scope: Mapping[str, Json]) -> JsonObject:
    """The step's config with its expressions evaluated; scripts by the rules of scripts. Raises Invalid."""
    at = f"steps.{step.name}.config"
    interpreter = step.config.get("interpreter")
    return registry.rendered(
        step.type,
        step.config,
        plain=lambda value, path: expressions.render(value, scope, at=f"{at}.{path}"),
        script=lambda text, path: render_script(
            text, scope, at=f"{at}.{path}", interpreter=interpreter if isinstance(interpreter, str) else None
        ),
    )
