"""The graph of an application, now or at a moment, in the forms people and tools read."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.domain.graph import Graph, NodeKind, to_dot, to_json, to_mermaid, to_tree
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import ExecutionId, ResourceId
from engine.errors import Invalid
from engine.services.applications import unknown
from engine.services.platform import Platform
from engine.store import applications, executions, graph, resources
from engine.store.types import dump_json


class Form(StrEnum):
    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class GraphView:
    """A graph with the states of its resources and executions; states are those of now."""

    graph: Graph
    states: dict[tuple[NodeKind, str], str]


def of_application(
    platform: Platform, name: str, *, environment: str = DEFAULT_ENVIRONMENT, at: datetime | None = None
) -> GraphView:
    """Raises NotFound."""
    with platform.store.read() as tx:
        found = applications.find(tx, name, environment)
        if found is None:
            raise unknown(tx, name, environment)
        drawn = graph.around(tx, (NodeKind.APPLICATION, str(found.id)), at=at)
        ids = [ResourceId(int(node.ref)) for node in drawn.nodes if node.kind is NodeKind.RESOURCE]
        states = {
            (NodeKind.RESOURCE, str(rid)): resource.state.value for rid, resource in resources.by_ids(tx, ids).items()
        }
        for node in drawn.nodes:
            if node.kind is NodeKind.WORKFLOW and (run := executions.get(tx, ExecutionId(int(node.ref)))):
                states[node.kind, node.ref] = run.state.value
    return GraphView(drawn, states)


def export(
    platform: Platform, name: str, *, form: str, environment: str = DEFAULT_ENVIRONMENT, at: datetime | None = None
) -> str:
    """The graph as text. Raises NotFound, and Invalid for an unknown form."""
    try:
        wanted = Form(form)
    except ValueError:
        known = ", ".join(Form)
        raise Invalid(f"There is no graph format `{form}`.", code="unknown_format", hint=f"Known: {known}.") from None
    view = of_application(platform, name, environment=environment, at=at)
    match wanted:
        case Form.JSON:
            return dump_json(to_json(view.graph, view.states))
        case Form.MERMAID:
            return to_mermaid(view.graph, view.states)
        case Form.DOT:
            return to_dot(view.graph, view.states)
        case Form.TREE:
            return to_tree(view.graph, view.states)
