"""What the end of runs does to resources: their state, their dependants, what starts next; in the same transaction."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engine.domain.graph import NodeKind
from engine.domain.provider import Operation
from engine.domain.resource import (
    AWAITS_TURN,
    PROVISIONED,
    Resource,
    ResourceState,
    RunEnd,
    ask_anew,
    resolve,
    settle,
    withdraw,
)
from engine.domain.runs import Execution
from engine.domain.values import SYSTEM, ApplicationId, ResourceId
from engine.store import applications, dependencies, events, graph, resources, steps
from engine.store.database import Transaction
from engine.store.dependencies import Edge
from engine.store.readiness import start_ready, state_event

_ACTOR = str(SYSTEM)


@dataclass(frozen=True, slots=True)
class WorkflowChoice:
    """Which provider's workflow performs an operation now."""

    provider: str
    digest: str
    workflow: str


class Choose(Protocol):
    def __call__(self, resource_type: str, operation: Operation, /, *, recorded: str = "") -> WorkflowChoice | None:
        """The workflow in the active set of providers; without one, that of the bundle with the digest `recorded`."""
        ...


@dataclass(frozen=True, slots=True)
class EndedRun:
    """The execution of a resource's operation that has just ended, and how."""

    execution: Execution
    end: RunEnd


def settle_runs(tx: Transaction, ended: Sequence[EndedRun], *, choose: Choose) -> int:
    """Move the resources of ended runs and start what became ready; returns how many executions are ready by it."""
    runs = [(rid, run) for run in ended if (rid := run.execution.resource_id) is not None]
    own = {rid for rid, _ in runs}
    locked, edges = _lock_reach(tx, own, {rid for rid, run in runs if run.end.outcome != "succeeded"})
    before = dict(locked)
    for rid, run in sorted(runs, key=lambda pair: pair[1].execution.id):  # a health check may end with an operation
        if locked[rid].execution_id == run.execution.id or run.end.operation is Operation.READ:
            locked[rid] = _settled(locked[rid], run.end, choose)
    moved = [rid for rid in own if locked[rid] != before[rid]]
    candidates = own | _after_success(tx, locked, before, moved, edges, choose=choose)
    stuck = {rid for rid in moved if _in_the_way(locked[rid])}
    if any(edge.dependant in own and _in_the_way(locked[edge.target]) for edge in edges):
        stuck |= {b for _, b in dependencies.dependencies(tx, own) if _in_the_way(locked[b])}
    _after_failure(tx, locked, sorted(stuck))
    _wait_for_the_late(tx, locked, moved, edges)
    # The history has why a run failed, also where the resource is asked for anew already and shows no error.
    events.record(tx, [state_event(locked[rid], _ACTOR) for rid in sorted(locked) if _state_moved(locked, before, rid)])
    locked.update({rid: ask_anew(locked[rid]) for rid in moved if locked[rid].awaits_turn})
    resources.save(tx, [resource for rid, resource in locked.items() if resource != before[rid]])
    started = start_ready(tx, locked, candidates & set(locked), actor=_ACTOR)
    return len(started) + _wake(tx, [locked[rid] for rid in locked if locked[rid] != before[rid]])


def settle_orphans(tx: Transaction, orphans: Collection[ResourceId]) -> int:
    """Fail those of `orphans` that are still under way, as at the end of a failed run. Returns how many failed."""
    locked, _ = _lock_reach(tx, orphans, orphans)
    before = dict(locked)
    failed = [rid for rid in sorted(orphans) if locked[rid].in_progress]
    for rid in failed:
        error = "its execution has ended without telling"
        locked[rid] = locked[rid].moved(ResourceState.FAILED, error=error, reason="orphaned")
    _after_failure(tx, locked, failed)
    changed = [locked[rid] for rid in sorted(locked) if locked[rid] != before[rid]]
    resources.save(tx, changed)
    events.record(tx, [state_event(locked[rid], _ACTOR) for rid in sorted(locked) if _state_moved(locked, before, rid)])
    _wake(tx, changed)
    return len(failed)


def _lock_reach(
    tx: Transaction, own: Collection[ResourceId], failing: Collection[ResourceId]
) -> tuple[dict[ResourceId, Resource], list[Edge]]:
    """Lock `own` and all that their end may touch; also the edges at `own`, which nobody changes from now on.

    A submission that was first may have added to it while we waited.
    """
    locked: dict[ResourceId, Resource] = {}
    while True:
        edges = dependencies.around(tx, own)
        reach = set(own) | {edge.dependant for edge in edges if edge.target in own and not edge.stale}
        reach |= {edge.target for edge in edges if edge.dependant in own}
        reach |= dependencies.closure_of_dependants(tx, failing) if failing else set()
        if not reach - set(locked):
            return locked, edges
        locked |= resources.lock(tx, reach - set(locked))


