"""What to do about a failure: is a retry safe, and which moves come first."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.domain.diagnosis import CauseClass, Do, Fault, Finding, Move, Node, Retry, RetrySafety
from engine.domain.provider import Operation
from engine.domain.values import ExecutionId

_C = CauseClass
_REFUSED = re.compile(r"http_4(?!08)[0-9]{2}")
UNTOUCHED = frozenset({"no_program", "unreachable", "untrusted", "invalid", "workspace", "unknown_step_type"})
"""Reasons of a step that failed before it could do anything."""
_ALWAYS_THE_SAME = frozenset({"invalid", "too_deep", "waits_for_itself", "missing_application", "workflow_not_found"})
_FIRST = {
    _C.PROVIDER: "once the provider, or the system it works with, is mended",
    _C.CREDENTIALS: "but it fails again until the credentials or their rights are right",
    _C.QUOTA: "once there is room or the limit is raised",
    _C.TIMEOUT: "though it may take as long again",
    _C.PLATFORM: "once the engine has what it needs",
    _C.CANCELLED: "nothing was wrong with it",
}
_MEND = {
    _C.PROVIDER: "Mend what the error names: the provider's workflow, or the system that it works with.",
    _C.CREDENTIALS: "Give the provider credentials that are valid and have the rights that the error names.",
    _C.QUOTA: "Make room: raise the limit, free what is used up, or ask for less.",
    _C.TIMEOUT: "See why it takes so long; if that is usual, the provider can raise the step's `timeout`.",
    _C.PLATFORM: "Mend the engine's machine as the error says.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with what failed. `superseded` says why it cannot be retried; empty when it can.

    `newer` is the run that has taken the place of the failed one. `asked` is whose values led to it. `repeats` is what
    a retry has to be asked for, in that order. `mended` is what it failed for, where that is there by now.
    """

    node: Node
    asked: Node
    superseded: str = ""
    newer: ExecutionId | None = None
    repeats: tuple[Node, ...] = ()
    mended: str = ""


def untouched(fault: Fault) -> bool:
    """Whether the step that failed has certainly done nothing: it never began, or was turned away."""
    return fault.step is None or fault.reason in UNTOUCHED or _REFUSED.fullmatch(fault.reason) is not None


def retry_of(fault: Fault, finding: Finding, standing: Standing) -> Retry:
    """Whether a retry does harm, and whether it is of any use."""
    if useless := standing.superseded or ("" if standing.mended else _useless(fault, finding)):
        return Retry(RetrySafety.POINTLESS, useless)
    when = f"as `{standing.mended}` is there now" if standing.mended else _FIRST[finding.cause]
    if fault.step is None or untouched(fault):
        return Retry(RetrySafety.SAFE, f"Nothing was begun by it: repeat it, {when}.")
    name = f"`{fault.step.name}`"
    if fault.harmless:
        return Retry(RetrySafety.SAFE, f"Step {name} may run twice: repeat it, {when}.")
    if fault.reason == "interrupted":
        why = f"Nobody knows how far step {name} came when the engine stopped: look at what it did first."
        return Retry(RetrySafety.UNSAFE, why)
    why = f"Step {name} is not declared idempotent and may have done a part of its work: look first"
    return Retry(RetrySafety.UNSAFE, f"{why}; then repeat it, {when}.")


def _useless(fault: Fault, finding: Finding) -> str:
    if finding.cause is _C.SPEC:
        return "The same values would be refused again: change them first."
    if finding.cause is _C.DEPENDENCY:
        return "It fails again until what it needs is there."
    if fault.reason in _ALWAYS_THE_SAME:
        return "It ends the same way until the provider's workflow is changed."
    return ""


def moves_of(fault: Fault, finding: Finding, standing: Standing, retry: Retry) -> tuple[Move, ...]:
    """What to do next, the most useful first."""
    return tuple(dict.fromkeys(_moves(fault, finding, standing, retry)))


def _moves(fault: Fault, finding: Finding, standing: Standing, retry: Retry) -> Iterator[Move]:
    node, cause = standing.node, finding.cause
    if standing.newer is not None:
        yield Move(Do.SEE_EXECUTION, "Something newer was asked for: see its run.", execution_id=standing.newer)
    elif cause is _C.SPEC:
        yield _corrected(standing.asked)
    elif cause in _MEND and not (cause is _C.PLATFORM and fault.reason == "interrupted"):
        why = _MEND[cause]
        if node.provider and cause in {_C.PROVIDER, _C.CREDENTIALS}:
            why = f"{why} (provider `{node.provider}`, workflow `{node.workflow}`)"
        yield Move(Do.MEND, why)
    if cause is _C.DEPENDENCY and node.resource_id is not None:
        why = "See what it depends on, and which of that is missing."
        yield Move(Do.SEE_RESOURCE, why, resource_id=node.resource_id)
    if fault.step is not None and node.execution_id is not None and fault.log:
        why = f"The whole log of step `{fault.step.name}`."
        yield Move(Do.READ_LOG, why, execution_id=node.execution_id, step=fault.step.name)
    if retry.safety is not RetrySafety.POINTLESS:
        yield from _repeats(standing, retry)
    halfway = retry.safety is RetrySafety.UNSAFE or node.operation is Operation.DELETE
    if halfway and not standing.superseded and node.resource_id is not None:
        why = "If somebody has looked after it by hand: say what is true, `active` or `gone`."
        yield Move(Do.RESOLVE_RESOURCE, why, resource_id=node.resource_id)


def _repeats(standing: Standing, retry: Retry) -> Iterator[Move]:
    """The retry itself, then those of what failed only because of it."""
    first = (
        "Repeat it: that does no harm."
        if retry.safety is RetrySafety.SAFE
        else "Repeat it, after a look at what it did."
    )
    for number, node in enumerate(standing.repeats):
        why = first if number == 0 else f"Then `{node.name}`, which failed because of it."
        if node.resource_id is not None:
            yield Move(Do.RETRY_RESOURCE, why, resource_id=node.resource_id, execution_id=node.execution_id)
        elif node.execution_id is not None:
            yield Move(Do.RETRY_EXECUTION, why, execution_id=node.execution_id)


def _corrected(node: Node) -> Move:
    if node.application and (node.resource_id is not None or node.operation is not None):
        why = "Correct the values that the error names in the spec, and submit it again."
        return Move(Do.CORRECT_SPEC, why, application=node.application, environment=node.environment)
    return Move(Do.RUN_AGAIN, "Run it again with inputs that the error asks for.", workflow=node.workflow)
