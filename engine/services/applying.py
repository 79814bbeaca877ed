"""Write a plan: resources with their operations, references, dependencies, graph, events; then start what is ready."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from engine.domain.application import Application
from engine.domain.event import Event
from engine.domain.graph import Drawing, EdgeKind, NodeKind, NodeRef
from engine.domain.plan import Action, Plan, PlanItem
from engine.domain.planner import Current
from engine.domain.provider import Operation
from engine.domain.resource import PROVISIONED, UNMADE, Resource, ResourceKey, ResourceState, ask_anew
from engine.domain.values import Actor, ExecutionId, Json, JsonObject, ResourceId
from engine.store import dependencies, events, executions, resources
from engine.store.database import Transaction
from engine.store.drawing import draw
from engine.store.readiness import start_ready, state_event
from engine.store.settling import forget, reconsider, unblock

_WANTED = frozenset({Action.CREATE, Action.UPDATE, Action.UNCHANGED, Action.BLOCKED})


@dataclass(frozen=True, slots=True)
class _Applied:
    """The resources a plan concerns, by key, as they are once it is written."""

    now: dict[ResourceKey, Resource]
    wanted: tuple[PlanItem, ...]
    released: tuple[PlanItem, ...]
    """What the application no longer refers to, or will not once it is deleted."""
    left: tuple[PlanItem, ...]
    """Gone from the spec, and still the application's for now: kept, or being deleted."""
    new: set[ResourceId] = field(default_factory=set[ResourceId])
    """Inserted just now: no row points at them yet."""


def apply_plan(
    tx: Transaction,
    application: Application,
    plan: Plan,
    current: Mapping[ResourceKey, Current],
    *,
    actor: Actor,
    spec_version: int | None,
) -> list[ExecutionId]:
    """Make the plan the platform's intent; returns the executions that start at once."""
    wanted = tuple(
        item for item in plan.items if not item.gone and item.action in _WANTED and (item.provider or item.resource_id)
    )
    released = tuple(item for item in plan.items if item.gone and item.releases)
    left = tuple(item for item in plan.items if item.gone and (not item.releases or item.action is Action.DELETE))
    before = {key: found.resource for key, found in current.items()}
    now = dict(before)
    for item in wanted:
        if item.key in before:
            now[item.key] = _asked(before[item.key], item, application)
    for item in released:
        now[item.key] = _unasked(before[item.key], item, current[item.key], application)
    applied = _Applied(now, wanted, released, left)
    _insert_new(tx, applied, application)
    resources.save(tx, [resource for key, resource in now.items() if key in before and resource != before[key]])
    _refer(tx, applied, application)
    free = _connect(tx, applied, application)
    _tell(tx, applied, before, actor)
    _draw(tx, applied, application, spec_version)
    return _start(tx, applied, before, free, actor)


def _insert_new(tx: Transaction, applied: _Applied, application: Application) -> None:
    new = [item for item in applied.wanted if item.key not in applied.now and item.action is Action.CREATE]
    fresh = [
        Resource(
            id=ResourceId(0),
            key=item.key,
            application_id=application.id,
            application=application.name,
            name=item.name,
            params=item.params,
            state=ResourceState.REQUESTED,
            provider=item.provider,
            digest=item.digest,
            workflow=item.workflow,
            pending=Operation.CREATE,
        )
        for item in new
    ]
    for resource, resource_id in zip(fresh, resources.insert(tx, fresh), strict=True):
        applied.now[resource.key] = replace(resource, id=resource_id)
        applied.new.add(resource_id)