def settle_resolved(
    tx: Transaction, resource_id: ResourceId, as_state: ResourceState, *, choose: Choose, actor: str
) -> int:
    """A person says what became of a failed resource; what waited for it goes on. Returns how many started.

    One that was to be deleted and is said to stand keeps what it uses, and its application is there again.
    """
    reach = {resource_id} | {a for a, _ in dependencies.dependants(tx, [resource_id])}
    reach |= dependencies.closure_of_dependencies(tx, [resource_id])
    locked = resources.lock(tx, reach)
    before = dict(locked)
    upheld = as_state is ResourceState.ACTIVE and before[resource_id].pending is Operation.DELETE
    locked[resource_id] = resolve(locked[resource_id], as_state=as_state)
    resources.save(tx, [locked[resource_id]])
    unblock(tx, locked, [resource_id], actor=actor)
    before = {**locked, resource_id: before[resource_id]}
    edges = dependencies.around(tx, [resource_id])
    candidates = _after_success(tx, locked, before, [resource_id], edges, choose=choose)
    kept = _keep_used(tx, locked, resource_id, choose=choose) if upheld else set[ResourceId]()
    if upheld:
        applications.stand_again(tx, {resource_id} | kept)
    resources.save(tx, [resource for rid, resource in locked.items() if resource != before.get(rid)])
    events.record(tx, [state_event(locked[rid], actor) for rid in sorted(locked) if _state_moved(locked, before, rid)])
    started = start_ready(tx, locked, (candidates | kept) & set(locked), actor=actor)
    return len(started) + _wake(tx, [locked[rid] for rid in sorted({resource_id} | kept)])


def _keep_used(
    tx: Transaction, locked: dict[ResourceId, Resource], user: ResourceId, *, choose: Choose
) -> set[ResourceId]:
    """What `user` uses is not to be deleted before it: as nobody deletes that now, it is not to be deleted either."""
    kept: set[ResourceId] = set()
    frontier = {user}
    while frontier:
        used = {target for _, target in dependencies.dependencies(tx, frontier)} - kept
        frontier = {rid for rid in used if locked[rid].pending is Operation.DELETE and not locked[rid].in_progress}
        kept |= frontier
    for rid in kept:
        failed = locked[rid].state is ResourceState.FAILED
        after = withdraw(locked[rid], error=events.newest_error(tx, rid) if failed else "")
        locked[rid] = after if after.pending is None else _renewed(after, after.pending, choose, repeats=False)
    dependencies.mark_met(tx, [rid for rid in kept if locked[rid].settled])
    _after_failure(tx, locked, sorted(rid for rid in kept if _in_the_way(locked[rid])))
    return kept


def _state_moved(after: dict[ResourceId, Resource], before: dict[ResourceId, Resource], rid: ResourceId) -> bool:
    return after[rid].state is not before[rid].state


def _settled(resource: Resource, end: RunEnd, choose: Choose) -> Resource:
    """The resource after its run; one that failed while something newer was asked for goes on by itself."""
    after = settle(resource, end)
    pending = after.pending
    if end.operation is Operation.READ or pending is None:
        return after
    newer = after.desired_generation > end.generation
    if newer and after.state is ResourceState.FAILED:
        after = replace(after, reason=AWAITS_TURN)
    return _renewed(after, pending, choose, repeats=pending is end.operation)


def _in_the_way(resource: Resource) -> bool:
    """Who needs it waits for a person: it has failed for good, or a person said that it is gone."""
    gone = resource.state is ResourceState.TERMINATED and resource.pending is None
    return gone or (resource.state is ResourceState.FAILED and not resource.awaits_turn)


def _renewed(resource: Resource, pending: Operation, choose: Choose, *, repeats: bool) -> Resource:
    """The resource with the workflow of its next operation. An update nobody offers any more is dropped, and said.

    What its provider made can be deleted, and made anew, by the bundle that made it, after the provider has gone.
    With `repeats`, the workflow it has is the one for `pending`.
    """
    recorded = "" if pending is Operation.UPDATE else resource.digest
    choice = choose(resource.key.type, pending, recorded=recorded)
    if choice is not None:
        return replace(resource, provider=choice.provider, digest=choice.digest, workflow=choice.workflow)
    if resource.state is ResourceState.FAILED and repeats:
        return resource
    told = f"no provider has a workflow for its {pending} now"
    if resource.state is ResourceState.FAILED or pending is Operation.DELETE:  # a person has to say what becomes of it
        return replace(resource, state=ResourceState.FAILED, workflow="", error=told, reason="no_workflow")
    return replace(resource, pending=None, reason=told)


