"""Start what can start: a resource with a pending operation and nothing in its way gets its execution, at once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from engine.domain.event import Event
from engine.domain.graph import Drawing, EdgeKind, NodeKind, NodeRef
from engine.domain.provider import Operation
from engine.domain.resource import Resource, ResourceState, start
from engine.domain.values import ExecutionId, ResourceId
from engine.store import dependencies, events, executions, resources
from engine.store.database import Transaction
from engine.store.drawing import draw
from engine.store.executions import NewExecution


def start_ready(
    tx: Transaction,
    locked: dict[ResourceId, Resource],
    candidates: Iterable[ResourceId],
    *,
    actor: str,
    retry_failed: Collection[ResourceId] = (),
    free: Collection[ResourceId] = (),
) -> list[ExecutionId]:
    """Start the candidates that are ready; `locked` holds them, locked, and is brought up to date.

    A failed resource starts only when it is in `retry_failed` or awaits its turn. Those in `free` are known to wait for
    no other.
    """
    possible = [
        locked[resource_id]
        for resource_id in sorted(set(candidates))
        if _may_start(locked[resource_id], retry=resource_id in retry_failed)
    ]
    asked = [r.id for r in possible if r.pending is not Operation.DELETE and r.id not in free]
    waiting = dependencies.waiting_for_others(tx, asked)
    needed = dependencies.needed_by_others(tx, [r.id for r in possible if r.pending is Operation.DELETE])
    ready = [resource for resource in possible if resource.id not in waiting and resource.id not in needed]
    if not ready:
        return []
    started = [start(resource) for resource in ready]
    ids = executions.queue(tx, [_execution(resource, actor) for resource in started])
    final = [replace(resource, execution_id=run) for resource, run in zip(started, ids, strict=True)]
    resources.save(tx, final)
    locked.update({resource.id: resource for resource in final})
    events.record(tx, [state_event(resource, actor) for resource in final])
    _draw(tx, final, begun_before={resource.id for resource in ready if resource.execution_id is not None})
    return ids


def _may_start(resource: Resource, *, retry: bool) -> bool:
    if resource.pending is None or resource.in_progress or resource.blocked_by is not None:
        return False
    return resource.state is not ResourceState.FAILED or retry or resource.awaits_turn


def _execution(resource: Resource, actor: str) -> NewExecution:
    assert resource.pending is not None
    return NewExecution(
        provider=resource.provider,
        digest=resource.digest,
        workflow=resource.workflow,
        fair_key=resource.application,
        actor=actor,
        application_id=resource.application_id,
        resource_id=resource.id,
        operation=resource.pending,
        generation=resource.desired_generation,
    )


def state_event(resource: Resource, actor: str) -> Event:
    """The fact that a resource is now in its state."""
    return Event(
        kind=f"resource.{resource.state.value}",
        actor=actor,
        application_id=resource.application_id,
        resource_id=resource.id,
        execution_id=resource.execution_id,
        data={"resource": str(resource.key), "name": resource.name, "error": resource.error, "reason": resource.reason},
    )


def _draw(tx: Transaction, started: Sequence[Resource], *, begun_before: Collection[ResourceId]) -> None:
    """The newest run of each resource takes the place of the one before in the graph."""
    wanted = {(NodeKind.RESOURCE, str(resource.id)): str(resource.key) for resource in started}
    wanted |= {(NodeKind.PROVIDER, resource.provider): resource.provider for resource in started}
    new = {(NodeKind.WORKFLOW, str(r.execution_id)): r.workflow for r in started}
    edges: list[tuple[NodeRef, EdgeKind, NodeRef]] = []
    for resource in started:
        workflow = (NodeKind.WORKFLOW, str(resource.execution_id))
        edges.append((workflow, EdgeKind.PROVISIONS, (NodeKind.RESOURCE, str(resource.id))))
        edges.append(((NodeKind.PROVIDER, resource.provider), EdgeKind.EXECUTES, workflow))
    earlier = [
        ((NodeKind.RESOURCE, str(resource.id)), EdgeKind.PROVISIONS)
        for resource in started
        if resource.id in begun_before
    ]
    draw(tx, Drawing(wanted | new, edges, new=new.keys(), all_to=earlier))
