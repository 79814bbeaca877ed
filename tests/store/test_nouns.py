"""Applications, specs and the graph as the store keeps them."""

import re
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from engine.domain.application import Application
from engine.domain.graph import Drawing, EdgeKind, NodeKind
from engine.errors import Unavailable
from engine.store import applications, claims, graph
from engine.store.database import Store
from engine.store.drawing import draw, draw_now
from engine.store.tables import executions, graph_edges, graph_nodes, metadata
from tests.support.plans import plan, sent_by
from tests.support.platforms_by_hand import by_hand, reads, spec


def test_two_who_make_an_application_at_once_get_the_same(store: Store) -> None:
    found: list[Application] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait(10)
        with store.begin() as tx:
            found.append(applications.ensure(tx, "app", "default", actor="user:me").application)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 4
    assert len({application.id for application in found}) == 1


def test_an_application_is_new_to_nobody_but_who_made_it(store: Store) -> None:
    def new() -> bool:
        with store.begin() as tx:
            made = applications.ensure(tx, "app", "default", actor="user:me")
        with store.begin() as tx:
            applications.mark_deleted(tx, made.application.id)
        return made.new

    assert [new() for _ in range(3)] == [store.engine.dialect.name == "postgresql", False, False]


def test_the_same_document_again_is_the_same_version(store: Store) -> None:
    with store.begin() as tx:
        application = applications.ensure(tx, "app", "default", actor="user:me").application
        made = [
            applications.add_spec(tx, application.id, text, digest=text, actor="user:me").version
            for text in ("a", "a", "b", "b", "a")
        ]
    assert made == [1, 1, 2, 2, 3], "only the newest version counts: an older document may be wanted again"


def test_a_past_moment_shows_the_graph_as_it_was(store: Store) -> None:
    root, thing = (NodeKind.APPLICATION, "1"), (NodeKind.RESOURCE, "7")
    with store.begin() as tx:
        before = tx.now
        draw(tx, Drawing({root: "app", thing: "thing/app.aa"}, [(root, EdgeKind.CONTAINS, thing)]))
    with store.begin() as tx:
        held = tx.now
    with store.begin() as tx:
        graph.end_nodes(tx, [thing])
    with store.read() as tx:
        assert graph.around(tx, root, at=before - timedelta(seconds=1)).nodes == ()
        then, now = graph.around(tx, root, at=held), graph.around(tx, root)
    assert ([node.name for node in then.nodes], len(then.edges)) == (["app", "thing/app.aa"], 1)
    assert ([node.name for node in now.nodes], len(now.edges)) == (["app"], 0)


def test_a_node_that_ended_and_is_wanted_again_is_another_one(store: Store) -> None:
    thing = (NodeKind.RESOURCE, "7")

    def drawn() -> list[int]:
        draw(tx, Drawing({thing: "x"}, []))
        draw_now(tx)
        return [node.id for node in graph.around(tx, thing).nodes]

    with store.begin() as tx:
        first = drawn()
        assert len(first) == 1
        assert drawn() == first
        graph.end_nodes(tx, [thing])
        assert drawn() != first


def test_an_edge_that_holds_is_not_made_twice(store: Store) -> None:
    a, b = (NodeKind.SPEC, "1"), (NodeKind.RESOURCE, "1")
    drawing = Drawing({a: "a", b: "b"}, [(a, EdgeKind.CONTAINS, b)] * 2)
    for _ in range(2):
        with store.begin() as tx:
            draw(tx, drawing)
            draw(tx, drawing)
            draw_now(tx)
            draw(tx, drawing)
    with store.read() as tx:
        assert tx.connection.execute(sa.select(sa.func.count()).select_from(graph_edges)).scalar_one() == 1
        assert tx.connection.execute(sa.select(sa.func.count()).select_from(graph_nodes)).scalar_one() == 2


