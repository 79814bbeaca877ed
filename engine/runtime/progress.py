"""How far an execution has come: the newest attempt of each step, and the scope its expressions see."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from engine.domain.execution import StepState, keeps_on_retry
from engine.domain.runs import NO_OUTPUTS, Execution, Outputs, StepRun
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Step, Workflow

INTERRUPTED = "interrupted"
"""The reason of an attempt that was at work when its engine went away."""


@dataclass
class Progress:
    """Mutable: one execution's memory while one thread coordinates it."""

    execution: Execution
    workflow: Workflow
    inputs: Outputs = field(default_factory=Outputs)
    states: dict[str, StepState] = field(default_factory=dict[str, StepState])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    tries: dict[str, int] = field(default_factory=dict[str, int])
    """Failed attempts per step within this attempt of the execution."""
    outputs: dict[str, Outputs] = field(default_factory=dict[str, Outputs])
    waiting: dict[str, StepRun] = field(default_factory=dict[str, StepRun])
    errors: dict[str, str] = field(default_factory=dict[str, str])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    approved: set[str] = field(default_factory=set[str])
    """Steps that a person let go on in this attempt of the execution, and that begin anew."""

    def restore(self, runs: Iterable[StepRun]) -> list[StepRun]:
        """Take over what is on record; returns the runs found running (by position)."""
        newest = {run.name: run for run in runs}  # attempts come in rising order
        running: list[StepRun] = []
        for run in runs:
            if run.execution_attempt == self.execution.attempt and run.state is StepState.FAILED:
                self.tries[run.name] = self.tries.get(run.name, 0) + 1
        for name, run in newest.items():
            self.attempts[name] = run.attempt
            if run.execution_attempt < self.execution.attempt and not keeps_on_retry(
                self.workflow.step(name), run.state
            ):
                continue
            if run.state is StepState.CANCELLED and run.reason == INTERRUPTED:  # it is to begin anew
                self.begins_anew(run.name)
                continue
            self.states[name] = run.state
            self.outputs[name] = run.outputs
            if run.state is StepState.WAITING:
                self.waiting[name] = run
            elif run.state is StepState.RUNNING:
                running.append(run)
            elif run.state is StepState.FAILED:
                self.errors[name] = run.error
                self.reasons[name] = run.reason
        return sorted(running, key=lambda run: run.position)

    def begins_anew(self, name: str) -> None:
        """An attempt was interrupted and does no harm when repeated; a person who let it begin is not asked again."""
        self.states[name] = StepState.PENDING
        self.approved.add(name)

    def position(self, step: Step) -> int:
        return next(number for number, one in enumerate(self.workflow.steps) if one is step)

    def next_attempt(self, name: str) -> int:
        self.attempts[name] = self.attempts.get(name, 0) + 1
        return self.attempts[name]

    def finish(
        self, name: str, state: StepState, outputs: Outputs | None = None, *, error: str = "", reason: str = ""
    ) -> None:
        self.states[name] = state
        self.outputs[name] = NO_OUTPUTS if outputs is None else outputs
        self.waiting.pop(name, None)
        if state is StepState.FAILED:
            self.errors[name] = error
            self.reasons[name] = reason

    @property
    def scope(self) -> "Scope":
        """What expressions see of it as it is now."""
        return Scope(self.execution, self.workflow, self.inputs.values, self.states.copy(), self.outputs.copy())

    def secret_values(self) -> Iterable[Json]:
        """Every value on record that must be masked."""
        for name in self.inputs.secret & self.inputs.values.keys():
            if name in {"resource", "workload"}:
                continue  # their secrets are outputs of resources, masked one by one
            yield self.inputs.values[name]
        for outputs in self.outputs.values():
            for name in outputs.secret & outputs.values.keys():
                yield outputs.values[name]


class Scope(Mapping[str, Json]):
    """What expressions see. Steps that have not succeeded have a state and no outputs.

    It is put together when it is first looked into: most steps hold no expression.
    """

    def __init__(
        self,
        execution: Execution,
        workflow: Workflow,
        parameters: JsonObject,
        states: Mapping[str, StepState],
        outputs: Mapping[str, Outputs],
    ) -> None:
        self._execution = execution
        self._workflow = workflow
        self._parameters = parameters
        self._states = states
        self._outputs = outputs

    @cached_property
    def _values(self) -> JsonObject:
        execution = self._execution
        return {
            "parameters": self._parameters,
            "steps": {step.name: self._step(step.name) for step in self._workflow.steps},
            "resource": self._parameters.get("resource", {}),
            "application": execution.application,
            "environment": execution.environment,
            "execution": {"id": execution.id, "attempt": execution.attempt, "workflow": execution.workflow},
            "actor": execution.actor,
            "config": {},
        }

    def _step(self, name: str) -> JsonObject:
        outputs = self._outputs.get(name, NO_OUTPUTS)
        return {"outputs": outputs.values, "state": str(self._states.get(name, "pending"))}

    def __getitem__(self, name: str) -> Json:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
