"""Is what a step waits for over, and how did it end?"""

from datetime import datetime

from engine.domain.execution import FINAL, ExecutionState, WaitKind
from engine.domain.resource import Resource, ResourceState
from engine.domain.runs import StepRun
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.steps.base import Resumed
from engine.store import executions, resources
from engine.store.database import Transaction


def ended(tx: Transaction, run: StepRun) -> Resumed | None:
    """None while the wait goes on."""
    match run.wait_kind:
        case WaitKind.TIMER | WaitKind.PERSON:
            return Resumed(succeeded=True, memo=run.memo) if _due(run.wake_at, tx.now) else None
        case WaitKind.EXECUTION:
            return _child(tx, run)
        case WaitKind.RESOURCE:
            return _resource(tx, run)
        case WaitKind.APPLICATION:
            return _application(tx, run)
        case None:
            return None


def _due(wake_at: datetime | None, now: datetime) -> bool:
    return wake_at is not None and wake_at <= now


def _child(tx: Transaction, run: StepRun) -> Resumed | None:
    child = executions.get(tx, ExecutionId(run.wait_ref or 0))
    if child is None:
        return Resumed(succeeded=False, error="The sub-workflow's execution is gone.", memo=run.memo)
    if child.state not in FINAL:
        return None
    if child.state is ExecutionState.SUCCEEDED:
        return Resumed(True, child.outputs.values, child.outputs.secret, memo=run.memo)
    error = f"Execution {child.id} of `{child.workflow}` {child.state}: {child.error or child.reason}"
    return Resumed(succeeded=False, error=error, memo=run.memo)


def _resource(tx: Transaction, run: StepRun) -> Resumed | None:
    resource = resources.get(tx, ResourceId(run.wait_ref or 0))
    if resource is None or resource.state is ResourceState.TERMINATED:
        deleting = run.memo.get("operation") == "delete"
        return Resumed(succeeded=deleting, error="" if deleting else "The resource is gone.", memo=run.memo)
    if resource.settled:
        return Resumed(True, resource.outputs, resource.secret_outputs, memo=run.memo)
    error = failure(resource)
    return Resumed(succeeded=False, error=error, memo=run.memo) if error else None


def _application(tx: Transaction, run: StepRun) -> Resumed | None:
    """Over when every resource stands, or as soon as one has failed and nothing is under way."""
    owned = resources.of_application(tx, ApplicationId(run.wait_ref or 0))
    if all(resource.settled for resource in owned):
        return Resumed(succeeded=True, memo=run.memo)
    errors = [error for error in map(failure, owned) if error]
    if errors and not any(resource.in_progress for resource in owned):
        return Resumed(succeeded=False, error=" ".join(errors), memo=run.memo)
    return None


def failure(resource: Resource) -> str:
    """Why a resource does not come to be; empty while it may."""
    if resource.state is ResourceState.FAILED and not resource.awaits_turn:
        return f"Resource `{resource.key}` failed: {resource.error}"
    if resource.state is ResourceState.BLOCKED or resource.blocked_by is not None:
        return f"Resource `{resource.key}` is blocked by resource {resource.blocked_by}, which failed."
    return ""
