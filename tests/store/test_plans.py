"""No hot query reads the history: 20,000 executions that are over, and what is asked a thousand times a second."""

import re
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from engine.domain.event import Event, Position, Wanted
from engine.domain.execution import ExecutionState, StepState, WaitKind
from engine.domain.graph import Drawing, EdgeKind, NodeKind
from engine.domain.provider import Operation
from engine.domain.resource import IN_PROGRESS, PROVISIONED, ResourceKey, ResourceState
from engine.domain.runs import Execution
from engine.domain.values import ApplicationId, ExecutionId, ResourceId
from engine.store import (
    applications,
    bundles,
    claims,
    events,
    executions,
    fair_queue,
    graph,
    leavings,
    repair,
    resources,
    steps,
    tables,
    tallies,
)
from engine.store.apply import apply_records
from engine.store.database import Store, Transaction
from engine.store.drawing import draw, draw_now
from engine.store.executions import NewExecution
from engine.store.records import ExecutionEnded, Record, StepFinished, StepStarted
from engine.store.settling import WorkflowChoice
from tests.support.plans import Sent, analyse, plan, scans, sent_by

COUNT = 20_000
PARTIAL = {
    index.name
    for table in tables.metadata.sorted_tables
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None and index.name is not None
} - {"ix_executions_broken", "ix_executions_golden", "ix_graph_nodes_ended", "ix_graph_edges_ended"}
"""Indexes that hold nothing that is over."""
NO_HISTORY = {
    "fair_queues",
    "event_tallies",
    "platform_facts",
    "provider_generations",
    "provider_bundles",
    "resource_references",
    "resource_dependencies",
}


def fill(store: Store) -> None:
    with store.begin() as tx:
        for name, rows in _history(tx).items():
            for start in range(0, len(rows), 5000):
                tx.connection.execute(sa.insert(tables.metadata.tables[name]), rows[start : start + 5000])
    if store.engine.dialect.name == "postgresql":
        with store.begin() as tx:
            for name in ("applications", "resources", "executions", "events", "graph_nodes", "graph_edges"):
                tx.connection.execute(sa.text(f"select setval(pg_get_serial_sequence('{name}', 'id'), 1000000)"))
    analyse(store)


def _history(tx: Transaction) -> dict[str, list[dict[str, Any]]]:
    """Most is over: 20 applications of 2,000 live, 200 resources of 10,000 stand, ten executions are unfinished."""
    tables_ = (
        "applications", "specs", "idempotency_keys", "resources", "resource_references", "resource_dependencies",
        "executions", "step_runs", "step_logs", "artifacts", "events", "graph_nodes", "graph_edges",
    )  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in tables_}
    _things(tx, found)
    _runs(tx, found)
    return found


def _things(tx: Transaction, found: dict[str, list[dict[str, Any]]]) -> None:
    then = tx.now - timedelta(days=1)
    params = tx.sealer.seal_json({}, "resources.params")
    source = tx.sealer.seal(b"x", "specs.source")
    for i in range(1, 2001):
        deleted_at = then if i <= 1980 else None
        times = {"created_at": then, "updated_at": then, "deleted_at": deleted_at}
        found["applications"].append({"id": i, "name": f"app-{i}", "environment": "default", **times})
        for version in range(10):
            spec = {"application_id": i, "version": version, "source_sealed": source, "digest": "d"}
            found["specs"].append({**spec, "submitted_at": then})
        key: dict[str, Any] = {"actor": "me", "operation": "submit", "key": str(i), "fingerprint": "f", "handle": {}}
        found["idempotency_keys"].append({**key, "created_at": tx.now})
    for i in range(1, 10_001):
        standing = 1800 < i <= 2000
        owner = 1981 + i % 20 if standing else i % 1980 + 1
        found["resources"].append(
            {
                "id": i, "environment": "default", "type": "thing", "resource_class": "default",
                "identity": f"app.{i}", "application_id": owner, "name": f"r{i}", "params_sealed": params,
                "state": "active" if standing else "terminated", "desired_generation": 1, "observed_generation": 1,
                "execution_id": i, "created_at": then, "updated_at": then, "checked_at": tx.now,
            }
        )  # fmt: skip
        node = {"id": i, "kind": "resource", "ref": str(i), "name": "x", "valid_from": then}
        found["graph_nodes"].append({**node, "valid_to": None if standing else then})
        for other in range(10 if standing else 0):
            reference = {"resource_id": i, "application_id": owner, "name": f"r{i}-{other}"}
            found["resource_references"].append({**reference, "params_sealed": params})
            edge = {"resource_id": i, "depends_on_id": 1801 + (i + other) % 200, "unmet": False}
            found["resource_dependencies"].append(edge)