def _after_success(
    tx: Transaction,
    locked: dict[ResourceId, Resource],
    before: dict[ResourceId, Resource],
    moved: Collection[ResourceId],
    edges: Collection[Edge],
    *,
    choose: Choose,
) -> set[ResourceId]:
    """Release dependants and dependencies of what succeeded; returns what may start now."""
    done = [rid for rid in moved if locked[rid].settled]
    gone = [rid for rid in moved if locked[rid].state is ResourceState.TERMINATED]
    changed = [rid for rid in moved if _outputs_changed(before[rid], locked[rid])]
    if not done and not gone and not changed:
        return set()
    freed = dependencies.drop_stale(tx, {edge.dependant for edge in edges if edge.stale}.intersection(done))
    dependencies.mark_met(tx, {edge.target for edge in edges if edge.unmet}.intersection(done))
    needing = [edge for edge in dict.fromkeys(edges) if not edge.stale]
    _renew_dependants(tx, locked, before, [edge.dependant for edge in needing if edge.target in changed], choose)
    freed |= dependencies.drop_from(tx, gone)
    forget(tx, [locked[rid] for rid in gone])
    victims = resources.blocked_by(tx, [*done, *gone])
    late = resources.lock(tx, (freed | victims) - set(locked))
    locked.update(late)
    before.update(late)
    _free(tx, locked, victims)
    before.update({rid: resource for rid, resource in locked.items() if rid not in before})
    return {edge.dependant for edge in needing if edge.target in done} | freed | victims


def _outputs_changed(before: Resource, after: Resource) -> bool:
    """Also by a run that others follow: it may have read the newest params, and those that follow change nothing."""
    stays = after.state in PROVISIONED and after.pending is not Operation.DELETE
    return stays and before.outputs != after.outputs and before.observed_generation > 0


def _renew_dependants(
    tx: Transaction,
    locked: dict[ResourceId, Resource],
    before: dict[ResourceId, Resource],
    dependants: Sequence[ResourceId],
    choose: Choose,
) -> None:
    """Those whose inputs changed are updated, each after all else it depends on that is still to change."""
    for dependant in dependants:
        locked[dependant] = _bumped(locked[dependant], choose)
    asked = {dependant for dependant in dependants if locked[dependant].pending is not None}
    edges = dependencies.dependencies(tx, asked)
    late = resources.lock(tx, {target for _, target in edges} - set(locked))
    locked.update(late)
    before.update(late)
    unmet = [(a, b) for a, b in edges if _is_to_come(locked[b])]
    dependencies.mark_unmet(tx, unmet)
    _after_failure(tx, locked, sorted({target for _, target in unmet if _in_the_way(locked[target])}))


def _bumped(resource: Resource, choose: Choose) -> Resource:
    """A dependant whose inputs changed: updated, when it stands and its provider can."""
    if resource.state not in PROVISIONED or resource.pending is not None:
        if resource.in_progress and resource.pending is not Operation.DELETE:
            return replace(resource, desired_generation=resource.desired_generation + 1)
        return resource
    choice = choose(resource.key.type, Operation.UPDATE)
    if choice is None:
        return replace(resource, reason="values it was made with have changed since; its provider cannot update it")
    return replace(
        resource,
        pending=Operation.UPDATE,
        desired_generation=resource.desired_generation + 1,
        provider=choice.provider,
        digest=choice.digest,
        workflow=choice.workflow,
    )


def _after_failure(tx: Transaction, locked: dict[ResourceId, Resource], failed: Sequence[ResourceId]) -> None:
    """Everything that waits for what failed is blocked by it."""
    for root in failed:
        for rid in sorted(_waiting_for(tx, locked, root) & set(locked)):
            resource = locked[rid]
            if resource.pending is None or resource.in_progress or resource.blocked_by is not None:
                continue
            blocked = replace(resource, blocked_by=root)
            if resource.state is ResourceState.REQUESTED:
                blocked = replace(blocked.moved(ResourceState.BLOCKED), blocked_by=root)
            locked[rid] = blocked


def _wait_for_the_late(
    tx: Transaction, locked: dict[ResourceId, Resource], moved: Collection[ResourceId], edges: Collection[Edge]
) -> None:
    """What came to be needed while a run was under way is waited for by the next one, now that there will be one."""
    again = {
        rid
        for rid in moved
        if locked[rid].state is ResourceState.FAILED and locked[rid].pending in {Operation.CREATE, Operation.UPDATE}
    }
    late = {
        edge[:2] for edge in edges if edge.dependant in again and not edge.unmet and _is_to_come(locked[edge.target])
    }
    dependencies.mark_unmet(tx, late)


