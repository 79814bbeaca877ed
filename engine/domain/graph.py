"""The graph of what exists and why, and its forms for people and tools."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.values import Json, JsonObject


class NodeKind(StrEnum):
    APPLICATION = "application"
    SPEC = "spec"
    RESOURCE = "resource"
    PROVIDER = "provider"
    WORKFLOW = "workflow"


class EdgeKind(StrEnum):
    CONTAINS = "contains"
    """application → spec, spec → resource"""
    REQUIRES = "requires"
    """resource → provider"""
    DEPENDS_ON = "depends-on"
    """resource → resource"""
    PROVISIONS = "provisions"
    """workflow → resource: the newest run of one of its operations"""
    EXECUTES = "executes"
    """provider → workflow"""


NodeRef = tuple[NodeKind, str]
"""A node by what it stands for: its kind, and the id within that kind."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to hold from now on: nodes with their names, and edges (source, kind, target) between them.

    Of the edges of a kind that leave a node in `all_from`, or reach one in `all_to`, only those drawn hold on. The
    `new` nodes stand for what did not exist before.
    """

    nodes: Mapping[NodeRef, str]
    edges: Collection[tuple[NodeRef, EdgeKind, NodeRef]]
    new: Collection[NodeRef] = ()
    all_from: Collection[tuple[NodeRef, EdgeKind]] = ()
    all_to: Collection[tuple[NodeRef, EdgeKind]] = ()


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """`ref` is the id of what the node stands for, within its kind."""

    id: int
    kind: NodeKind
    ref: str
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    source: int
    kind: EdgeKind
    target: int


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()


def to_json(graph: Graph, states: Mapping[tuple[NodeKind, str], str]) -> JsonObject:
    """`{nodes: [{id, kind, ref, name, state}], edges: [{source, kind, target}]}`; ids are the graph's own."""
    nodes: list[Json] = [
        {"id": n.id, "kind": n.kind.value, "ref": n.ref, "name": n.name, "state": states.get((n.kind, n.ref), "")}
        for n in graph.nodes
    ]
    edges: list[Json] = [{"source": e.source, "kind": e.kind.value, "target": e.target} for e in graph.edges]
    return {"nodes": nodes, "edges": edges}


def to_mermaid(graph: Graph, states: Mapping[tuple[NodeKind, str], str]) -> str:
    lines = ["flowchart LR"]
    lines += [f'  n{n.id}["{_mermaid_text(_label(n, states))}"]:::{n.kind.value}' for n in graph.nodes]
    lines += [f"  n{edge.source} -->|{edge.kind.value}| n{edge.target}" for edge in graph.edges]
    return "\n".join(lines) + "\n"


def to_dot(graph: Graph, states: Mapping[tuple[NodeKind, str], str]) -> str:
    lines = ["digraph innominatus {", "  rankdir=LR;", "  node [shape=box];"]
    for node in graph.nodes:
        label = _label(node, states).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'  n{node.id} [label="{label}"];')
    lines += [f'  n{edge.source} -> n{edge.target} [label="{edge.kind.value}"];' for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def to_tree(graph: Graph, states: Mapping[tuple[NodeKind, str], str]) -> str:
    """Indented text from the nodes that nothing points to; a node met again is marked with `↑`, not repeated.

    A workflow stands below the resource it provisioned.
    """
    children: dict[int, list[tuple[str, int]]] = {}
    for edge in graph.edges:
        if edge.kind is EdgeKind.PROVISIONS:
            children.setdefault(edge.target, []).append(("provisioned by", edge.source))
        elif edge.kind is not EdgeKind.EXECUTES:
            children.setdefault(edge.source, []).append((edge.kind.value, edge.target))
    by_id = {node.id: node for node in graph.nodes}
    pointed = {target for below in children.values() for _, target in below}
    lines: list[str] = []
    seen: set[int] = set()
    stack = [(node.id, "", "") for node in reversed(graph.nodes) if node.id not in pointed]
    while stack:
        node_id, prefix, lead = stack.pop()
        node = by_id[node_id]
        again = node_id in seen
        lines.append(f"{prefix}{lead}{_label(node, states)}{' ↑' if again and node_id in children else ''}")
        if again:
            continue
        seen.add(node_id)
        inner = prefix + ("" if not lead else "   " if lead.startswith("└") else "│  ")
        below = [(word, target) for word, target in children.get(node_id, []) if target in by_id]
        for index, (word, target) in reversed(list(enumerate(below))):
            corner = "└─" if index == len(below) - 1 else "├─"
            stack.append((target, inner, f"{corner} {word} "))
    return "\n".join(lines) + "\n"


def _label(node: Node, states: Mapping[tuple[NodeKind, str], str]) -> str:
    state = states.get((node.kind, node.ref), "")
    return f"{node.kind.value} {node.name}" + (f" ({state})" if state else "")


def _mermaid_text(text: str) -> str:
    return "".join(f"#{ord(char)};" if char in '"<>[]{}|#;&\\`' else char for char in text).replace("\n", " ")