def _runs(tx: Transaction, found: dict[str, list[dict[str, Any]]]) -> None:
    then = tx.now - timedelta(days=1)
    log, artifact = tx.sealer.seal(b"x", "step_logs.text"), tx.sealer.seal(b"x", "artifacts.content")
    states = {COUNT - n: state for n, state in enumerate(["pending"] * 4 + ["running"] * 3 + ["waiting"] * 3)}
    for i in range(1, COUNT + 1):
        state = states.get(i, "failed" if i % 1000 == 0 else "succeeded")
        over = state in {"failed", "succeeded"}
        whose = {"application_id": i % 2000 + 1, "resource_id": i % 2000 + 1 if i % 2 else None}
        found["executions"].append(
            {
                **whose, "id": i, "operation": "create" if i % 2 else None, "provider": "p", "digest": "d",
                "workflow": "w", "state": state, "ready_at": None if over else tx.now, "fair_key": f"app-{i % 20}",
                "fair_tag": float(i), "created_at": then, "finished_at": then if over else None, "fence": 1,
                "worker": "me",
            }
        )  # fmt: skip
        step = {"execution_id": i, "position": 0, "attempt": 1}
        waits = state == "waiting"
        wait = {"wait_kind": "execution" if i % 3 == 0 or waits else None, "wait_ref": 1}
        kind = {"name": "s", "type": "set", "execution_attempt": 1, "state": "waiting" if waits else "succeeded"}
        found["step_runs"].append({**step, **kind, **wait})
        found["artifacts"].append({"execution_id": i, "position": 0, "content_sealed": artifact})
        found["step_logs"].append({**step, "chunk": 0, "text_sealed": log, "written_at": then})
        fact: dict[str, Any] = {
            "at": then,
            "kind": "execution.succeeded",
            "actor": "system:engine",
            "execution_id": i,
            "data": {},
        }
        found["events"].append({**fact, **whose})
        node = {"id": 10_000 + i, "kind": "workflow", "ref": str(i), "name": "w", "valid_from": then}
        found["graph_nodes"].append({**node, "valid_to": None if i % 2 else then})
        edge = {"kind": "provisions", "source_id": 10_000 + i, "target_id": i % 2000 + 1, "valid_from": then}
        found["graph_edges"].append({**edge, "valid_to": then if i <= COUNT - 2000 else None})


def choose(_type: str, _operation: Operation, /, *, recorded: str = "") -> WorkflowChoice | None:
    return WorkflowChoice("p", "d", "w")


def _execution(tx: Transaction, number: int) -> Execution:
    found = executions.get(tx, ExecutionId(number))
    assert found is not None
    return found


def _end(tx: Transaction) -> None:
    run = _execution(tx, COUNT - 4)
    changes = (
        StepStarted(1, "n", "set", 1, 1),
        StepFinished(0, 1, StepState.SUCCEEDED),
        ExecutionEnded(ExecutionState.SUCCEEDED),
    )
    apply_records(tx, [Record(run, run.sequence + 1, changes)], choose=choose)


NEW = NewExecution("p", "d", "w", "app-1", "user:me", application_id=ApplicationId(1))
KEY = ResourceKey("default", "thing", "default", "app.1903")
APP = (NodeKind.APPLICATION, "1")


def _draw(tx: Transaction) -> None:
    spec, resource = (NodeKind.SPEC, "1/9"), (NodeKind.RESOURCE, "3")
    edges = [(APP, EdgeKind.CONTAINS, spec), (spec, EdgeKind.CONTAINS, resource)]
    nodes = {APP: "app", spec: "v9", resource: "thing"}
    all_from, all_to = [(APP, EdgeKind.CONTAINS)], [(resource, EdgeKind.PROVISIONS)]
    draw(tx, Drawing(nodes, edges, all_from=all_from, all_to=all_to))
    draw_now(tx)