def _asked(resource: Resource, item: PlanItem, application: Application) -> Resource:
    """An existing resource as the spec wants it now."""
    if item.action is Action.BLOCKED:
        return resource
    if item.action is Action.UNCHANGED:
        if resource.pending is Operation.DELETE and resource.state in PROVISIONED:  # the deletion is withdrawn
            return replace(resource, pending=None, blocked_by=None, observed_generation=resource.desired_generation)
        return resource
    if resource.state is ResourceState.TERMINATED:
        resource = replace(
            resource.moved(ResourceState.REQUESTED),
            application_id=application.id,
            application=application.name,
            name=item.name,
            execution_id=None,
        )
    raised = replace(resource, params=item.params, desired_generation=resource.desired_generation + 1)
    if resource.in_progress:  # the next run follows when this one ends
        return replace(raised, pending=item.operation) if resource.pending is Operation.DELETE else raised
    return _next(raised, item)


def _next(resource: Resource, item: PlanItem) -> Resource:
    """The resource with the plan's operation pending; one that failed waits for its turn again."""
    deleting = item.operation is Operation.DELETE
    pending = replace(resource, pending=item.operation, blocked_by=None if deleting else resource.blocked_by)
    if item.digest:
        pending = replace(pending, provider=item.provider, digest=item.digest, workflow=item.workflow)
    return ask_anew(pending) if resource.state is ResourceState.FAILED else pending


def _unasked(resource: Resource, item: PlanItem, current: Current, application: Application) -> Resource:
    """An existing resource that the application no longer refers to."""
    if item.action is Action.KEPT:
        if resource.application_id != application.id:
            return resource
        heir = next(iter(current.others(application.name)))
        return replace(resource, application_id=heir.application_id, application=heir.application, name=heir.name)
    if item.action is Action.FORGET:
        return replace(resource.moved(ResourceState.TERMINATED, reason=item.reason), pending=None, blocked_by=None)
    raised = replace(resource, desired_generation=resource.desired_generation + 1)
    return replace(raised, pending=Operation.DELETE) if resource.in_progress else _next(raised, item)


def _refer(tx: Transaction, applied: _Applied, application: Application) -> None:
    names = [
        (applied.now[item.key].id, name, item.params)
        for item in applied.wanted
        if item.key in applied.now
        for name in (item.name, *item.aliases)
    ]
    taken = {name for _, name, _ in names}
    for item in applied.left:  # `${resources.<name>}` means the new bearer of a name, never the one it was taken from
        if item.name in taken:
            resource = applied.now[item.key]
            names.append((resource.id, f"{item.name}~{resource.id}", item.params))
    drop = [applied.now[item.key].id for item in applied.released if item.action is not Action.DELETE]
    resources.set_references(tx, application.id, names, drop=drop, new=applied.new)


def _connect(tx: Transaction, applied: _Applied, application: Application) -> set[ResourceId]:
    """Who waits for whom; returns new ones that wait for nobody.

    What the spec drops stays until those that were made with it have been updated.
    """
    gone = {resource.id for resource in applied.now.values() if resource.state is ResourceState.TERMINATED}
    under_way = [resource.execution_id for resource in applied.now.values() if resource.in_progress]
    running = executions.generations(tx, [run for run in under_way if run is not None])
    edges: dict[ResourceId, list[tuple[ResourceId, bool]]] = {}
    changing: set[ResourceId] = set()
    for item in applied.wanted:
        resource = applied.now.get(item.key)
        if resource is None or resource.application_id != application.id:  # its owner's spec says what it waits for
            continue
        if item.action is Action.BLOCKED:  # it stays as it was made
            continue
        waits = _has_a_run_to_come(resource, running)
        targets = [applied.now[key] for key in item.depends_on if key in applied.now]
        edges[resource.id] = [(target.id, waits and not target.settled) for target in targets]
        if resource.pending is not None and resource.state not in UNMADE:
            changing.add(resource.id)
    dropped = dependencies.replace(tx, edges, new=applied.new)
    dependencies.keep_stale(tx, [(rid, target) for rid, target in dropped if rid in changing and target not in gone])
    forgotten = [applied.now[item.key] for item in applied.released if item.action is Action.FORGET]
    dependencies.drop_from(tx, [resource.id for resource in forgotten])
    forget(tx, forgotten)
    return {rid for rid, targets in edges.items() if rid in applied.new and not any(unmet for _, unmet in targets)}


