"""From something that failed down to the deepest thing that failed for it, over the records as they stand."""

from dataclasses import dataclass, field, replace
from enum import Enum

from engine.domain.diagnosis import Node
from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.resource import Resource, ResourceState
from engine.domain.runs import Execution, StepRun
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.store import executions, failures, resources, steps
from engine.store.database import Transaction

DEEPEST = 20
"""Hops that are followed; what lies deeper is told as where it stopped."""
_BROKEN = frozenset({ExecutionState.FAILED, ExecutionState.CANCELLED})
GONE = "gone"
"""The reason of what waits for something that has not failed, and will not come."""


class Link(Enum):
    """How one thing leads to the next below it."""

    BLOCKED = "is blocked by it, and goes on by itself"
    CHILD = "runs it as a sub-workflow, and again with its own retry"
    WAITS = "asked for it"


def is_broken(execution: Execution) -> bool:
    return execution.state in _BROKEN


def ails(resource: Resource) -> bool:
    """Whether there is something to explain about it."""
    broken = resource.state in {ResourceState.FAILED, ResourceState.BLOCKED, ResourceState.DEGRADED}
    return (broken and not resource.awaits_turn) or resource.blocked_by is not None


@dataclass
class Descent:
    """Goes down one way, bounded and never in a circle; then `chain` ends at the deepest, with what its records say."""

    tx: Transaction
    chain: list[Node] = field(default_factory=list[Node])
    links: list[Link] = field(default_factory=list[Link])
    """How the node before leads to each but the first."""
    resource: Resource | None = None
    execution: Execution | None = None
    runs: list[StepRun] = field(default_factory=list[StepRun])
    """The newest attempt of each step of `execution`."""
    step: StepRun | None = None
    error: str = ""
    reason: str = ""
    mended: str = ""
    """What the step failed for, where that is there by now."""
    _seen: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def into_resource(self, resource: Resource) -> None:
        self._seen.add(("resource", resource.id))
        self.resource, self.execution, self.runs, self.step = resource, None, [], None
        self.error, self.reason = resource.error, resource.reason
        if resource.blocked_by is not None:
            self._blocked(resource, resource.blocked_by)
            return
        failed_in = resource.execution_id
        if resource.state is ResourceState.DEGRADED:
            failed_in = failures.newest_check(self.tx, resource.id)
        found = None if failed_in is None else executions.get(self.tx, failed_in)
        if found is not None and is_broken(found):
            self.into_execution(found, resource)
        else:
            self.chain.append(_node(resource, why=resource.error or resource.reason))

    def _blocked(self, resource: Resource, root: ResourceId) -> None:
        other = resources.get(self.tx, root)
        name = f"`{other.key}`" if other else f"resource {root}"
        if other is None or not self._may_follow("resource", root) or not ails(other):
            state = f"which is {other.state}" if other else "which is not there"
            self.error, self.reason = f"It waits for {name}, {state} and is not coming by itself.", GONE
            self.chain.append(_node(resource, why=self.error))
            return
        self.chain.append(_node(resource, why=f"waits for {name}, which is {other.state}"))
        self.links.append(Link.BLOCKED)
        self.into_resource(other)

    def into_execution(self, execution: Execution, resource: Resource | None = None) -> None:
        self._seen.add(("execution", execution.id))
        self.resource, self.execution = resource, execution
        self.error, self.reason = execution.error, execution.reason
        runs = steps.standing(self.tx, execution.id)
        self.runs = list({run.position: run for run in runs}.values())
        self.step = first_failed(self.runs, execution.attempt)
        if self.step is not None and self.step.state is StepState.FAILED:
            self.error, self.reason = self.step.error, self.step.reason
        elif execution.state is ExecutionState.CANCELLED:
            self.reason = "cancelled"
        node = _node(resource, execution, why=self._why())
        self.chain.append(node)
        if self.step is not None and execution.state is ExecutionState.FAILED:
            self._follow(self.step, node)

    def _why(self) -> str:
        if self.step is None:
            return self.error or self.reason
        return f"step `{self.step.name}` {self.step.state}: {self.error or self.reason}"

    def _follow(self, step: StepRun, node: Node) -> None:
        """Go on with what the step waited for, when that has failed."""
        if step.wait_ref is None:
            return
        if step.wait_kind is WaitKind.EXECUTION:
            child = executions.get(self.tx, ExecutionId(step.wait_ref))
            if child is not None and child.state is ExecutionState.SUCCEEDED:
                self.mended = child.workflow
            elif child is not None and is_broken(child) and self._may_follow("execution", child.id):
                self._descends(node, Link.CHILD, f"step `{step.name}` ran workflow `{child.workflow}`: {child.state}")
                self.into_execution(child)
            return
        found = self._awaited(step)
        if found is not None and found.settled:
            self.mended = str(found.key)
        if found is not None and ails(found) and self._may_follow("resource", found.id):
            self._descends(node, Link.WAITS, f"step `{step.name}` asked for `{found.key}`, which is {found.state}")
            self.into_resource(found)

    def _awaited(self, step: StepRun) -> Resource | None:
        if step.wait_kind is WaitKind.RESOURCE:
            return resources.get(self.tx, ResourceId(step.wait_ref or 0))
        if step.wait_kind is WaitKind.APPLICATION:
            failed = failures.of_application(self.tx, ApplicationId(step.wait_ref or 0), limit=1)
            return resources.get(self.tx, failed[0].id) if failed else None
        return None

    def _descends(self, node: Node, link: Link, why: str) -> None:
        self.chain[-1] = replace(node, why=why)
        self.links.append(link)

    def _may_follow(self, kind: str, number: int) -> bool:
        return (kind, number) not in self._seen and len(self.chain) < DEEPEST


