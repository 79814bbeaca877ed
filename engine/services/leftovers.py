"""What exists all the same after a failure, or may exist."""

import re
from collections.abc import Iterator, Mapping

from engine.domain import remedies
from engine.domain.diagnosis import CauseClass, Fault, Finding, LeftBehind
from engine.domain.execution import StepState
from engine.domain.provider import Operation
from engine.domain.resource import Resource
from engine.domain.runs import StepRun
from engine.domain.workflow import Step
from engine.services.descent import Descent
from engine.steps import registry

MOST_NAMED = 10
_MADE = re.compile(
    r"^(?P<terraform>\S{1,200}): Creation complete after"
    r"|^(?P<kubectl>[a-z0-9.-]{1,100}/[a-z0-9.:-]{1,200}) (?:created|configured|serverside-applied)$"
    r"|^ \+ +(?P<pulumi>\S{1,200} \S{1,200}) created(?: \([0-9.]+s\))?$",
    re.MULTILINE,
)
"""How tools tell what they have made."""
_STANDS = {
    Operation.UPDATE: "stands as its last success made it, as far as the update had not changed it",
    Operation.DELETE: "is not deleted, or not whole",
    Operation.READ: "stands; its health check fails",
}


def left_behind(
    descent: Descent, fault: Fault, finding: Finding, step: Step | None, states: Mapping[str, int]
) -> Iterator[LeftBehind]:
    """`states` counts the resources of the application by state."""
    done = [run for run in descent.runs if run.state is StepState.SUCCEEDED and not registry.is_pure(run.type)]
    for run in done[:MOST_NAMED]:
        yield LeftBehind("step", run.name, f"`{run.type}` finished: what it did stays, and a retry keeps it")
    if len(done) > MOST_NAMED:
        yield LeftBehind("step", f"{len(done) - MOST_NAMED} more steps", "finished")
    if descent.step is not None and step is not None and not registry.only_looks(step.type, step.config):
        yield from _half_done(descent.step, fault, finding)
    made = dict.fromkeys(match[match.lastgroup or 0] for match in _MADE.finditer(fault.log))
    for thing in list(made)[:MOST_NAMED]:
        yield LeftBehind("thing", thing, "its tool says that it was made before the step failed")
    if descent.resource is not None:
        yield from _resources(descent.resource, descent, states)


def _half_done(run: StepRun, fault: Fault, finding: Finding) -> Iterator[LeftBehind]:
    if fault.reason == "interrupted":
        yield LeftBehind("step", run.name, "was at work when the engine stopped: nobody knows how far it came")
    elif finding.cause is CauseClass.CANCELLED:
        yield LeftBehind("step", run.name, "was at work when it was ended: what it had done by then stays")
    elif run.wait_kind is None and not remedies.untouched(fault):
        yield LeftBehind("step", run.name, "failed while it was at work: it may have done a part of it")


def _resources(resource: Resource, descent: Descent, states: Mapping[str, int]) -> Iterator[LeftBehind]:
    operation = descent.chain[-1].operation
    if resource.observed_generation > 0:
        how = _STANDS.get(operation, "stands as it was") if operation else "stands as it was"
        yield LeftBehind("resource", str(resource.key), how)
    if sum(states.values()) > 1:
        told = ", ".join(f"{count} {state}" for state, count in states.items())
        yield LeftBehind("resources", resource.application, f"its resources: {told}")
