"""Repeat what failed: the same execution with a new attempt, or a new one when something newer is wanted."""

from engine.domain.provider import Operation
from engine.domain.resource import Resource, start
from engine.domain.runs import Execution
from engine.domain.values import Actor, ExecutionId
from engine.errors import Conflict
from engine.store import dependencies, events, executions, resources
from engine.store.database import Transaction
from engine.store.readiness import start_ready, state_event
from engine.store.settling import unblock


def restart(tx: Transaction, resource: Resource, run: Execution | None, *, actor: Actor) -> ExecutionId:
    """Start the failed resource's pending operation again; `resource` and `run` are locked by the caller.

    Raises Conflict while it has to wait for other resources.
    """
    deleting = resource.pending is Operation.DELETE
    others = dependencies.needed_by_others if deleting else dependencies.waiting_for_others
    if others(tx, [resource.id]):
        raise Conflict(
            f"Resource `{resource.key}` {'is still used by' if deleting else 'waits for'} others.",
            code="waiting",
            hint=f"{'It goes on by itself' if resource.awaits_turn else 'Retry it'} when they are done; "
            "its details show which they are.",
        )
    locked = {resource.id: resource}
    unblock(tx, locked, [resource.id], actor=str(actor))
    same = (
        run is not None
        and run.operation is resource.pending
        and run.generation == resource.desired_generation
        and run.digest == resource.digest
    )
    if run is None or not same:
        return start_ready(tx, locked, [resource.id], actor=str(actor), retry_failed=[resource.id])[0]
    again = start(locked[resource.id])
    resources.save(tx, [again])
    events.record(tx, [state_event(again, str(actor))])
    executions.requeue(tx, run, actor=str(actor))
    return run.id
