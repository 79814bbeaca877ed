import json

from engine.domain.graph import Edge, EdgeKind, Graph, Node, NodeKind, to_dot, to_json, to_mermaid, to_tree

HOSTILE = 'a"]; click x "javascript:1" \\ <b>|{`#\n--> end'
GRAPH = Graph(
    nodes=(
        Node(1, NodeKind.APPLICATION, "1", "shop"),
        Node(2, NodeKind.RESOURCE, "7", "db"),
        Node(3, NodeKind.RESOURCE, "8", "cache"),
        Node(4, NodeKind.PROVIDER, "team", "team"),
        Node(5, NodeKind.WORKFLOW, "3", "make"),
    ),
    edges=(
        Edge(1, EdgeKind.CONTAINS, 2),
        Edge(1, EdgeKind.CONTAINS, 3),
        Edge(3, EdgeKind.DEPENDS_ON, 2),
        Edge(2, EdgeKind.REQUIRES, 4),
        Edge(4, EdgeKind.EXECUTES, 5),
        Edge(5, EdgeKind.PROVISIONS, 2),
    ),
)
STATES = {(NodeKind.RESOURCE, "7"): "active", (NodeKind.WORKFLOW, "3"): "succeeded"}


def test_the_tree_shows_each_thing_below_what_needs_it_and_once_in_full() -> None:
    tree = to_tree(GRAPH, STATES).splitlines()
    assert tree[0] == "application shop"
    assert tree[1] == "├─ contains resource db (active)"
    assert "│  └─ provisioned by workflow make (succeeded)" in tree
    assert "   └─ depends-on resource db (active) ↑" in tree
    assert sum("requires provider team" in line for line in tree) == 1


def test_json_holds_every_node_and_edge() -> None:
    found = json.loads(json.dumps(to_json(GRAPH, STATES)))
    assert found["nodes"][1] == {"id": 2, "kind": "resource", "ref": "7", "name": "db", "state": "active"}
    assert found["edges"][0] == {"source": 1, "kind": "contains", "target": 2}
    assert (len(found["nodes"]), len(found["edges"])) == (5, 6)


def test_names_cannot_leave_their_label() -> None:
    graph = Graph((Node(1, NodeKind.RESOURCE, "1", HOSTILE),))
    mermaid = to_mermaid(graph, {}).splitlines()
    assert len(mermaid) == 2
    inside = mermaid[1].removeprefix('  n1["').removesuffix('"]:::resource')
    assert not set('"<>[]{}|`\\') & set(inside)
    dot = to_dot(graph, {}).splitlines()
    assert len(dot) == 5
    label = dot[3].removeprefix('  n1 [label="').removesuffix('"];')
    assert '"' not in label.replace("\\\\", "").replace('\\"', "")


def test_an_empty_graph_and_a_circle_are_drawn_too() -> None:
    assert to_tree(Graph(), {}) == "\n"
    circle = Graph(
        (Node(1, NodeKind.RESOURCE, "1", "a"), Node(2, NodeKind.RESOURCE, "2", "b")),
        (Edge(1, EdgeKind.DEPENDS_ON, 2), Edge(2, EdgeKind.DEPENDS_ON, 1)),
    )
    assert "n1 --> n2" in to_mermaid(circle, {}).replace("|depends-on|", "")
    assert to_tree(circle, {})


def test_edges_to_nodes_that_are_not_shown_do_no_harm() -> None:
    graph = Graph((Node(1, NodeKind.APPLICATION, "1", "shop"),), (Edge(1, EdgeKind.CONTAINS, 9),))
    assert to_tree(graph, {}) == "application shop\n"


def test_a_deep_graph_does_not_exhaust_the_stack() -> None:
    nodes = tuple(Node(n, NodeKind.RESOURCE, str(n), f"r{n}") for n in range(5000))
    edges = tuple(Edge(n, EdgeKind.DEPENDS_ON, n + 1) for n in range(4999))
    assert to_tree(Graph(nodes, edges), {}).count("\n") == 5000
