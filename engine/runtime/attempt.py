"""One attempt of one step, from its rendered config to its outcome. What executors raise is understood here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from engine.domain import expressions
from engine.domain.expression_scripts import render_script
from engine.domain.runs import Outputs
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Step
from engine.errors import InnominatusError, Invalid
from engine.runtime.context import RunningStep
from engine.runtime.workshop import Attempt, Workshop
from engine.steps import registry
from engine.steps.base import RetryLater, StepCancelled, StepFailed, StepRefused, Suspend
from engine.steps.masking import Masker
from engine.steps.outputs import accepted

logger = structlog.get_logger()


class Succeeded(NamedTuple):
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
        attempt.masker.add_all(checked[name])
    made = context.made_workspace
    archive = workshop.workspaces.collect(made, attempt.step.artifacts) if made else None
    return Succeeded(Outputs(checked, frozenset(named)), archive)


def _holds_secret(masker: Masker, value: Json) -> bool:
    """Whether a known secret has found its way into the value."""
    if masker.idle:
        return False
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return masker.mask(text) != text


def _context(attempt: Attempt, workshop: Workshop) -> RunningStep:
    step = attempt.step
    config = registry.parse_config(step.type, render_config(step, attempt.scope))
    return RunningStep(attempt, workshop, config)


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
