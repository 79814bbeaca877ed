"""One run of a workflow: its states, and which steps may start next."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.workflow import Step, When, Workflow


class ExecutionState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    """Holds no thread: a timer, a child, a resource or a person wakes it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """Its `if` did not hold, or its `when` did not apply: what follows goes on."""
    UPSTREAM_FAILED = "upstream_failed"
    """Skipped because a step it needs failed; shown as `skipped` with that reason."""


_E, _T = ExecutionState, StepState
FINAL = frozenset({_E.SUCCEEDED, _E.FAILED, _E.CANCELLED})
EXECUTION_TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    _E.PENDING: frozenset({_E.RUNNING, _E.CANCELLED, _E.FAILED}),
    _E.RUNNING: frozenset({_E.WAITING, _E.SUCCEEDED, _E.FAILED, _E.CANCELLED}),
    _E.WAITING: frozenset({_E.RUNNING, _E.CANCELLED, _E.FAILED}),
    _E.SUCCEEDED: frozenset(),
    _E.FAILED: frozenset({_E.PENDING}),
    _E.CANCELLED: frozenset({_E.PENDING}),
}
"""`failed|cancelled → pending` is a retry: a new attempt that keeps its finished steps."""
STEP_FINAL = frozenset({_T.SUCCEEDED, _T.FAILED, _T.CANCELLED, _T.SKIPPED, _T.UPSTREAM_FAILED})
STEP_TRANSITIONS: dict[StepState, frozenset[StepState]] = {
    _T.PENDING: frozenset({_T.RUNNING, _T.SKIPPED, _T.UPSTREAM_FAILED, _T.WAITING, _T.CANCELLED}),
    _T.RUNNING: frozenset({_T.WAITING, _T.SUCCEEDED, _T.FAILED, _T.CANCELLED}),
    _T.WAITING: frozenset({_T.RUNNING, _T.SUCCEEDED, _T.FAILED, _T.CANCELLED}),
    **{state: frozenset[StepState]() for state in STEP_FINAL},
}


class WaitKind(StrEnum):
    TIMER = "timer"
    EXECUTION = "execution"
    RESOURCE = "resource"
    APPLICATION = "application"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Advance:
    """What comes next: steps to start, steps to skip (with the state that says why), or the end."""

    start: tuple[Step, ...] = ()
    skip: tuple[tuple[Step, StepState], ...] = ()
    finished: ExecutionState | None = None


_BAD = frozenset({_T.FAILED, _T.CANCELLED, _T.UPSTREAM_FAILED})


def advance(workflow: Workflow, states: Mapping[str, StepState], *, holds: Callable[[Step], bool]) -> Advance:
    """Decide from the states of the steps so far; `holds` judges a step's `if`, asked once per step ready to start.

    Skipping is followed through: a skipped step can make the next one ready in the same answer.
    """
    known = dict(states)
    start: list[Step] = []
    skip: list[tuple[Step, StepState]] = []
    done = True
    for step in workflow.steps:
        state = known.get(step.name, _T.PENDING)
        if state is _T.PENDING:
            needed = [known.get(name, _T.PENDING) for name in step.needs]
            if STEP_FINAL.issuperset(needed):
                state = _verdict(step, needed, states=known.values(), holds=holds)
                known[step.name] = state
                if state is _T.RUNNING:
                    start.append(step)
                else:
                    skip.append((step, state))
        done = done and state in STEP_FINAL
    return Advance(tuple(start), tuple(skip), _outcome(known.values()) if done else None)


def _verdict(
    step: Step, needed: list[StepState], *, states: Iterable[StepState], holds: Callable[[Step], bool]
) -> StepState:
    """`running` to start the step, else the state in which it is left out."""
    broken = not _BAD.isdisjoint(needed)
    if step.when is When.ON_FAILURE:
        failed = broken or (not step.needs and not _BAD.isdisjoint(states))
        if not failed:
            return StepState.SKIPPED
    elif broken and step.when is not When.ALWAYS:
        return StepState.UPSTREAM_FAILED
    if step.condition is not None and not holds(step):
        return StepState.SKIPPED
    return StepState.RUNNING


def _outcome(states: Iterable[StepState]) -> ExecutionState:
    seen = set(states)
    if StepState.CANCELLED in seen:
        return ExecutionState.CANCELLED
    return ExecutionState.FAILED if StepState.FAILED in seen else ExecutionState.SUCCEEDED


def keeps_on_retry(step: Step, state: StepState) -> bool:
    """True for a step that a new attempt of the execution does not run again."""
    return state is StepState.SUCCEEDED and step.when is not When.ON_FAILURE