def test_of_the_edges_at_a_node_only_those_drawn_hold_on_where_all_are_drawn(store: Store) -> None:
    app, one, two = (NodeKind.APPLICATION, "1"), (NodeKind.RESOURCE, "1"), (NodeKind.RESOURCE, "2")
    run, again = (NodeKind.WORKFLOW, "1"), (NodeKind.WORKFLOW, "2")
    names = {node: "-".join(node) for node in (app, one, two, run)}
    held = [(app, EdgeKind.CONTAINS, one), (app, EdgeKind.CONTAINS, two), (run, EdgeKind.PROVISIONS, one)]
    with store.begin() as tx:
        draw(tx, Drawing(names, [*held, (one, EdgeKind.DEPENDS_ON, two)]))
    with store.begin() as tx:
        draw(tx, Drawing({app: "app", two: "two"}, [held[1]], all_from=[(app, EdgeKind.CONTAINS)]))
        later = Drawing({again: "again", one: "one"}, [(again, EdgeKind.PROVISIONS, one)], new=[again])
        draw(tx, replace(later, all_to=[(one, EdgeKind.PROVISIONS)]))
    with store.read() as tx:
        seen = graph.around(tx, app)
        assert [node.name for node in seen.nodes] == ["application-1", "resource-2"]
        assert len(seen.edges) == 1, "the one that held, not another one"
        around = graph.around(tx, one)
        assert sorted(node.name for node in around.nodes) == ["again", "resource-1", "resource-2"]
        assert {edge.kind for edge in around.edges} == {EdgeKind.PROVISIONS, EdgeKind.DEPENDS_ON}


def test_what_is_drawn_and_ends_in_one_transaction_has_ended(store: Store) -> None:
    app, thing = (NodeKind.APPLICATION, "1"), (NodeKind.RESOURCE, "1")
    with store.begin() as tx:
        draw(tx, Drawing({app: "app", thing: "thing"}, [(app, EdgeKind.CONTAINS, thing)]))
        graph.end_nodes(tx, [thing])
    with store.read() as tx:
        assert [node.name for node in graph.around(tx, app).nodes] == ["app"]


def counts(store: Store) -> dict[str, int]:
    with store.read() as tx:
        return {
            table.name: tx.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_a_submission_whole_and_lets_it_in_when_there_is_room(store: Store, tmp_path: Path) -> None:
    hand = by_hand(store, tmp_path)
    full = True

    def limit(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages if full else 1_000_000}")

    event.listen(store.engine, "begin", limit)
    before = counts(store)
    source = spec("app", {f"n{number:03}": "x" * 200 for number in range(300)})
    with pytest.raises(Unavailable) as told:
        hand.submit(source)
    assert told.value.code == "database_unavailable"
    assert counts(store) == before
    full = False
    assert len(hand.submit(source)) == 300


def test_the_claim_finds_what_is_ready_by_its_partial_index(store: Store) -> None:
    row = {
        "provider": "p", "digest": "d", "workflow": "w", "fair_key": "k", "fair_tag": 1.0, "state": "succeeded",
    }  # fmt: skip
    with store.begin() as tx:
        rows = [{**row, "created_at": tx.now} for _ in range(10_000)]
        tx.connection.execute(sa.insert(executions), rows)
        tx.connection.execute(sa.insert(executions), [{**rows[0], "state": "pending", "ready_at": tx.now}] * 10)
        tx.connection.exec_driver_sql("ANALYZE")
    (sent,) = sent_by(store, lambda tx: claims.claim(tx, worker="w", limit=8, cap=0, lease=60))
    found = plan(store, sent)
    for index in ("ix_executions_queue", "ix_executions_due", "ix_executions_running", "ix_executions_cancelled"):
        assert index in found
    assert not re.search(r"Seq Scan on executions|SCAN executions(?! USING)", found), found


def test_a_spec_of_the_greatest_size_is_taken_in(store: Store, tmp_path: Path) -> None:
    hand = by_hand(store, tmp_path)
    many = {f"n{number:03}": reads(f"n{number - 1:03}") if number % 2 else "1" for number in range(1000)}
    assert len(hand.submit(spec("app", many))) == 500