def _is_to_come(resource: Resource) -> bool:
    return not resource.settled and resource.pending is not Operation.DELETE


def _waiting_for(tx: Transaction, locked: dict[ResourceId, Resource], root: ResourceId) -> set[ResourceId]:
    """Who cannot go on before the pending operation of `root` has succeeded; deletions also wait for what uses them."""
    waiting = dependencies.closure_of_dependants(tx, [root])
    if locked[root].pending is Operation.DELETE:
        used = {target for _, target in dependencies.dependencies(tx, [root])} & set(locked)
        waiting |= {rid for rid in used if locked[rid].pending is Operation.DELETE}
    return waiting


def unblock(tx: Transaction, locked: dict[ResourceId, Resource], roots: Iterable[ResourceId], *, actor: str) -> None:
    """What `roots` blocked is free to wait again, unless something else it waits for has failed. Saves its changes."""
    roots = set(roots)
    closure = dependencies.closure_of_dependants(tx, roots) | {b for _, b in dependencies.dependencies(tx, roots)}
    locked.update(resources.lock(tx, closure - set(locked)))
    before = dict(locked)
    besides = {root for root in roots if locked[root].state is not ResourceState.TERMINATED}
    _free(tx, locked, {rid for rid in closure if locked[rid].blocked_by in roots}, besides=besides)
    events.record(tx, [state_event(locked[rid], actor) for rid in sorted(before) if _state_moved(locked, before, rid)])


def reconsider(tx: Transaction, locked: dict[ResourceId, Resource], ids: Iterable[ResourceId], *, actor: str) -> None:
    """The dependencies of `ids` were written anew: what they no longer wait for blocks them no more. Saves changes."""
    ids = set(ids)
    roots = {root for rid in ids if (root := locked[rid].blocked_by) is not None}
    locked.update(resources.lock(tx, roots - set(locked)))
    freed: set[ResourceId] = set()
    for root in sorted(roots):
        waiting = _waiting_for(tx, locked, root) if _in_the_way(locked[root]) else set[ResourceId]()
        freed |= {rid for rid in ids - waiting if locked[rid].blocked_by == root}
    before = dict(locked)
    _free(tx, locked, freed)
    events.record(tx, [state_event(locked[rid], actor) for rid in sorted(before) if _state_moved(locked, before, rid)])


def _free(
    tx: Transaction,
    locked: dict[ResourceId, Resource],
    freed: Collection[ResourceId],
    *,
    besides: Collection[ResourceId] = (),
) -> None:
    """Take the block off `freed`, unless something they wait for, `besides` left out, has failed. Saves its changes."""
    before = dict(locked)
    for rid in freed:
        resource = locked[rid]
        moved = resource.moved(ResourceState.REQUESTED) if resource.state is ResourceState.BLOCKED else resource
        locked[rid] = replace(moved, blocked_by=None)
    other = {b for _, b in dependencies.dependencies(tx, freed)} - set(besides)
    late = resources.lock(tx, other - set(locked))
    locked.update(late)
    before.update(late)
    _after_failure(tx, locked, [rid for rid in sorted(other) if _in_the_way(locked[rid])])
    resources.save(tx, [resource for rid, resource in locked.items() if resource != before[rid]])


def forget(tx: Transaction, gone: Sequence[Resource]) -> None:
    """Nobody refers to a terminated resource any more, and it leaves the graph."""
    if not gone:
        return
    referring = resources.references(tx, [resource.id for resource in gone])
    dropped: dict[ApplicationId, list[ResourceId]] = {}
    for resource_id, references in referring.items():
        for reference in references:
            dropped.setdefault(reference.application_id, []).append(resource_id)
    for application_id, ids in sorted(dropped.items()):
        resources.set_references(tx, application_id, [], drop=ids)
    graph.end_nodes(tx, [(NodeKind.RESOURCE, str(resource.id)) for resource in gone])


def _wake(tx: Transaction, changed: Sequence[Resource]) -> int:
    """Wake the executions that wait for these resources or for applications that refer to them."""
    over = [r for r in changed if r.settled or r.state in _OVER or r.blocked_by is not None]
    return steps.wake_for_resources(tx, {resource.id: resource.application_id for resource in over})


_OVER = frozenset({ResourceState.FAILED, ResourceState.BLOCKED, ResourceState.TERMINATED})
