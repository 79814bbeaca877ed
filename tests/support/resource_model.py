"""What must hold of resources, runs, dependencies, references and the graph, whatever people and runs do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from engine.domain.execution import FINAL, ExecutionState
from engine.domain.graph import NodeKind
from engine.domain.provider import Operation
from engine.domain.resource import STATE_OF_OPERATION, TRANSITIONS, Resource, ResourceState
from engine.domain.spec import WORKLOAD
from engine.domain.values import ResourceId
from engine.store import repair
from engine.store.database import Transaction
from engine.store.tables import (
    applications,
    events,
    executions,
    graph_edges,
    graph_nodes,
    resource_dependencies,
    resource_references,
)
from tests.support.platforms import House

_S = ResourceState
_MADE = frozenset({_S.ACTIVE, _S.DEGRADED, _S.UPDATING, _S.PROVISIONING, _S.FAILED})


@dataclass
class Laws:
    """Checks one platform after every step. What a resource was made from is remembered here, not read from the store.

    `uses` is what the runs of a resource may have read and it may therefore still need.
    """

    house: House
    seen_event: int = 0
    states: dict[int, str] = field(default_factory=dict[int, str])
    begun: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    uses: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    given: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    """What the newest run of a resource may read."""

    def check(self) -> None:
        found = {resource.id: resource for resource in self.house.resources().values()}
        with self.house.store.read() as tx:
            self._transitions(tx, found)
            self._runs(tx, found)
            _references(tx, found)
            _graph(tx, found)
        with self.house.store.begin() as tx:
            assert repair.start_forgotten(tx, limit=100) == 0, "the sweep had to start something"
            assert repair.fail_orphans(tx, limit=100) == 0, "the sweep found an orphan"
            assert repair.wake_forgotten(tx, limit=100) == 0, "the sweep had to wake somebody"

    def _transitions(self, tx: Transaction, found: Mapping[ResourceId, Resource]) -> None:
        """The timeline goes from state to state as the domain allows, and ends where the resource is."""
        query = sa.select(events.c.id, events.c.kind, events.c.resource_id).where(
            events.c.id > self.seen_event, events.c.kind.like("resource.%"), events.c.kind != "resource.resolved"
        )
        for row in tx.connection.execute(query.order_by(events.c.id)):
            self.seen_event = row.id
            after = ResourceState(row.kind.removeprefix("resource."))
            before = self.states.get(row.resource_id)
            assert before is None or _legal(_S(before), after), f"resource {row.resource_id}: {before} → {after}"
            self.states[row.resource_id] = after
        for resource in found.values():
            told = self.states.get(resource.id)
            assert told == resource.state, f"{resource.key} is {resource.state}, the timeline says {told}"

    def _runs(self, tx: Transaction, found: Mapping[ResourceId, Resource]) -> None:
        live = [
            row
            for row in tx.connection.execute(sa.select(executions).order_by(executions.c.id))
            if ExecutionState(row.state) not in FINAL
        ]
        by_resource = {row.resource_id: row for row in live}
        assert len(by_resource) == len(live), "a resource has two runs at once"
        for resource in found.values():
            row = by_resource.get(resource.id)
            assert (row is not None) == resource.in_progress, f"{resource.key} is {resource.state}, its run is {row}"
            if row is not None:
                assert row.id == resource.execution_id
                assert STATE_OF_OPERATION[Operation(row.operation)] is resource.state
        edges = tx.connection.execute(sa.select(resource_dependencies)).all()
        for row in live:
            if (row.id, row.attempt) not in self.begun:
                self.begun.add((row.id, row.attempt))
                self._began(found[row.resource_id], Operation(row.operation), edges, found)
        for resource in found.values():
            if resource.state in {_S.TERMINATED, _S.REQUESTED, _S.BLOCKED}:
                self.uses.pop(resource.id, None)
            elif resource.settled and resource.id in self.given:
                self.uses[resource.id] = self.given.pop(resource.id)

    def _began(
        self,
        resource: Resource,
        operation: Operation,
        edges: Sequence[sa.Row[Any]],
        found: Mapping[ResourceId, Resource],
    ) -> None:
        mine = [edge for edge in edges if edge.resource_id == resource.id and not edge.stale]
        if operation is not Operation.DELETE:
            for edge in mine:
                needed = found[edge.depends_on_id]
                assert needed.settled, f"{resource.key} began while {needed.key} is {needed.state} ({needed.pending})"
            if resource.key.type != WORKLOAD:  # it waits for everything, and here reads nothing
                self.given[resource.id] = {edge.depends_on_id for edge in mine}
                self.uses[resource.id] = self.uses.get(resource.id, set()) | self.given[resource.id]
            return
        for user, used in self.uses.items():
            stands = found[ResourceId(user)].state in _MADE and user != resource.id
            assert not (stands and resource.id in used), (
                f"{resource.key} goes while {found[ResourceId(user)].key} uses it"
            )

    def rest(self) -> None:
        """Nothing is under way: whatever has not come to an end waits for something that failed."""
        found = {resource.id: resource for resource in self.house.resources().values()}
        with self.house.store.read() as tx:
            edges = tx.connection.execute(sa.select(resource_dependencies)).all()
        excused = {rid for rid, r in found.items() if r.settled or (r.state is _S.FAILED and not r.awaits_turn)} | {
            rid for rid, r in found.items() if r.state is _S.TERMINATED and r.pending is None
        }
        failed = {rid for rid in excused if found[rid].state in {_S.FAILED, _S.TERMINATED}}
        stuck = set(found) - excused
        for rid in stuck:
            blocker = found[rid].blocked_by
            assert blocker is None or blocker in failed, f"{found[rid].key} is blocked by what has not failed"
        reached = failed
        while True:
            more = {rid for rid in stuck - reached if self._waits_for(found[rid], reached, edges)}
            if not more:
                break
            reached |= more
        lost = [(str(found[rid].key), found[rid].state, found[rid].pending) for rid in sorted(stuck - reached)]
        assert not lost, f"stuck for ever: {lost}"

    def _waits_for(self, resource: Resource, reached: set[ResourceId], edges: Sequence[sa.Row[Any]]) -> bool:
        if resource.blocked_by in reached:
            return True
        if resource.pending is Operation.DELETE:
            return any(e.depends_on_id == resource.id and e.resource_id in reached for e in edges)
        return any(e.resource_id == resource.id and e.unmet and e.depends_on_id in reached for e in edges)


def _legal(before: ResourceState, after: ResourceState) -> bool:
    if after in TRANSITIONS[before]:
        return True
    return before is _S.TERMINATING and after is _S.REQUESTED  # gone and wanted again, in one commit


def _references(tx: Transaction, found: Mapping[ResourceId, Resource]) -> None:
    referred = {row.resource_id for row in tx.connection.execute(sa.select(resource_references))}
    for resource in found.values():
        gone = resource.state is _S.TERMINATED
        assert (resource.id in referred) != gone, f"{resource.key} is {resource.state}; referred to: {not gone}"


def _graph(tx: Transaction, found: Mapping[ResourceId, Resource]) -> None:
    nodes = {row.id: row for row in tx.connection.execute(sa.select(graph_nodes))}
    for edge in tx.connection.execute(sa.select(graph_edges)):
        ends = (nodes[edge.source_id], nodes[edge.target_id])
        for node in ends:
            assert edge.valid_from >= node.valid_from, "an edge before its node"
            if node.valid_to is not None:
                assert edge.valid_to is not None, f"a current {edge.kind} edge at {node.name}, which is gone"
                assert edge.valid_to <= node.valid_to
    drawn = {row.ref for row in nodes.values() if row.kind == NodeKind.RESOURCE.value and row.valid_to is None}
    for resource in found.values():
        gone = resource.state is _S.TERMINATED
        assert (str(resource.id) in drawn) != gone, f"{resource.key} is {resource.state}; drawn: {not gone}"


def names_of(house: House, application: str) -> dict[str, Resource]:
    """What an application calls its resources; `name~id` stands for what a name was taken from."""
    found = {resource.id: resource for resource in house.resources().values()}
    with house.store.read() as tx:
        query = (
            sa.select(resource_references.c.name, resource_references.c.resource_id)
            .join(applications, applications.c.id == resource_references.c.application_id)
            .where(applications.c.name == application)
        )
        return {row.name: found[row.resource_id] for row in tx.connection.execute(query)}
