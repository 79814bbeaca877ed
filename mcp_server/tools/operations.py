"""For whoever operates the platform: take up, stop, look around."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import Field

from engine.domain.execution import ExecutionState
from engine.domain.graph import Edge, Node
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import ExecutionId, Json, JsonObject, ResourceId
from engine.errors import Problem
from engine.services import doubts, executions, graphs, timeline
from engine.services.afterwards import done
from mcp_server.answers import call, fitting, instant, table
from mcp_server.arguments import refused, stored_id
from mcp_server.fields import Cursor, Limit, Wait
from mcp_server.house import House, aside
from mcp_server.statuses import status_of, watched

_EVENT_COLUMNS = ("position", "at", "what", "actor", "resource_id", "execution_id", "data")
_NEITHER = Problem("invalid_argument", "execution_id", "one of `execution_id` and `resource_id` is needed")
_BOTH = Problem(
    "invalid_argument", "resource_id", "only one of `execution_id` and `resource_id` can be given", "leave it out"
)


@dataclass(frozen=True)
class OperateTools:
    house: House

    async def retry(
        self,
        ctx: Context,
        execution_id: int = 0,
        resource_id: int = 0,
        wait_seconds: Wait = 0,
    ) -> JsonObject:
        """Take up a failed execution or resource again from the step that failed; finished steps are kept.

        Give one of execution_id and resource_id.
        """
        if bool(execution_id) == bool(resource_id):
            raise refused("retry", [_BOTH if execution_id else _NEITHER])
        platform, actor = self.house.platform, self.house.actor()
        if execution_id:
            known = ExecutionId(stored_id("execution_id", execution_id))
            started, warning = await aside(doubts.retry_execution, platform, actor, known)
        else:
            resource = ResourceId(stored_id("resource_id", resource_id))
            started, warning = await aside(doubts.retry_resource, platform, actor, resource)
        with done(f"Execution {started} is started"):
            view = await watched(self.house, started, wait_seconds, ctx)
            over = view.execution.state is ExecutionState.SUCCEEDED
            return {"warning": "" if over else warning, **await aside(status_of, self.house, view)}

    async def cancel(self, execution_id: int, ctx: Context, wait_seconds: Wait = 0) -> JsonObject:
        """Stop an execution. What it has made so far stays; its resource fails and can be retried or deleted."""
        known = ExecutionId(stored_id("execution_id", execution_id))
        await aside(executions.cancel, self.house.platform, self.house.actor(), known)
        with done(f"The end of execution {known} is asked for"):
            view = await watched(self.house, known, wait_seconds, ctx)
            return await aside(status_of, self.house, view)

    def get_graph(
        self,
        application: str,
        environment: str = "",
        at: Annotated[str, Field(description="As it was at this moment (ISO 8601).")] = "",
    ) -> JsonObject:
        """Show how an application's spec, resources, providers and workflows belong together."""
        view = graphs.of_application(
            self.house.platform, application, environment=environment or DEFAULT_ENVIRONMENT, at=_moment(at)
        )
        names = {node.id: _named(node) for node in view.graph.nodes}
        nodes: list[list[Json]] = [
            [names[node.id], node.ref, view.states.get((node.kind, node.ref), "")] for node in view.graph.nodes
        ]
        edges: list[list[Json]] = [_edge(edge, names) for edge in view.graph.edges]
        resource = call("list_resources", application=application, environment=environment or DEFAULT_ENVIRONMENT)
        return {
            "application": application,
            "environment": environment or DEFAULT_ENVIRONMENT,
            "nodes": table(("node", "id", "state"), nodes),
            "edges": table(("from", "how", "to"), edges),
            "next": [resource],
        }

    def list_events(
        self,
        application: str = "",
        environment: str = "",
        types: Annotated[str, Field(description="Kinds of events, separated by commas.")] = "",
        limit: Limit = 50,
        cursor: Cursor = "",
    ) -> JsonObject:
        """List what happened and who did it. Without a cursor the newest events; with one what followed it."""
        kinds = tuple(kind.strip() for kind in types.split(",") if kind.strip())
        where = environment or DEFAULT_ENVIRONMENT
        platform, name = self.house.platform, application or None
        if cursor:
            page = timeline.listed(
                platform, application=name, environment=where, kinds=kinds, after=cursor, limit=limit
            )
            found = list(page.items)
        else:
            found = timeline.newest(platform, application=name, environment=where, kinds=kinds, limit=limit)
        rows: list[list[Json]] = [
            [
                str(fact.position),
                instant(fact.at),
                fact.kind,
                fact.actor,
                fact.resource_id,
                fact.execution_id,
                _data(fact.data),
            ]
            for fact in found
        ]
        kept = fitting(_EVENT_COLUMNS, rows)
        reached = str(kept[-1][0]) if kept else cursor
        about: JsonObject = {"application": application, "environment": where} if application else {}
        more = [call("list_events", **about, cursor=reached)] if reached else []
        return {**table(_EVENT_COLUMNS, kept), "next_cursor": reached, "next": list[Json](more)}


def _named(node: Node) -> str:
    return f"{node.kind} {node.name}"


def _edge(edge: Edge, names: dict[int, str]) -> list[Json]:
    return [names[edge.source], edge.kind.value, names[edge.target]]


def _data(data: JsonObject) -> str:
    return "; ".join(f"{name}={value}" for name, value in data.items() if value not in (None, "", [], {}))


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        problem = Problem("invalid_argument", "at", "is no moment", "write it like 2026-01-31T12:00:00Z")
        raise refused("get_graph", [problem]) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
