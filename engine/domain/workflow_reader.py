"""Workflow documents into domain values: every problem at once, with its place."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from engine.domain import expressions
from engine.domain.expression_syntax import ExpressionError
from engine.domain.parameter_reader import NAME, read_parameters
from engine.domain.parameters import parse_duration
from engine.domain.reading import Reading, did_you_mean
from engine.domain.step_order import NEEDS, needs_of
from engine.domain.topology import find_cycle, topological_order
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Parameter, RetryPolicy, Step, When, Workflow, WorkflowOutput
from engine.domain.yaml_source import Path, Source, load, shortened
from engine.errors import Problem, quoted

API_VERSIONS = ("innominatus.io/v1", "innominatus.io/v1alpha1")
MOST_STEPS = 200
MOST_RETRIES = 100
PROVISIONER_INPUTS = frozenset({"app_name", "resource_name", "resource_type"})
"""What the engine always gives to a provisioner's workflow beside the resource's params."""

_DOCUMENT = frozenset({"apiVersion", "kind", "metadata", "parameters", "steps", "outputs", "spec"})
_SPEC = frozenset({"parameters", "steps", "outputs"})
_METADATA = frozenset({"name", "description", "version", "labels", "annotations", "tags"})
_STEP = frozenset(
    {"name", "type", "description", "if", "when", "timeout", "retry", "idempotent", "config", "secretOutputs"}
    | {"artifacts", "outputFrom", *NEEDS}
)
_ARTIFACT = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))[^\0\\]{1,500}")


class ConfigProblem(Protocol):
    """One thing wrong with a step's config; `path` is below `config`."""

    @property
    def path(self) -> tuple[str | int, ...]: ...
    @property
    def message(self) -> str: ...
    @property
    def fix(self) -> str: ...


CheckConfig = Callable[[str, JsonObject], Iterable[ConfigProblem]]


def read(
    source: Source | str | bytes,
    *,
    file: str = "",
    check_config: CheckConfig | None = None,
    step_types: Collection[str] | None = None,
) -> tuple[Workflow | None, tuple[Problem, ...]]:
    """A workflow and what is wrong with it; the workflow is None exactly when a problem is an error.

    `check_config` judges the config of a step of a known type; `step_types` None accepts any type.
    """
    document = source if isinstance(source, Source) else load(source, file=file)
    reading = Reading(document, noun="workflow")
    if document.value is None and document.problems:
        return None, reading.problems
    workflow = _Reader(reading, check_config, step_types).read()
    return (None if reading.failed else workflow), reading.problems