BY_ENGINE: Mapping[str, Callable[[Transaction], object]] = {
    "claims.claim": lambda tx: claims.claim(tx, worker="w", limit=8, cap=3, lease=9, busy=[ExecutionId(1)]),
    "claims.claim with a limit over all": lambda tx: claims.claim(tx, worker="w", limit=8, cap=3, lease=9, most=9),
    "claims.claim_to_end": lambda tx: claims.claim_to_end(tx, worker="w", limit=8, lease=9, busy=[ExecutionId(1)]),
    "claims.extend_leases": lambda tx: claims.extend_leases(tx, worker="me", lease=9, held=[(ExecutionId(9), 1)]),
    "claims.release": lambda tx: claims.release(tx, worker="me", claims=[(ExecutionId(9), 1)]),
    "journal": _end,
    "executions.queue": lambda tx: executions.queue(tx, [NEW]),
    "fair_queue.take_tags": lambda tx: fair_queue.take_tags(tx, "app-1", 1),
    "repair.start_forgotten": lambda tx: repair.start_forgotten(tx, limit=100),
    "repair.fail_orphans": lambda tx: repair.fail_orphans(tx, limit=100),
    "repair.wake_forgotten": lambda tx: repair.wake_forgotten(tx, limit=100),
    "repair.queue_health_checks": lambda tx: repair.queue_health_checks(tx, older_than=3600, choose=choose, limit=100),
    "repair.next_due": repair.next_due,
    "repair.drop_old_keys": repair.drop_old_keys,
    "repair.count_events": lambda tx: repair.count_events(tx, limit=100),
    "steps.wake": lambda tx: steps.wake(tx, WaitKind.EXECUTION, [7]),
}
BY_ALL: Mapping[str, Callable[[Transaction], object]] = {
    "tallies.totals": tallies.totals,
    "executions.unfinished": executions.unfinished,
    "executions.longest_wait": executions.longest_wait,
    "executions.any_held": executions.any_held,
    "executions.get": lambda tx: executions.get(tx, ExecutionId(9)),
    "executions.child": lambda tx: executions.child(tx, ExecutionId(9), "s"),
    "executions.listed": lambda tx: executions.listed(tx, limit=20),
    "executions.listed, next page": lambda tx: executions.listed(tx, before=5000, limit=20),
    "executions.listed of an application": lambda tx: executions.listed(tx, application="app-1990", limit=20),
    "executions.listed of an application in an environment": lambda tx: executions.listed(
        tx, application="app-1990", environment="default", limit=20
    ),
    "executions.listed of a resource": lambda tx: executions.listed(tx, resource_id=ResourceId(1903), limit=20),
    **{
        f"executions.listed {state}": lambda tx, state=state: executions.listed(tx, state=state, limit=20)
        for state in ExecutionState
    },
    "steps.of_execution": lambda tx: steps.of_execution(tx, ExecutionId(9)),
    "steps.unfinished": lambda tx: steps.unfinished(tx, ExecutionId(9)),
    "leavings.logs": lambda tx: leavings.logs(tx, ExecutionId(9)),
    "leavings.artifacts_of": lambda tx: leavings.artifacts_of(tx, ExecutionId(9)),
    "events.record": lambda tx: events.record(tx, [Event("x", "user:me")]),
    "events.read": lambda tx: events.read(tx, Position(0, 10_000)),
    "events.read of an application": lambda tx: events.read(tx, Position(0, 10), wanted=Wanted(ApplicationId(1990))),
    "events.listed of a resource": lambda tx: events.listed(tx, resource_id=ResourceId(1903), newest_first=True),
    "resources.counts": resources.counts,
    "resources.blocked_by": lambda tx: resources.blocked_by(tx, [ResourceId(1903)]),
    "resources.ids_by_key": lambda tx: resources.ids_by_key(tx, "default", [KEY]),
    "resources.references": lambda tx: resources.references(tx, [ResourceId(1903)]),
    "applications.due": lambda tx: applications.due(tx, limit=100),
    "applications.environments": applications.environments,
    "applications.find": lambda tx: applications.find(tx, "app-1990", "default"),
    "applications.newest_spec": lambda tx: applications.newest_spec(tx, ApplicationId(1990)),
    "graph.around": lambda tx: graph.around(tx, (NodeKind.RESOURCE, "3")),
    "graph.around a while ago": lambda tx: graph.around(tx, APP, at=tx.now - timedelta(hours=30)),
    "drawing.draw_now": _draw,
    "graph.end_nodes": lambda tx: graph.end_nodes(tx, [(NodeKind.RESOURCE, "3")]),
    "bundles.active": bundles.active,
    "resources.listed": lambda tx: resources.listed(tx, limit=50),
    "resources.listed of an application": lambda tx: resources.listed(tx, application="app-1990", limit=50),
    "resources.listed failed": lambda tx: resources.listed(tx, state=ResourceState.FAILED, limit=50),
    "resources.of_application": lambda tx: resources.of_application(tx, ApplicationId(1999)),
    "resources.lock": lambda tx: resources.lock(tx, [ResourceId(999_999)]),
    "resources.standings": lambda tx: resources.standings(tx, [ApplicationId(n) for n in range(1960, 1999)]),
    "applications.listed": lambda tx: applications.listed(tx, limit=50),
    "applications.spec_versions": lambda tx: applications.spec_versions(tx, [ApplicationId(1990), ApplicationId(1991)]),
}


