"""Which step types there are, and whether a config suits its type. A new type is one line in `EXECUTORS`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TypeGuard, cast

from pydantic import BaseModel, ValidationError

from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Step
from engine.errors import Internal, nearest, quoted
from engine.steps.base import StepExecutor, StepFailed
from engine.steps.fields import FIX
from engine.steps.http import HttpExecutor
from engine.steps.policy import PolicyExecutor
from engine.steps.resource_provisioning import ResourceProvisioningExecutor
from engine.steps.set_values import SetExecutor
from engine.steps.validation import ValidationExecutor
from engine.steps.workflow import WorkflowExecutor

ENTRY_POINTS = "innominatus.steps"
"""Third parties add step types in this entry-point group: type name → an executor class without arguments."""

EXECUTORS: Mapping[str, StepExecutor] = {
    "http": HttpExecutor(),
    "policy": PolicyExecutor(),
    "resource-provisioning": ResourceProvisioningExecutor(),
    "set": SetExecutor(),
    "validation": ValidationExecutor(),
    "workflow": WorkflowExecutor(),
}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong with a step's config: the path below `config`, what it is, what to write instead."""

    path: tuple[str | int, ...]
    message: str
    fix: str = ""


def step_types() -> frozenset[str]:
    return frozenset(_executors())


def executor(step_type: str) -> StepExecutor:
    """The executor of a step type. StepFailed with the nearest names when there is none."""
    found = _executors().get(step_type)
    if found is None:
        raise StepFailed(f"There is no step type `{step_type}`.", hint=_did_you_mean(step_type, step_types()))
    return found


def is_instant(step_type: str) -> bool:
    """Whether a step of the type waits for nothing, and logs nothing while it runs."""
    return getattr(_executors().get(step_type), "instant", False)


def is_pure(step_type: str) -> bool:
    """Whether a step of the type has no effect: it computes its outputs from its config, whenever it is asked."""
    return getattr(_executors().get(step_type), "pure", False)


def only_looks(step_type: str, config: JsonObject) -> bool:
    """Whether a step with this config, as written, changes nothing in the world."""
    looks: Callable[[JsonObject], bool] | None = getattr(_executors().get(step_type), "only_looks", None)
    return is_pure(step_type) or (looks is not None and looks(config))


def may_run_twice(step: Step) -> bool:
    """Whether running it twice is the same as once: the step says so itself, or its type does."""
    if step.idempotent is not None:
        return step.idempotent
    found = _executors().get(step.type)  # none for a type that was installed before
    return found is not None and found.idempotent


def is_script(step_type: str, path: Sequence[str | int]) -> bool:
    """Whether the config value at `path` is program text, into which expressions are rendered as into a script."""
    return any(_matches(field, path) for field in _script_fields(step_type))