def _has_a_run_to_come(resource: Resource, running: Mapping[ExecutionId, int]) -> bool:
    """Whether one that has not begun carries out what is pending. `running` are the generations under way."""
    return resource.pending is not None and (
        resource.execution_id is None
        or not resource.in_progress
        or resource.desired_generation > running.get(resource.execution_id, 0)
    )


def _tell(
    tx: Transaction,
    applied: _Applied,
    before: Mapping[ResourceKey, Resource],
    actor: Actor,
) -> None:
    changed = [
        resource
        for key, resource in sorted(applied.now.items())
        if key not in before or before[key].state is not resource.state
    ]
    events.record(tx, [state_event(resource, str(actor)) for resource in changed])


def _draw(tx: Transaction, applied: _Applied, application: Application, spec_version: int | None) -> None:
    """Application → spec → resources → providers, and what depends on what. What is kept stays with the application."""
    app: NodeRef = (NodeKind.APPLICATION, str(application.id))
    standing = [(item, applied.now[item.key]) for item in applied.wanted if item.key in applied.now]
    nodes: dict[NodeRef, str] = {app: application.name}
    edges: set[tuple[NodeRef, EdgeKind, NodeRef]] = set()
    for item, resource in standing:
        provider = resource.provider or item.provider
        nodes |= {_node(resource): str(resource.key), (NodeKind.PROVIDER, provider): provider}
        edges.add((_node(resource), EdgeKind.REQUIRES, (NodeKind.PROVIDER, provider)))
    new = {_node(resource) for _, resource in standing if resource.id in applied.new}
    if spec_version is None:  # resources that were asked for one by one hang on the application itself
        if standing:
            edges |= {(app, EdgeKind.CONTAINS, _node(resource)) for _, resource in standing}
            draw(tx, Drawing(nodes, edges, new=new))
        return
    spec: NodeRef = (NodeKind.SPEC, f"{application.id}/{spec_version}")
    nodes[spec] = f"{application.name} v{spec_version}"
    edges.add((app, EdgeKind.CONTAINS, spec))
    edges |= {(spec, EdgeKind.CONTAINS, _node(resource)) for _, resource in standing}
    for resource in (applied.now[item.key] for item in applied.left):
        if resource.application_id == application.id:
            nodes[_node(resource)] = str(resource.key)
            edges.add((app, EdgeKind.CONTAINS, _node(resource)))
    edges |= {
        (_node(resource), EdgeKind.DEPENDS_ON, _node(applied.now[key]))
        for item, resource in standing
        for key in item.depends_on
        if key in applied.now and _node(applied.now[key]) in nodes
    }
    old = [(_node(resource), EdgeKind.DEPENDS_ON) for _, resource in standing if resource.id not in applied.new]
    draw(tx, Drawing(nodes, edges, new=new, all_from=[(app, EdgeKind.CONTAINS), *old]))


def _node(resource: Resource) -> NodeRef:
    return NodeKind.RESOURCE, str(resource.id)


def _start(
    tx: Transaction,
    applied: _Applied,
    before: Mapping[ResourceKey, Resource],
    free: Collection[ResourceId],
    actor: Actor,
) -> list[ExecutionId]:
    locked = {resource.id: resource for resource in applied.now.values()}
    touched = [resource for resource in applied.now.values() if resource.pending is not None]
    retried = {
        resource.id for key, resource in applied.now.items() if resource.awaits_turn and resource != before.get(key)
    }
    unblock(tx, locked, retried, actor=str(actor))
    reconsider(tx, locked, [resource.id for resource in touched], actor=str(actor))
    return start_ready(tx, locked, [resource.id for resource in touched], actor=str(actor), free=free)


def application_event(application: Application, kind: str, actor: Actor, **data: Json) -> Event:
    """A fact about an application as a whole, which it names."""
    named: JsonObject = {"application": application.name, "environment": application.environment}
    return Event(kind=kind, actor=str(actor), application_id=application.id, data={**named, **data})