class _Reader:
    def __init__(self, reading: Reading, check_config: CheckConfig | None, step_types: Collection[str] | None) -> None:
        self.reading = reading
        self.check_config = check_config
        self.step_types = step_types

    def read(self) -> Workflow | None:
        reading = self.reading
        root = reading.mapping((), known=_DOCUMENT, required=("apiVersion", "kind", "metadata"))
        if not root:
            return None
        self._header()
        body: Path = ("spec",) if "spec" in root else ()
        if body:
            reading.mapping(body, known=_SPEC)
            for key in sorted(_SPEC & root.keys()):
                reading.error((key,), f"`{key}` stands beside `spec`", f"Move it into `spec`: `spec.{key}`.")
        parameters = read_parameters(reading, (*body, "parameters"))
        steps = self._steps((*body, "steps"))
        self._check_references(steps, (*body, "steps"), parameters)
        outputs = self._outputs((*body, "outputs"), steps, parameters)
        if reading.failed:
            return None
        by_name = {step.name: step for step in steps}
        order = topological_order({step.name: step.needs for step in steps})
        return Workflow(
            name=reading.text(("metadata", "name")),
            steps=tuple(by_name[name] for name in order),
            parameters=parameters,
            outputs=outputs,
            description=reading.text(("metadata", "description")),
        )

    def _header(self) -> None:
        reading = self.reading
        version = reading.text(("apiVersion",))
        if version and version not in API_VERSIONS:
            message = f"The apiVersion `{shortened(version)}` is not known"
            reading.error(("apiVersion",), message, f"Write `apiVersion: {API_VERSIONS[0]}`.", code="api_version")
        kind = reading.text(("kind",))
        if kind and kind != "Workflow":
            reading.error(("kind",), f"The kind is `{shortened(kind)}`", "Write `kind: Workflow`.", code="kind")
        reading.mapping(("metadata",), known=_METADATA, required=("name",))
        name = reading.text(("metadata", "name"))
        if name and not NAME.fullmatch(name):
            fix = "Use letters, digits, `-` and `_`; start with a letter."
            reading.error(("metadata", "name"), f"`{shortened(name)}` cannot be the name of a workflow", fix)

    def _steps(self, path: Path) -> tuple[Step, ...]:
        reading = self.reading
        items = reading.items(path)
        if not items:
            reading.error(path, "The workflow has no steps", "Add at least one entry to `steps`.", code="no_steps")
        if len(items) > MOST_STEPS:
            fix = "Move some of them into a workflow of their own, run by a step of type `workflow`."
            reading.error(path, f"The workflow has {len(items)} steps; at most {MOST_STEPS} are allowed", fix)
            return ()
        names = self._names(path, len(items))
        needs = needs_of(reading, path, names)
        steps = tuple(self._step((*path, i), name, needs[name]) for i, name in enumerate(names) if name in needs)
        cycle = find_cycle({step.name: step.needs for step in steps})
        if cycle:
            told = " → ".join(f"`{name}`" for name in cycle)
            at = (*path, names.index(cycle[0]))
            reading.error(at, f"The steps wait for each other: {told}", "Remove one of these `needs`.", code="cycle")
        return steps

    def _names(self, path: Path, count: int) -> list[str]:
        """One name per step; a step without a usable one gets a stand-in, so that the rest can be judged."""
        reading = self.reading
        names: list[str] = []
        for index in range(count):
            at = (*path, index)
            reading.mapping(at, known=_STEP, required=("name", "type"))
            name = reading.text((*at, "name"))
            if name in names:
                first = reading.source.place((*path, names.index(name)))[0]
                fix = "Give each step a name of its own."
                reading.error((*at, "name"), f"The step `{name}` is already on line {first}", fix, code="duplicate")
            elif name and not NAME.fullmatch(name):
                fix = "Use letters, digits, `-` and `_`; start with a letter."
                reading.error((*at, "name"), f"`{shortened(name)}` cannot be the name of a step", fix)
            names.append(name if name and name not in names else f"<step {index + 1}>")
        return names

    def _step(self, at: Path, name: str, needs: tuple[str, ...]) -> Step:
        reading = self.reading
        step_type = reading.text((*at, "type"))
        config = self._config(at, step_type)
        return Step(
            name=name,
            type=step_type,
            needs=needs,
            condition=self._condition((*at, "if")),
            when=reading.choice((*at, "when"), When, When.ON_SUCCESS),
            timeout=self._seconds((*at, "timeout")),
            retry=self._retry((*at, "retry")),
            idempotent=reading.boolean((*at, "idempotent")),
            config=config,
            secret_outputs=reading.texts((*at, "secretOutputs")),
            artifacts=self._artifacts((*at, "artifacts")),
            line=reading.source.place(at)[0],
        )

    def _config(self, at: Path, step_type: str) -> JsonObject:
        reading = self.reading
        config = dict(reading.mapping((*at, "config")))
        shorthand = reading.value((*at, "outputFrom"))
        if shorthand is not None:
            if "outputFrom" in config:
                reading.error((*at, "outputFrom"), "`outputFrom` is also in `config`", "Keep the one in `config`.")
            config["outputFrom"] = shorthand
        for found in expressions.problems(config):
            reading.error((*at, "config", *found.path), found.message, found.fix, code="expression")
        if self.step_types is not None and step_type and step_type not in self.step_types:
            fix = did_you_mean(step_type, self.step_types, noun="Step types")
            message = f"There is no step type `{shortened(step_type)}`"
            reading.error((*at, "type"), message, fix, code="unknown_step_type")
        elif self.check_config is not None and step_type:
            for problem in self.check_config(step_type, config):
                short = problem.path[:1] == ("outputFrom",) and shorthand is not None
                where = (*at, *problem.path) if short else (*at, "config", *problem.path)
                reading.error(where, _sentence(problem.message), _sentence(problem.fix), code="step_config")
        return config

    def _condition(self, path: Path) -> str | None:
        reading = self.reading
        value = reading.value(path)
        if value is None:
            return None
        text = ("true" if value else "false") if isinstance(value, bool) else reading.text(path)
        try:
            expressions.condition_expression(text)
        except ExpressionError as error:
            reading.error(path, error.message, error.fix, code="expression")
            return text
        for found in expressions.problems(_braced(text)):
            reading.error(path, found.message, found.fix, code="expression")
        return text

    def _seconds(self, path: Path) -> float | None:
        value = self.reading.value(path)
        if value is None:
            return None
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.reading.error(path, f"`{path[-1]}` must be a duration", str(error), code="duration")
            return None
        if seconds == 0 and path[-1] == "timeout":
            self.reading.error(path, "`timeout` must be longer than nothing", "Leave it out for the default.")
        return seconds

    def _retry(self, path: Path) -> RetryPolicy:
        reading = self.reading
        retry = reading.mapping(path, known={"max", "backoff"})
        if not retry:
            return RetryPolicy()
        most = reading.number((*path, "max"))
        if most is not None and (not isinstance(most, int) or not 0 <= most <= MOST_RETRIES):
            reading.error((*path, "max"), f"`max` must be a whole number from 0 to {MOST_RETRIES}")
            most = None
        backoff = self._seconds((*path, "backoff"))
        return RetryPolicy(int(most or 0), 1.0 if backoff is None else backoff)

    def _artifacts(self, path: Path) -> tuple[str, ...]:
        found = self.reading.texts(path)
        for index, artifact in enumerate(found):
            if not _ARTIFACT.fullmatch(artifact):
                fix = "Write a path below the step's workspace, such as `plan/out.tfplan`."
                self.reading.error((*path, index), f"`{shortened(artifact)}` is no path in the workspace", fix)
        return found

    def _check_references(self, steps: Sequence[Step], path: Path, parameters: tuple[Parameter, ...]) -> None:
        before = _upstream(steps)
        for index, step in enumerate(steps):
            for key, tree in (("config", step.config), ("if", _braced(step.condition or ""))):
                self._check_parameters(tree, (*path, index, key), parameters)
                for name in sorted(expressions.step_references(tree) - before[step.name]):
                    message, fix = _unreachable(name, step.name, before)
                    self.reading.error((*path, index, key), message, fix, code="step_reference")

    def _check_parameters(self, tree: Json, path: Path, parameters: tuple[Parameter, ...]) -> None:
        known = {parameter.name for parameter in parameters}
        for name in sorted(expressions.parameter_references(tree, guarded=False) - known - PROVISIONER_INPUTS):
            fix = did_you_mean(name, known, noun="Parameters") or "Declare it under `parameters`."
            self.reading.error(path, f"`parameters.{name}` is not declared", fix, code="unknown_parameter")

    def _outputs(
        self, path: Path, steps: Sequence[Step], parameters: tuple[Parameter, ...]
    ) -> dict[str, WorkflowOutput]:
        reading = self.reading
        outputs: dict[str, WorkflowOutput] = {}
        names = {step.name for step in steps}
        for name, written in reading.mapping(path).items():
            at = (*path, name)
            value, secret = written, False
            if isinstance(written, dict) and "value" in written:
                reading.mapping(at, known={"value", "secret", "description"})
                value, secret = written["value"], reading.boolean((*at, "secret")) or False
            for found in expressions.problems(value):
                reading.error((*at, *found.path), found.message, found.fix, code="expression")
            self._check_parameters(value, at, parameters)
            for missing in sorted(expressions.step_references(value) - names):
                fix = did_you_mean(missing, names, noun="Steps")
                reading.error(at, f"There is no step `{missing}`", fix, code="step_reference")
            if not NAME.fullmatch(name):
                fix = "Use letters, digits, `-` and `_`; start with a letter."
                reading.error(at, f"`{shortened(name)}` cannot be the name of an output", fix)
            outputs[name] = WorkflowOutput(value, secret)
        return outputs


def _upstream(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    """All steps that have ended before each step starts."""
    needs = {step.name: step.needs for step in steps}
    reached: dict[str, frozenset[str]] = {}
    for name, direct in needs.items():
        seen: set[str] = set()
        waiting = list(direct)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(needs.get(current, ()))
        reached[name] = frozenset(seen)
    return reached


def _unreachable(name: str, reader: str, before: dict[str, frozenset[str]]) -> tuple[str, str]:
    if name == reader:
        return f"The step `{name}` reads its own outputs", "They exist only once it has ended."
    if name in before:
        return f"`{name}` need not have ended when `{reader}` starts", f"Add `{name}` to the `needs` of `{reader}`."
    known = quoted(sorted(before[reader]))
    return f"There is no step `{name}`", did_you_mean(name, before.keys()) or (
        f"Steps before this one: {known}." if known else ""
    )


def _braced(condition: str) -> str:
    return condition if "{{" in condition or not condition else "{{ " + condition + " }}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