def rendered(
    step_type: str, config: JsonObject, *, plain: Callable[[Json, str], Json], script: Callable[[str, str], str]
) -> JsonObject:
    """The config with every leaf passed through `plain`, or through `script` where it is program text.

    Both get the value and its dotted path. Scripts deep inside lists and mappings are found too.
    """
    fields = _script_fields(step_type)

    def render(value: Json, path: tuple[str | int, ...]) -> Json:
        if isinstance(value, dict):
            return {key: render(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [render(inner, (*path, number)) for number, inner in enumerate(value)]
        at = ".".join(str(part) for part in path)
        if isinstance(value, str) and any(_matches(field, path) for field in fields):
            return script(value, at)
        return plain(value, at)

    return {key: render(value, (key,)) for key, value in config.items()}


@cache
def _script_fields(step_type: str) -> tuple[tuple[str, ...], ...]:
    fields: frozenset[str] = getattr(executor(step_type), "script_fields", frozenset[str]())
    return tuple(tuple(field.split(".")) for field in sorted(fields))


def config_problems(step_type: str, config: JsonObject) -> list[ConfigProblem]:
    """Everything wrong with a config as written. A value that holds an expression is judged when it is rendered."""
    return [problem for problem, raw in _problems(executor(step_type).Config, config) if not _holds_expression(raw)]


def parse_config(step_type: str, rendered: JsonObject) -> BaseModel:
    """The validated config of a step. StepFailed with every problem."""
    model = executor(step_type).Config
    try:
        return model.model_validate(rendered)
    except ValidationError:
        problems = [problem for problem, _ in _problems(model, rendered)]
        told = "; ".join(f"{_dotted(problem.path)}{problem.message}" for problem in problems)
        fixes = "; ".join(dict.fromkeys(problem.fix for problem in problems if problem.fix))
        raise StepFailed(f"The config of this `{step_type}` step is not valid: {told}.", hint=fixes) from None


def load_executors() -> Mapping[str, StepExecutor]:
    """Ours and those of installed third parties; ours win, so that no package can replace a builtin type.

    Internal names the package whose step type cannot be loaded.
    """
    others: dict[str, StepExecutor] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            others[entry.name] = cast("type[StepExecutor]", entry.load())()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            raise Internal(
                f"The step type `{entry.name}` of the package `{package}` cannot be loaded: {error}.",
                code="step_type_broken",
                hint=f"Repair or uninstall `{package}`.",
            ) from error
    return {**others, **EXECUTORS}


_executors = cache(load_executors)


def _problems(model: type[BaseModel], config: JsonObject) -> list[tuple[ConfigProblem, Json]]:
    try:
        model.model_validate(config)
    except ValidationError as error:
        found: dict[tuple[str | int, ...], tuple[ConfigProblem, Json]] = {}
        for detail in error.errors(include_url=False, include_input=False):
            path, raw = _reached(config, detail["loc"])
            if detail["type"] == "missing":
                path = (*path, detail["loc"][-1])
            message, fix = _told(model, detail["type"], detail["msg"], path, detail.get("ctx", {}))
            found.setdefault(path, (ConfigProblem(path, message, fix), None if detail["type"] in _SHAPE else raw))
        return list(found.values())
    return []


_SHAPE = frozenset({"missing", "extra_forbidden"})
"""Problems that no value can cure."""


def _told(
    model: type[BaseModel], kind: str, message: str, path: tuple[str | int, ...], context: Mapping[str, object]
) -> tuple[str, str]:
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        fix = _did_you_mean(str(path[-1]), known) or (f"valid keys: {quoted(sorted(known))}" if known else "")
        return f"unknown key `{path[-1]}`", fix
    if kind == "missing":
        return f"`{path[-1]}` is missing", f"add `{path[-1]}`"
    lowered = message[:1].lower() + message[1:]
    for theirs, ours in (("tuple", "list"), ("dictionary", "mapping")):
        lowered = lowered.replace(theirs, ours)
    return lowered, str(context.get(FIX, ""))


def _keys(model: type[BaseModel], path: Sequence[str | int]) -> frozenset[str]:
    """The keys that `model` knows at `path`, following nested models through lists, mappings and options."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        annotations = [
            field.annotation
            for one in models
            for name, field in one.model_fields.items()
            if part in (name, field.alias) and not isinstance(part, int)
        ]
        if annotations:
            models = [found for annotation in annotations for found in _models(annotation)]
    return frozenset(field.alias or name for one in models for name, field in one.model_fields.items())


def _models(annotation: object) -> Iterable[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    inner: tuple[object, ...] = getattr(annotation, "__args__", ())
    return [found for one in inner for found in _models(one)]


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _reached(config: JsonObject, place: Sequence[str | int]) -> tuple[tuple[str | int, ...], Json]:
    """How far a pydantic location goes in the config (union members in it are not keys) and what stands there."""
    value: Json = config
    path: list[str | int] = []
    for part in place:
        found = _child(value, part)
        if found is not None:
            value = found[0]
            path.append(part)
    return tuple(path), value


def _child(value: Json, part: str | int) -> tuple[Json] | None:
    match value:
        case dict() if isinstance(part, str) and part in value:
            return (value[part],)
        case list() if isinstance(part, int) and part < len(value):
            return (value[part],)
        case _:
            return None


def _holds_expression(value: Json) -> bool:
    return isinstance(value, str) and "{{" in value


def _matches(pattern: Sequence[str], path: Sequence[str | int]) -> bool:
    return len(pattern) == len(path) and all(want in ("*", str(part)) for want, part in zip(pattern, path, strict=True))


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = nearest(name, known)
    return f"did you mean {quoted(close)}?" if close else ""


def _dotted(path: Sequence[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return f"`{text}`: " if text else ""