def empty(store: Store) -> None:
    with store.begin() as tx:
        for table in reversed(tables.metadata.sorted_tables):
            how = f"TRUNCATE {table.name} CASCADE" if tx.postgresql else f"DELETE FROM {table.name}"
            tx.connection.execute(sa.text(how))


def asked(store: Store, calls: Mapping[str, Callable[[Transaction], object]]) -> dict[str, list[Sent]]:
    """The statements of each call. One that asks the database nothing proves nothing."""
    sent = {name: sent_by(store, call) for name, call in calls.items()}
    assert [name for name, statements in sent.items() if not statements] == []
    return sent


def readers(store: Store, sent: Mapping[str, list[Sent]]) -> list[str]:
    """What would read the history, one line each. `pytest -s` shows every plan."""
    wrong: list[str] = []
    for name, one in ((name, one) for name, statements in sent.items() for one in statements):
        sys.stdout.write(f"--- {name}\n{plan(store, one)}\n")
        found = [scan for scan in scans(store, one, partial=PARTIAL) if not any(name in scan for name in NO_HISTORY)]
        wrong += [f"{name}: {scan}\n    {_line(one)}" for scan in found]
    return wrong


def _line(sent: Sent) -> str:
    return " ".join(sent.text.split())[:600]


def test_no_hot_query_reads_the_history(store: Store) -> None:
    fill(store)
    by_keys = store.by_keys
    wrong = readers(by_keys, asked(by_keys, BY_ENGINE)) + readers(store, asked(store, BY_ALL))
    assert not wrong, "\n".join(wrong)


def test_what_the_engine_means_to_do_while_the_tables_are_empty_is_right_with_a_history(store: Store) -> None:
    """A connection plans a statement once and keeps to it, long after the first execution."""
    fill(store)
    sent = asked(store.by_keys, BY_ENGINE)
    empty(store)
    wrong = readers(store.by_keys, sent)
    assert not wrong, "\n".join(wrong)


def test_the_journal_and_the_heartbeat_lock_in_the_order_of_ids(store: Store) -> None:
    """In another order they would wait for each other, until the database ends one of them."""
    fill(store)
    called = {name: BY_ENGINE[name] for name in ("journal", "claims.extend_leases")}
    sent = [one for statements in asked(store.by_keys, called).values() for one in statements]
    locking = [one for one in sent if re.search(r"UPDATE executions|FOR UPDATE", one.text)]
    empty(store)
    for one in locking[:2] if store.engine.dialect.name == "postgresql" else ():
        assert "Index Scan using pk_executions on executions" in plan(store.by_keys, one)
    assert len(locking) > 1


def test_no_hot_query_is_put_together_anew_each_time(store: Store) -> None:
    """That costs more than the database's part of most of them."""
    fill(store)
    sent = asked(store.by_keys, BY_ENGINE) | asked(store, BY_ALL)
    assert [(name, _line(one)) for name, statements in sent.items() for one in statements if one.anew] == []


def test_the_indexes_hold_the_states_that_the_domain_means() -> None:
    for condition, states in (
        (tables.RESOURCE_UNDER_WAY, IN_PROGRESS),
        (tables.RESOURCE_PROVISIONED, PROVISIONED),
        (tables.EXECUTION_BROKEN, {ExecutionState.FAILED, ExecutionState.CANCELLED}),
    ):
        written = {part.strip("' ") for part in str(condition).split("(")[1].strip(")").split(",")}
        assert written == {state.value for state in states}
