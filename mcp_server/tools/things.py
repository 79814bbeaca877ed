"""What exists: resources."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from engine.domain.provider import Operation
from engine.domain.resource import Resource, ResourceState
from engine.domain.values import Json, JsonObject, ResourceId
from engine.services import deletions, diagnosis, resources, views
from engine.services.origins import why
from engine.services.resources import ResourceDetails
from mcp_server.answers import call, gist, instant, page, table
from mcp_server.arguments import PlanCursor, page_cursor, stored_id
from mcp_server.explained import explained
from mcp_server.fields import Cursor, Detail, IdempotencyKey, Limit, Part, PlanHash
from mcp_server.house import LONGEST_WAIT, House
from mcp_server.submissions import preview, submission

_COLUMNS = ("id", "application", "environment", "name", "type", "state", "updated_at", "error")
_FULL = ("provider", "workflow", "execution_id", "blocked_by")
_EVERYTHING: tuple[Part, ...] = ("outputs", "history", "graph")


@dataclass(frozen=True)
class ResourceTools:
    house: House

    def list_resources(
        self,
        type: str = "",
        application: str = "",
        state: str = "",
        environment: str = "",
        limit: Limit = 50,
        cursor: Cursor = "",
        detail: Detail = "concise",
    ) -> JsonObject:
        """List resources (databases, volumes, workloads ...) with states; deleted ones only with state=terminated."""
        found = resources.listed(
            self.house.platform,
            application=application or None,
            environment=environment or None,
            resource_type=type or None,
            state=state or None,
            cursor=page_cursor(cursor),
            limit=limit,
        )
        full = detail == "full"
        rows = [_row(item, full=full) for item in found.items]
        following: list[Json] = _leading(found.items)
        if not rows and (not type or self.house.platform.providers.registry.resolve(type)):
            narrowed = any((type, application, state, environment, cursor))
            names = ("list_resources",) if narrowed else ("list_golden_paths", "list_providers")
            following = [call(name) for name in names]
        elif not rows:
            following = [call("list_providers")]
        columns = (*_COLUMNS, *_FULL) if full else _COLUMNS
        return {**page(columns, rows, found.next_cursor, full=full), "next": following}

    def get_resource_details(
        self,
        resource_id: int,
        include: Annotated[
            list[Part], Field(description="Of these: outputs, history, graph, why. Default: all but why.")
        ] = list(_EVERYTHING),  # noqa: B006 - it is never changed
    ) -> JsonObject:
        """Show a resource: params, outputs (secrets as ***), what it depends on, its history, and what failed.

        include=["why"] tells who asked for it and how its provider was chosen.
        """
        known = ResourceId(stored_id("resource_id", resource_id))
        details = resources.get(self.house.platform, known)
        found = details.resource
        answer: JsonObject = {
            "resource_id": found.id,
            "resource": str(found.key),
            "application": found.application,
            "environment": found.key.environment,
            "name": found.name,
            "type": found.key.type,
            "state": found.state.value,
            "provider": found.provider,
            "workflow": found.workflow,
            "execution_id": found.execution_id,
            "error_message": found.error,
            "reason": found.reason,
            "blocked_by": found.blocked_by,
            "params": found.params,
            "updated_at": views.moment(found.updated_at),
            **_parts(self.house, details, include),
            "next": _next(details),
            **explained(
                diagnosis.of_resource(self.house.platform, known),
                asked=call("get_resource_details", resource_id=resource_id),
            ),
        }
        if "outputs" in include and found.secret_outputs & found.outputs.keys():
            answer["secrets"] = f"A person can read the *** values: innominatus-ctl resource {found.id} --reveal"
        return answer

    def delete_resource(
        self,
        resource_id: int,
        *,
        dry_run: bool = False,
        plan_hash: PlanHash = "",
        idempotency_key: IdempotencyKey = "",
    ) -> JsonObject:
        """Delete one resource that was asked for beside a spec. First dry_run=true, then with its plan_hash.

        What a spec declares is deleted by leaving it out there and submitting with prune=true.
        """
        made = deletions.delete_resource(
            self.house.platform,
            self.house.actor(),
            ResourceId(stored_id("resource_id", resource_id)),
            dry_run=dry_run,
            plan_hash=plan_hash or None,
            confirm=True,
            idempotency_key=idempotency_key or None,
        )
        if dry_run:
            return preview("delete_resource", made, PlanCursor(), {"resource_id": resource_id}, wait_seconds=0)
        runs: list[Json] = [
            call("get_workflow_status", execution_id=run, wait_seconds=LONGEST_WAIT) for run in made.execution_ids[:1]
        ]
        following = runs or [call("get_resource_details", resource_id=resource_id)]
        return {**submission(made, agreed=bool(plan_hash)), "next": following}


def _row(found: Resource, *, full: bool) -> list[Json]:
    known: list[Json] = [
        found.id,
        found.application,
        found.key.environment,
        found.name,
        found.key.type,
        found.state.value,
        instant(found.updated_at, brief=not full),
        (found.error if full else gist(found.error)) or found.reason,
    ]
    return [*known, found.provider, found.workflow, found.execution_id, found.blocked_by] if full else known


def _parts(house: House, details: ResourceDetails, include: Collection[Part]) -> JsonObject:
    """What was asked for beside the resource itself."""
    parts: JsonObject = {}
    if "outputs" in include:
        parts["outputs"] = views.resource(details.resource)["outputs"]
    if "graph" in include:
        parts["depends_on"] = [_brief(other) for other in details.depends_on]
        parts["dependants"] = [_brief(other) for other in details.dependants]
        parts["used_by"] = [*details.used_by]
    if "history" in include:
        rows: list[list[Json]] = [
            [instant(fact.at), fact.kind, fact.actor, fact.execution_id] for fact in details.transitions
        ]
        parts["transitions"] = table(("at", "what", "actor", "execution_id"), rows)
    if "why" in include:
        parts["why"] = list[Json](why(house.platform, details))
    return parts


def _brief(other: Resource) -> str:
    return f"{other.id} {other.key} {other.state}"


def failures(found: Collection[Resource]) -> list[Json]:
    """Where to look first: calls for the first failed resources."""
    broken = [item for item in found if item.state is ResourceState.FAILED and not item.awaits_turn][:3]
    return [call("get_resource_details", resource_id=item.id) for item in broken]


def _leading(found: Collection[Resource]) -> list[Json]:
    """Where to look first: what failed, else what is not well, else what goes on, else the first."""
    unwell = [item for item in found if item.blocked_by is not None or item.state is ResourceState.DEGRADED]
    going = [item for item in found if item.in_progress]
    first: list[Json] = [_look(item) for item in [*unwell, *going, *found][:1]]
    return failures(found) or first


def _next(details: ResourceDetails) -> list[Json]:
    """To the run that is under way, or to what it waits for."""
    found = details.resource
    if found.in_progress:
        return [_look(found)]
    waits = found.pending is not None and found.blocked_by is None
    others = details.dependants if found.pending is Operation.DELETE else details.depends_on
    awaited: list[Json] = [_look(other) for other in others if waits and not other.settled]
    return awaited[:1]


def _look(found: Resource) -> str:
    if found.in_progress and found.execution_id is not None:
        return call("get_workflow_status", execution_id=found.execution_id, wait_seconds=LONGEST_WAIT)
    return call("get_resource_details", resource_id=found.id)