def first_failed(runs: list[StepRun], attempt: int) -> StepRun | None:
    """The step of that attempt of an execution that failed first; without one, the first that was ended."""
    mine = [run for run in runs if run.execution_attempt == attempt]
    for state in (StepState.FAILED, StepState.CANCELLED):
        ended = [run for run in mine if run.state is state and run.finished_at is not None]
        if ended:
            return min(ended, key=lambda run: (run.finished_at, run.position))
    return None


def _node(resource: Resource | None, execution: Execution | None = None, *, why: str) -> Node:
    subject = resource or execution
    assert subject is not None
    operation = execution.operation if execution else None
    return Node(
        why=why,
        state=subject.state.value,
        resource_id=resource.id if resource else None,
        resource=str(resource.key) if resource else "",
        execution_id=execution.id if execution else None,
        workflow=execution.workflow if execution else "",
        operation=operation or (resource.pending if resource else None),
        provider=execution.provider if execution else resource.provider if resource else "",
        application=subject.application,
        environment=resource.key.environment if resource else execution.environment if execution else "",
    )


def superseded(resource: Resource | None, execution: Execution | None) -> str:
    """Why the deepest cannot be retried now; empty when it can."""
    if execution is not None and execution.operation is Operation.READ:
        return "A health check is repeated by itself."
    if resource is None:
        return "" if execution is None or execution.resource_id is None else "Its resource is gone."
    if resource.awaits_turn:
        return "It is asked for again already, and starts by itself once it is its turn."
    if resource.state is ResourceState.BLOCKED:
        return "It has not begun, and goes on by itself once what it waits for is there."
    newer = newer_run(resource, execution)
    moved = "" if newer is None else f" and its newest execution is {newer}"
    failed = resource.state is ResourceState.FAILED
    return "" if failed and newer is None else f"It has moved on since: the resource is {resource.state}{moved}."


def newer_run(resource: Resource | None, execution: Execution | None) -> ExecutionId | None:
    """The run that has taken the place of `execution`; health checks take no place."""
    if resource is None or execution is None or execution.operation is Operation.READ:
        return None
    return None if resource.execution_id == execution.id else resource.execution_id
