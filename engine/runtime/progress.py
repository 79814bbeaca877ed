"""How far an execution has come: the newest attempt of each step, and the scope its expressions see."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.domain.execution import StepState, keeps_on_retry
from engine.domain.runs import Execution, Outputs, StepRun
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
        self.outputs[name] = outputs or Outputs()
        self.waiting.pop(name, None)
        if state is StepState.FAILED:
            self.errors[name] = error
            self.reasons[name] = reason

    @property
    def scope(self) -> JsonObject:
        """What expressions see. Steps that have not succeeded have a state and no outputs."""
        execution = self.execution
        states, outputs = self.states, self.outputs
        steps: JsonObject = {
            step.name: {
                "outputs": outputs[step.name].values if step.name in outputs else {},
                "state": str(states.get(step.name, "pending")),
            }
            for step in self.workflow.steps
        }
        values = self.inputs.values
        return {
            "parameters": values,
            "steps": steps,
            "resource": values.get("resource", {}),
            "application": execution.application,
            "environment": execution.environment,
            "execution": {"id": execution.id, "attempt": execution.attempt, "workflow": execution.workflow},
            "actor": execution.actor,
            "config": {},
        }

    def secret_values(self) -> Iterable[Json]:
        """Every value on record that must be masked."""
        for name in self.inputs.secret & self.inputs.values.keys():
            if name in {"resource", "workload"}:
                continue  # their secrets are outputs of resources, masked one by one
            yield self.inputs.values[name]
        for outputs in self.outputs.values():
            for name in outputs.secret & outputs.values.keys():
                yield outputs.values[name]
